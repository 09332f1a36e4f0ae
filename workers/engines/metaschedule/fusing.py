"""What TVM's fusion is told of kernels."""

from __future__ import annotations

import math

import tvm
from tvm.ir import IRModule
from tvm.tirx import IntImm, PrimFunc

__all__ = ["set_apart"]

# TVM's numbers for what moves elements, and for what is joined by element by element operators alone.
_INJECTIVE, _JOINED_BY_ELEMENTS = 2, 4
# So many operations for each element are much: a linear resize has ten.
_MUCH = 4


def set_apart(module: IRModule) -> IRModule:
    """Keep what computes much for each element out of the kernels that only move what it gives.

    Within a concat, a linear resize is computed under a condition, number by number. What follows it
    element by element joins it still.
    """
    for var, func in list(module.functions.items()):
        pattern = func.attrs.get("op_pattern") if isinstance(func, PrimFunc) and func.attrs else None
        if pattern is not None and int(pattern) == _INJECTIVE and _per_element(func) >= _MUCH:
            module.update_func(var, func.with_attr("op_pattern", _JOINED_BY_ELEMENTS))
    return module


def _per_element(func: PrimFunc) -> float:
    """Return the operations for each element of a kernel's result; 0 where its size isn't known."""
    written = func.params[-1].ty.shape
    if not all(isinstance(extent, IntImm) for extent in written):
        return 0.0
    operations = float(tvm.s_tir.analysis.estimate_tir_flops(IRModule({"main": func})))
    return operations / max(1, math.prod(int(extent) for extent in written))
