"""How a service is started."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["DEFAULT_UPLOAD_BYTES", "ServiceSettings", "is_loopback"]

#: What may be uploaded where nothing else is said: protobuf, and so an ONNX file, ends at 2 GiB.
DEFAULT_UPLOAD_BYTES = 2**31


@dataclass(frozen=True)
class ServiceSettings:
    """How a service is started.

    Attributes
    ----------
    db : str or None
        The database's URL as it was given, for commands that the service starts.
    files : Path
        Where uploaded models are kept.
    host, port : str, int
        Where it listens; port 0 has the system choose one.
    certificate, key : Path or None
        PEM files; both or none. With them it speaks TLS.
    proxies : str
        Addresses of proxies whose word about a client's address is taken, separated by commas.
    uploads : str
        fsspec URL where models are kept instead, `files` being for those on their way; empty for none.
    upload_bytes : int
        Size of a file that may be uploaded; a token may have less.
    """

    db: str | None
    files: Path
    host: str = "127.0.0.1"
    port: int = 8085
    certificate: Path | None = None
    key: Path | None = None
    proxies: str = ""
    uploads: str = ""
    upload_bytes: int = DEFAULT_UPLOAD_BYTES

    @property
    def loopback(self) -> bool:
        """Whether only this machine's own processes can come in; a proxy may be one of them."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine's own, and reached from nowhere else."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
