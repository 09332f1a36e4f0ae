"""Weights that lie in a file beside a model's message, which is mapped rather than read.

A protobuf message holds less than 2 GiB, and what is in one is copied with it wherever it goes. So large
tensors of a :class:`workers.messages.PreparedModel` are named by their file, offset and length, as ONNX's
external data is; the file's name is absolute. Every process of this machine maps the same pages.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable
from typing import Any

__all__ = ["fill", "mapped", "place_of", "put_at"]

# onnx.TensorProto.EXTERNAL; onnx itself isn't imported, engines have versions of their own.
_EXTERNAL = 1


def place_of(tensor: Any) -> tuple[str, int, int] | None:
    """Return the file, the offset and the length (bytes) of a tensor; None of one whose data it holds."""
    if tensor.data_location != _EXTERNAL:
        return None
    entries = {entry.key: entry.value for entry in tensor.external_data}
    return entries["location"], int(entries["offset"]), int(entries["length"])


def put_at(tensor: Any, file: str, offset: int, length: int) -> None:
    """Have a tensor name the place of its data, in place of holding it."""
    tensor.ClearField("raw_data")
    del tensor.external_data[:]
    tensor.data_location = _EXTERNAL
    for key, value in (("location", file), ("offset", offset), ("length", length)):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, str(value)


def mapped(tensor: Any) -> memoryview:
    """Map the data of a tensor that names its place. It can't be written to.

    Raises
    ------
    ValueError
        The file ends before the tensor does.
    """
    place = place_of(tensor)
    assert place is not None, f"{tensor.name} holds its data"
    file, offset, length = place
    if not length:  # nothing is nowhere, and can't be mapped
        return memoryview(b"")
    before = offset % mmap.ALLOCATIONGRANULARITY
    with open(file, "rb") as opened:
        pages = mmap.mmap(opened.fileno(), before + length, access=mmap.ACCESS_READ, offset=offset - before)
    return memoryview(pages)[before:]


def fill(tensors: Iterable[Any]) -> None:
    """Put the data of tensors into them, in place, where it is in a file."""
    for tensor in tensors:
        if tensor.data_location == _EXTERNAL:
            data = bytes(mapped(tensor))
            tensor.ClearField("external_data")
            tensor.ClearField("data_location")
            tensor.raw_data = data
