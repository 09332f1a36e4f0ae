"""What TVM's fusion is told of kernels."""

from __future__ import annotations

import math
from collections.abc import Iterator

import tvm
from tvm import relax
from tvm.ir import IRModule
from tvm.tirx import IntImm, PrimFunc

__all__ = ["INJECTIVE", "JOINED_BY_ELEMENTS", "OPAQUE", "pattern_of", "set_apart"]

# TVM's number for what computes element by element, a broadcast among it.
_BROADCAST = 1
#: TVM's number for what moves elements.
INJECTIVE = 2
#: TVM's number for what is joined by element by element operators alone.
JOINED_BY_ELEMENTS = 4
#: TVM's number for what is joined by nothing.
OPAQUE = 8
# So many operations for each element are much: a linear resize has ten.
_MUCH = 4


def set_apart(module: IRModule) -> IRModule:
    """Keep what is computed out of kernels that put together what it takes or gives.

    Within a concat, each part is computed under a condition, number by number: a linear resize there took 18
    times as long as by itself, and so did the sigmoid of a detector's scores. What follows either element by
    element joins it still. What reads a concat is computed under its conditions too: where that is much, the
    concat is a kernel of its own, and writes once more what it moves.
    """
    apart = {name for name, func in _moving(module).items() if _per_element(func) >= _MUCH}
    patterns = dict.fromkeys(apart.union(_concats_of_computed(module)), JOINED_BY_ELEMENTS)
    patterns |= dict.fromkeys(_concats_that_are_computed_with(module), OPAQUE)
    for var, func in list(module.functions.items()):
        if var.name_hint in patterns:
            module.update_func(var, func.with_attr("op_pattern", patterns[var.name_hint]))
    return module


def _moving(module: IRModule) -> dict[str, PrimFunc]:
    return {
        var.name_hint: func
        for var, func in module.functions.items()
        if isinstance(func, PrimFunc) and pattern_of(func) == INJECTIVE
    }


def pattern_of(func: PrimFunc) -> int:
    """Return TVM's number for how a kernel is joined with others; -1 where it has none."""
    pattern = None if func.attrs is None else func.attrs.get("op_pattern")
    return -1 if pattern is None else int(pattern)


def _per_element(func: PrimFunc) -> float:
    """Return the operations for each element of a kernel's result; 0 where its size isn't known."""
    written = func.params[-1].ty.shape
    if not all(isinstance(extent, IntImm) for extent in written):
        return 0.0
    operations = float(tvm.s_tir.analysis.estimate_tir_flops(IRModule({"main": func})))
    return operations / max(1, math.prod(int(extent) for extent in written))


def _calls(module: IRModule) -> Iterator[tuple[relax.Var, str, set[relax.Var]]]:
    """Yield the calls of kernels in their order: what each gives, its kernel, and what it takes."""
    for func in module.functions.values():
        if not isinstance(func, relax.Function):
            continue
        for binding in (one for block in func.body.blocks for one in block.bindings):
            call = binding.value
            if isinstance(call, relax.Call) and getattr(call.op, "name", "") == "relax.call_tir":
                taken = {part for part in call.args[1] if isinstance(part, relax.Var)}
                yield binding.var, call.args[0].name_hint, taken


def _concats_of_computed(module: IRModule) -> Iterator[str]:
    """Yield the concats of which a part would be computed in them, element by element."""
    # What is the end of a convolution or a product, and of what it is joined by; and what is computed, or
    # moved of what is computed, and isn't.
    follows: set[relax.Var] = set()
    computed: set[relax.Var] = set()
    for var, kernel, parts in _calls(module):
        pattern = pattern_of(module[kernel])
        if pattern == JOINED_BY_ELEMENTS or (0 <= pattern <= _BROADCAST and parts & follows):
            follows.add(var)
        elif 0 <= pattern <= _BROADCAST or (pattern == INJECTIVE and parts & computed):
            computed.add(var)
        if kernel.startswith("concatenate") and parts & computed:
            yield kernel


def _concats_that_are_computed_with(module: IRModule) -> Iterator[str]:
    """Yield the concats of which what reads them, element by element, computes much."""
    # Of what is made of a concat: which one, and the operations for each element since.
    since: dict[relax.Var, tuple[str, float]] = {}
    for var, kernel, parts in _calls(module):
        func = module[kernel]
        if not 0 <= pattern_of(func) <= INJECTIVE:
            continue
        if kernel.startswith("concatenate"):
            since[var] = kernel, 0.0
            continue
        operations = _per_element(func)
        for concat, before in [since[part] for part in parts if part in since]:
            if before + operations >= _MUCH:
                yield concat
            since[var] = concat, before + operations
