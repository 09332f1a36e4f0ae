"""Models sent to a service, each content once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from orchestrator.errors import NotFoundError, ServerError
from orchestrator.files import digest_of_file
from orchestrator.remote.connection import Connection

__all__ = ["chunks", "upload"]

_CHUNK_BYTES = 2**18


def upload(server: Connection, path: Path, say: Callable[[str], None] = lambda _: None) -> str:
    """Send a model to a service, unless it is there, and return the SHA-256 that campaigns name it by.

    Raises
    ------
    ModelError
        It is no ONNX file.
    UsageError
        It is too large, or didn't arrive as it was sent.
    """
    say(f"looking whether {path.name} is there")
    sha256 = digest_of_file(path)
    try:
        server.get("upload", "uploads", sha256)
    except NotFoundError:
        content = chunks(path, say)
        found = server.post(
            "upload", "models", content=content, size=path.stat().st_size, name=path.name, sha256=sha256
        )
        if found["sha256"] != sha256:
            raise ServerError(f"{path.name} arrived at {server.url} as another file: send it again") from None
    return sha256


def chunks(path: Path, say: Callable[[str], None]) -> Iterator[bytes]:
    """Return a file's content piece by piece, and say how much of it is on its way."""
    size, sent = path.stat().st_size, 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
            sent += len(chunk)
            say(f"sending {path.name}: {sent / 2**20:,.0f} of {size / 2**20:,.0f} MiB")
