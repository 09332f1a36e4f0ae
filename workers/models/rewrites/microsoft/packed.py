"""Weights of 2, 4 and 8 bits in blocks, as onnxruntime's weight-only quantizer packs them.

They become the numbers that they stand for, in the activations' type: of 4 bits eight times the size in
float32. Multiplying with them packed reads less memory, which is what a single row of a large model waits
for; but its kernels would be of a kind of their own, which neither the layouts nor the schedules here know,
and a product of many rows gains nothing by it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from workers.models import _graphs
from workers.models.rewrites.edit import Edit
from workers.models.rewrites.microsoft.writing import add, first_type, refusal

__all__ = ["RULES", "unpacked"]

_WIDTHS = (2, 4, 8)
_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)


def unpacked(values: npt.NDArray[Any], bits: int) -> npt.NDArray[np.uint8]:
    """Return the numbers of `bits` bits that bytes hold, the lowest bits first, along the last axis."""
    raw = values.view(np.uint8)
    each = 8 // bits
    parts = [(raw >> np.uint8(bits * place)) & np.uint8(2**bits - 1) for place in range(each)]
    return np.stack(parts, axis=-1).reshape(*raw.shape[:-1], raw.shape[-1] * each)


def _known(node: Any, edit: Edit, place: int, what: str) -> npt.NDArray[Any] | None:
    name = edit.input(node, place)
    values = edit.constant(name)
    if name and values is None:
        raise refusal(node, f"its {what} ('{name}') are computed; they have to be constants to be unpacked")
    return values


def _groups(node: Any, edit: Edit, width: int, block: int, blocks: int) -> npt.NDArray[np.int64]:
    """Return the block whose scale each row of the weights has."""
    given = _known(node, edit, 4, "groups (g_idx)")
    if given is None:
        return np.arange(width, dtype=np.int64) // block
    groups = given.reshape(-1)[:width].astype(np.int64)
    if groups.size < width or groups.min() < 0 or groups.max() >= blocks:
        raise refusal(
            node,
            f"its groups (g_idx, '{node.input[4]}') name {groups.size} rows and blocks up to {groups.max()}; "
            f"there are {width} rows and {blocks} blocks",
        )
    return groups


def _zeros(node: Any, edit: Edit, rows: int, blocks: int, bits: int) -> npt.NDArray[Any]:
    given = _known(node, edit, 3, "zero points")
    if given is None:
        return np.full((rows, blocks), 2 ** (bits - 1), np.float32)
    if given.dtype == np.uint8:
        places = -(-blocks * bits // 8)
        if given.size != rows * places:
            raise refusal(
                node,
                f"its zero points ('{node.input[3]}') are {given.size} bytes; {rows * places} are needed",
            )
        given = unpacked(given.reshape(rows, places), bits)[:, :blocks]
    zeros = given.reshape(rows, blocks).astype(np.float32)
    if not (np.all(zeros >= 0) and np.all(zeros <= 2**bits - 1)):
        raise refusal(
            node,
            f"its zero points ('{node.input[3]}') reach from {zeros.min():g} to {zeros.max():g}, and {bits} "
            f"bits from 0 to {2**bits - 1}",
        )
    return zeros


def _product(node: Any, edit: Edit) -> list[str] | None:
    """MatMulNBits: rows of the weights are packed along what is summed over, in blocks with a scale each."""
    dtype = first_type(node, edit, 2, 0)
    if dtype not in _FLOATS:
        raise refusal(node, "its scales are of another type than float and float16")
    width, rows = (int(_graphs.attribute(node, name, 0)) for name in ("K", "N"))
    bits, block = int(_graphs.attribute(node, "bits", 4)), int(_graphs.attribute(node, "block_size", 0))
    if bits not in _WIDTHS:
        raise refusal(node, f"weights of {bits} bits can't be unpacked; 2, 4 and 8 can")
    if width < 1 or rows < 1 or block < 1:
        raise refusal(node, f"K, N and block_size are {width}, {rows} and {block}; all have to be positive")
    blocks = -(-width // block)
    weights, scales = _known(node, edit, 1, "weights"), _known(node, edit, 2, "scales")
    if weights is None or scales is None:
        return None
    size = rows * blocks * block * bits // 8
    if weights.size != size or scales.size != rows * blocks:
        raise refusal(
            node,
            f"its weights are {weights.size} bytes with {scales.size} scales; {rows} times {width} of {bits} "
            f"bits in blocks of {block} are {size} with {rows * blocks}",
        )
    whole = unpacked(weights.reshape(rows, -1), bits)[:, :width].astype(np.float32)
    groups = _groups(node, edit, width, block, blocks)
    zeros = _zeros(node, edit, rows, blocks, bits)[:, groups]
    wide = (whole - zeros) * scales.reshape(rows, blocks).astype(np.float32)[:, groups]
    kind = np.float16 if dtype == TensorProto.FLOAT16 else np.float32
    made = edit.emit("MatMul", [node.input[0], edit.store(np.ascontiguousarray(wide.T).astype(kind))])
    return [add(edit, made, edit.input(node, 5))]


def _gathered(node: Any, edit: Edit) -> list[str] | None:
    """GatherBlockQuantized: rows of a table of blocks."""
    table, scales = _known(node, edit, 0, "entries"), _known(node, edit, 2, "scales")
    zeros = _known(node, edit, 3, "zero points")
    if table is None or scales is None:
        return None
    bits, block = int(_graphs.attribute(node, "bits", 4)), int(_graphs.attribute(node, "block_size", 128))
    signless = edit.type(node.input[0]) == TensorProto.UINT8
    if signless:
        table = unpacked(table, bits)
        zeros = unpacked(zeros, bits) if zeros is not None else None
    axis = int(_graphs.attribute(node, "quantize_axis", 1)) % table.ndim
    places = np.arange(table.shape[axis]) // block
    wide = table.astype(np.float32)
    if zeros is not None:
        wide = wide - np.take(zeros.astype(np.float32), places, axis=axis)
    elif signless:
        wide = wide - np.float32(2 ** (bits - 1))
    wide = wide * np.take(scales.astype(np.float32), places, axis=axis)
    made = edit.emit(
        "Gather",
        [edit.store(wide.astype(scales.dtype)), node.input[1]],
        axis=int(_graphs.attribute(node, "gather_axis", 0)),
    )
    return [made]


RULES = {"GatherBlockQuantized": _gathered, "MatMulNBits": _product}
