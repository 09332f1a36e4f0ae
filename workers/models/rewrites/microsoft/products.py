"""Matrix products, with what is done before and after them."""

from __future__ import annotations

from typing import Any

from workers.models import _graphs
from workers.models.rewrites.edit import Edit
from workers.models.rewrites.microsoft.activations import activated, fast_gelu
from workers.models.rewrites.microsoft.writing import add, first_type, number

__all__ = ["RULES"]


def _moved(node: Any, edit: Edit, place: int, side: str) -> str | None:
    """Return one side of a FusedMatMul as the product takes it; None where its rank isn't known yet."""
    name = str(node.input[place])
    swapped = bool(_graphs.attribute(node, f"trans{side}", 0))
    batched = bool(_graphs.attribute(node, f"transBatch{side}", 0))
    if not (swapped or batched):
        return name
    shape = edit.shape(name)
    if shape is None:
        return None
    axes = list(range(len(shape)))
    if batched and len(axes) > 2:
        # The first axis goes behind those of the batch.
        axes = [*axes[1:-1], axes[0], axes[-1]]
    if swapped and len(axes) > 1:
        axes = [*axes[:-2], axes[-1], axes[-2]]
    return str(edit.emit("Transpose", [name], perm=axes)) if axes != sorted(axes) else name


def _product(node: Any, edit: Edit) -> list[str] | None:
    sides = [_moved(node, edit, place, side) for place, side in enumerate("AB")]
    alpha, dtype = float(_graphs.attribute(node, "alpha", 1.0)), first_type(node, edit, 0, 1)
    left, right = sides
    if left is None or right is None or not dtype:
        return None
    result = edit.emit("MatMul", [left, right])
    if alpha != 1.0:
        result = edit.emit("Mul", [result, number(edit, alpha, dtype)])
    return [result]


def _gemm(node: Any, edit: Edit) -> list[str] | None:
    dtype = first_type(node, edit, 0, 1, 2)
    if not dtype:
        return None
    numbers = ("activation_alpha", "activation_beta", "activation_gamma")
    plain = _graphs.attributes(node, "activation", *numbers)
    return [activated(node, edit, edit.emit("Gemm", list(node.input), **plain), dtype)]


def _gemm_gelu(node: Any, edit: Edit) -> list[str] | None:
    dtype = first_type(node, edit, 0, 1, 2)
    if not dtype:
        return None
    product = edit.emit("MatMul", list(node.input[:2]))
    return [fast_gelu(edit, add(edit, product, edit.input(node, 2)), dtype)]


RULES = {
    "FusedGemm": _gemm,
    "FusedMatMul": _product,
    "GemmFastGelu": _gemm_gelu,
    "TransposeMatMul": _product,
}
