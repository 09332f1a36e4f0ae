"""Models that lie elsewhere, behind an fsspec URL: fetched once, and kept by their content."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Any

import platformdirs

from orchestrator.errors import ModelError, UsageError
from orchestrator.files import digest_of_file

__all__ = ["FileSystem", "file_system", "is_elsewhere", "local_file"]

# `C:\model.onnx` is no URL, and `s3://bucket` is.
_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_SHA256 = re.compile("[0-9a-f]{64}")
#: As fsspec has it; it ships no types.
FileSystem = Any


def is_elsewhere(path: str) -> bool:
    """Whether a path is the URL of a file, rather than one of this machine's file system."""
    return _URL.match(path) is not None


def file_system(url: str) -> tuple[FileSystem, str]:
    """Return what reads and writes at an fsspec URL, and the path that the URL is there.

    Raises
    ------
    UsageError
        fsspec isn't installed, or what it needs for this protocol; or it knows none such.
    """
    try:
        import fsspec
    except ImportError:
        raise UsageError(f"{url} takes fsspec: pip install 'tunefleet[uploads]'") from None
    try:
        system, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise UsageError(f"{url} can't be reached: {error}") from None
    except ValueError as error:
        raise UsageError(f"{url} is no URL that fsspec knows: {error}") from None
    return system, str(path)


def local_file(url: str) -> Path:
    """Return a copy of a model that lies in a folder named by its SHA-256; it is fetched once.

    Raises
    ------
    ModelError
        It isn't there, or is another file than its folder says.
    UsageError
        See :func:`file_system`.
    """
    home, _, name = url.rpartition("/")
    sha256 = home.rpartition("/")[2]
    if not _SHA256.fullmatch(sha256):
        raise ModelError(f"{url} is no model that was uploaded: its folder isn't called by its SHA-256")
    kept = platformdirs.user_cache_path("tunefleet", appauthor=False) / "uploads" / sha256 / name
    if kept.is_file():
        return kept
    system, path = file_system(url)
    kept.parent.mkdir(parents=True, exist_ok=True)
    new = kept.with_name(f".{kept.name}.{os.getpid()}")
    try:
        try:
            system.get_file(path, str(new))
        except FileNotFoundError:
            raise ModelError(f"there is no model {url} any more: upload it, and submit it again") from None
        except OSError as error:
            raise ModelError(f"{url} can't be read: {error}") from None
        if digest_of_file(new) != sha256:
            raise ModelError(f"{url} is another file than was uploaded: its SHA-256 isn't its folder's name")
        new.replace(kept)
    finally:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
    return kept
