"""What a path leads to, found out without opening it: some things must not be opened to be looked at."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile

__all__ = ["full_temporary_folder", "irregular", "why_no_model"]

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}
_LITTLE_BYTES = 2**18
# A protobuf message can't be longer.
_MOST_BYTES = 2**31 - 1


def irregular(mode: int) -> str:
    """Name what is no regular file, by the mode that ``stat`` gives; empty for one that is."""
    return _KINDS.get(stat.S_IFMT(mode), "")


def why_no_model(status: os.stat_result) -> str:
    """Say why something can't be read as an ONNX file; empty where it can.

    A FIFO would be waited for, a device never end, and neither gives the same twice. Files of ``/proc`` are
    all empty by their size, and to read one may mean to wait for ever.
    """
    kind = irregular(status.st_mode)
    if kind:
        return f"is {kind}, and a model is read more than once: save it as a file"
    if not status.st_size:
        return "is empty; download or export the model again"
    if status.st_size > _MOST_BYTES:
        return "is no ONNX model: a file of one has less than 2 GiB, with larger weights beside it"
    return ""


def full_temporary_folder() -> str:
    """Say that the folder for temporary files is full, and what to do; empty where it isn't.

    A compiler that can't write there says something else, or ends without a word.
    """
    folder = tempfile.gettempdir()
    with contextlib.suppress(OSError):
        if shutil.disk_usage(folder).free < _LITTLE_BYTES:
            return f"; {folder} is full: free some space, or set TMPDIR to another folder"
    return ""
