"""A serialized model without its large tensors, made without reading those.

Protobuf has a message read whole. But it is a plain sequence of fields, each with its number and its length
(https://protobuf.dev/programming-guides/encoding), so that what is large can be stepped over.
"""

from __future__ import annotations

from collections.abc import Iterator

from onnx import TensorProto

from workers.models import _mapped

__all__ = ["HERE", "without_large_tensors"]

#: What a tensor names as its file that lies in the very file of its model; no file can have this name.
HERE = "\0"

# The numbers of the fields through which a large tensor is reached, in onnx.proto. Graphs inside nodes are
# not entered: what they hold stays in the message.
_INSIDE = {
    "model": {7: "graph"},
    "graph": {1: "node", 5: "tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor"},
}
_DIMS, _DATA_TYPE, _RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION = 1, 2, 9, 13, 14
_VARINT, _EIGHT_BYTES, _SIZED, _FOUR_BYTES = 0, 1, 2, 5


def without_large_tensors(data: memoryview) -> bytes:
    """Return a serialized model whose large tensors name their place in `data` instead of holding it.

    Raises
    ------
    ValueError
        `data` is no message, or cut off.
    """
    found = _rewritten("model", data, 0, len(data))
    return bytes(data) if found is None else found


def _rewritten(kind: str, data: memoryview, start: int, end: int) -> bytes | None:
    """Return a message with what is large in it left out; None where there is nothing."""
    if kind == "tensor":
        return _placed(data, start, end)
    inside = _INSIDE[kind]
    parts: list[bytes | memoryview] = []
    copied = start
    for at, number, wire, first, last in _fields(data, start, end):
        if wire != _SIZED or number not in inside or last - first < _mapped.LARGE:
            continue
        made = _rewritten(inside[number], data, first, last)
        if made is not None:
            parts += [data[copied:at], _sized(number, made)]
            copied = last
    if not parts:
        return None
    return b"".join([*parts, data[copied:end]])


def _placed(data: memoryview, start: int, end: int) -> bytes | None:
    """Return a tensor that names the place of its data, where that is large and as long as it should be."""
    dims: list[int] = []
    kind, raw = 0, []
    kept: list[memoryview] = []
    for at, number, wire, first, last in _fields(data, start, end):
        if number == _RAW_DATA and wire == _SIZED:
            raw.append((first, last))
            continue
        kept.append(data[at:last])
        if number == _DIMS and wire == _SIZED:
            while first < last:
                size, first = _varint(data, first, last)
                dims.append(size)
        elif number == _DIMS:
            dims.append(_varint(data, first, last)[0])
        elif number == _DATA_TYPE:
            kind = _varint(data, first, last)[0]
        elif number in (_EXTERNAL_DATA, _DATA_LOCATION):
            return None
    if len(raw) != 1:
        return None
    ((first, last),) = raw
    if not _mapped.is_large(kind, dims) or last - first != _mapped.size_of(kind, dims):
        return None
    place = TensorProto()
    _mapped.put_at(place, HERE, first, last - first)
    return b"".join([*kept, place.SerializeToString()])


def _fields(data: memoryview, start: int, end: int) -> Iterator[tuple[int, int, int, int, int]]:
    """Yield where each field of a message begins, its number, its wire type, and its value's limits."""
    at = start
    while at < end:
        tag, first = _varint(data, at, end)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            last = _varint(data, first, end)[1]
        elif wire == _SIZED:
            size, first = _varint(data, first, end)
            last = first + size
        elif wire in (_EIGHT_BYTES, _FOUR_BYTES):
            last = first + (8 if wire == _EIGHT_BYTES else 4)
        else:
            raise ValueError(f"a field of wire type {wire}")
        if last > end or not number:
            raise ValueError("a field beyond the end of its message")
        yield at, number, wire, first, last
        at = last


def _varint(data: memoryview, at: int, end: int) -> tuple[int, int]:
    """Return a number, and where what follows it begins."""
    value = shift = 0
    while at < end and shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("a number without an end")


def _sized(number: int, message: bytes) -> bytes:
    return _bytes_of(number << 3 | _SIZED) + _bytes_of(len(message)) + message


def _bytes_of(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])
