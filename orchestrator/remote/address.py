"""Which service is asked, and as whom."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from orchestrator.errors import UsageError

__all__ = ["TOKEN_VARIABLE", "ServerAddress", "server_address"]

TOKEN_VARIABLE = "TUNEFLEET_TOKEN"
_LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class ServerAddress:
    """A service.

    Attributes
    ----------
    url : str
        Of its pages; no slash at its end.
    token : str or None
        None where it asks for none: on a loopback, before there are tokens.
    ca : Path or None
        PEM file of what its certificate is signed with; None for what this system trusts.
    """

    url: str
    token: str | None = field(default=None, repr=False)
    ca: Path | None = None

    @property
    def in_the_clear(self) -> bool:
        """Whether a token would be read by whoever carries it."""
        parts = urlsplit(self.url)
        return self.token is not None and parts.scheme == "http" and parts.hostname not in _LOCAL


def server_address(url: str, token_file: Path | None, ca: Path | None) -> ServerAddress:
    """Read what a person said of a service; the token is never an argument, which every account could read.

    Raises
    ------
    UsageError
        That is no address, or a file can't be read.
    """
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1) > 0
    except ValueError:
        sound = False
    if not sound:
        raise UsageError(f"--server {url!r} is no address such as https://tuning.example or http://host:8085")
    if parts.username is not None or parts.query or parts.fragment:
        raise UsageError(
            f"--server takes scheme, host and port alone; a token is for {TOKEN_VARIABLE} or --token-file"
        )
    if ca is not None and not ca.is_file():
        raise UsageError(f"--ca {ca}: there is no such file")
    return ServerAddress(url.rstrip("/"), _token(token_file), ca)


def _token(file: Path | None) -> str | None:
    if file is None:
        text = os.environ.get(TOKEN_VARIABLE, "").strip()
        where = TOKEN_VARIABLE
    else:
        try:
            text = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            raise UsageError(f"--token-file {file} can't be read: {why}") from None
        if not text:
            raise UsageError(f"--token-file {file} is empty")
        where = str(file)
    if not text:
        return None
    if not text.isascii() or not text.isprintable() or " " in text:
        raise UsageError(f"{where} holds no token: it is one word of letters and digits")
    return text
