"""The folder of uploaded models: a folder for each content, in it the file under the name it came with."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyio import CapacityLimiter, to_thread

from orchestrator.errors import NotFoundError, UsageError
from orchestrator.service.refusals import RefusedError, refused_by_the_disk
from orchestrator.service.uploads.examine import examine

__all__ = ["SUFFIX", "Upload", "Uploads", "file_name"]

_NEW = ".new-"
#: Of a file that is kept.
SUFFIX = ".onnx"
# What a server that was killed left behind; none takes so long.
_LEFT_SECONDS = 86400.0
# Of letters that take four bytes each, as many as a file system takes.
_NAME_LENGTH = 60
# Each may take as much memory as six times its file, and a core.
_EXAMINED_AT_ONCE = 2


@dataclass(frozen=True)
class Upload:
    """A model that was uploaded.

    Attributes
    ----------
    sha256 : str
        Of its content, by which campaigns name it.
    location : str
        Where it is kept: a path, or the URL of a file elsewhere.
    inputs : list of dict
        As :func:`.examine` has them.
    known : bool
        It was there before.
    """

    sha256: str
    location: str
    size_bytes: int
    inputs: list[dict[str, Any]]
    known: bool

    @property
    def name(self) -> str:
        """What the file is called."""
        return self.location.rpartition("/")[2]


class Uploads:
    """The folder. Where files are kept elsewhere, it holds what is on its way; see :mod:`.elsewhere`.

    Parameters
    ----------
    folder : Path
        It is made with the first upload.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        #: Of what looks into a file: who waits for that keeps no thread from others.
        self.examining = CapacityLimiter(_EXAMINED_AT_ONCE)

    @property
    def folder(self) -> Path:
        """Where they are."""
        return self._folder

    def clear(self) -> None:
        """Remove what uploads left that no server brought to an end."""
        for path in self._folder.glob(f"{_NEW}*"):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > _LEFT_SECONDS:
                    path.unlink()

    def location_of(self, sha256: str) -> str:
        """Return where a content is kept.

        Raises
        ------
        UsageError
            That is no digest.
        NotFoundError
            It was not uploaded here.
        """
        if not re.fullmatch(r"[0-9a-f]{64}", sha256):
            raise UsageError(
                f"{sha256[:80]!r} is no SHA-256 in hexadecimal digits; an upload answers with its own"
            )
        found = self._kept(sha256)
        if found is None:
            raise NotFoundError(f"no model {sha256} was uploaded here")
        return found

    def file_of(self, sha256: str) -> Path:
        """Return a content as a file of this machine; see above."""
        return Path(self.location_of(sha256))

    def find(self, sha256: str) -> Upload:
        """Return what was uploaded under a content; see above."""
        location, file = self.location_of(sha256), self.file_of(sha256)
        return Upload(sha256, location, file.stat().st_size, examine(file), True)

    async def take(
        self, name: str, content: AsyncIterator[bytes], most_bytes: int, wanted: str | None = None
    ) -> Upload:
        """Keep a model: whole, or nothing of it.

        Parameters
        ----------
        name : str
            What it is called; a folder in it is left out.
        most_bytes : int
            It may not be larger.
        wanted : str, optional
            SHA-256 that it has to have.

        Raises
        ------
        ModelError
            It is no ONNX file.
        RefusedError
            It is too large, or not what it should be, or the disk is full.
        """
        called = file_name(name)
        new = self._folder / f"{_NEW}{uuid.uuid4().hex}"
        try:
            with refused_by_the_disk():
                self._folder.mkdir(parents=True, exist_ok=True)
                size, sha256 = await _receive(content, new, most_bytes)
            if not size:
                raise UsageError("nothing was uploaded: send the ONNX file as the body")
            if wanted not in (None, sha256):
                raise RefusedError(
                    400, f"what arrived is another file ({size:,} bytes) than was announced: send it again"
                )
            inputs = await to_thread.run_sync(examine, new, limiter=self.examining)
            location = known = await to_thread.run_sync(self._kept, sha256)
            if location is None:
                with refused_by_the_disk():
                    location = await to_thread.run_sync(self._keep, new, sha256, called)
            return Upload(sha256, location, size, inputs, known is not None)
        finally:
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)

    def _kept(self, sha256: str) -> str | None:
        """Return where a content is kept; None where it isn't."""
        return next((str(path) for path in sorted((self._folder / sha256).glob(f"*{SUFFIX}"))), None)

    def _keep(self, new: Path, sha256: str, called: str) -> str:
        """Keep a file whose content is not there yet, and say where."""
        home = self._folder / sha256
        home.mkdir(exist_ok=True)
        os.replace(new, home / called)
        return str(home / called)


async def _receive(content: AsyncIterator[bytes], new: Path, most_bytes: int) -> tuple[int, str]:
    """Write what comes into a new file; return its size and its SHA-256."""
    digest = hashlib.sha256()
    size = 0
    with new.open("xb") as file:
        async for chunk in content:
            size += len(chunk)
            if size > most_bytes:
                raise RefusedError(
                    413, f"this file is larger than {most_bytes:,} bytes, the most that may be uploaded"
                )
            digest.update(chunk)
            await to_thread.run_sync(file.write, chunk)
        file.flush()
        await to_thread.run_sync(os.fsync, file.fileno())
    return size, digest.hexdigest()


def file_name(name: str) -> str:
    """Return a name that is safe for a file, as near as may be to the one that was given."""
    stem = name.replace("\\", "/").rsplit("/", 1)[-1].removesuffix(SUFFIX)
    stem = re.sub(r"[^\w.-]+", "_", stem).strip("._-")[:_NAME_LENGTH]
    return f"{stem or 'model'}{SUFFIX}"
