"""Kernels that the importer writes itself, where Relax has an operator for them: Clip's and Pad's."""

from __future__ import annotations

from typing import Any

from tvm import relax, tirx, topi
from tvm.ir import Call, IRModule
from tvm.ir.expr import TensorLoad
from tvm.relax.utils import gen_call_tir_inputs
from tvm.s_tir import SBlockRealize
from tvm.sym.analyzer import Analyzer
from tvm_ffi import structural_equal

from workers.engines.metaschedule.layouts.tensors import is_call, shape_of

__all__ = ["as_operator"]

_LIMITS = {"maximum": topi.maximum, "minimum": topi.minimum}
# By the mode that Relax has for them.
_PADS = {"mirror_pad": "reflect", "replicate_pad": "replicate", "circular_pad": "circular", "pad": "constant"}
_LOWERED: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "constant": (topi.nn.pad, ()),
    "reflect": (topi.nn.mirror_pad, ("REFLECT",)),
    "replicate": (topi.nn.replicate_pad, ()),
    "circular": (topi.nn.circular_pad, ()),
}


def as_operator(module: IRModule, call: relax.Call) -> relax.Call:
    """Return the operator that a call of a kernel is; the call itself, where it is none that is known."""
    if not is_call(call, "relax.call_tir") or shape_of(call) is None:
        return call
    name, arguments = call.args[0].name_hint.rstrip("0123456789"), list(call.args[1])
    found = module[call.args[0]]
    if name in _LIMITS and len(arguments) == 2 and _is(found, _LIMITS[name], *arguments):
        return relax.BlockBuilder().normalize(getattr(relax.op, name)(*arguments))
    if name in _PADS and len(arguments) == 1:
        made = _pad(found, call, arguments[0], _PADS[name])
        return call if made is None else made
    return call


def _pad(found: tirx.PrimFunc, call: relax.Call, data: relax.Expr, mode: str) -> relax.Call | None:
    sizes, made = shape_of(data), shape_of(call)
    if sizes is None or made is None:
        return None
    store, load = _parts(found)
    if store is None:
        return None
    before = [
        _width_before(store, load, axis, *both) for axis, both in enumerate(zip(sizes, made, strict=True))
    ]
    after = [there - had - one for had, there, one in zip(sizes, made, before, strict=True)]
    if min(*before, *after) < 0:
        return None
    value = float(_otherwise(store)) if mode == "constant" else 0.0
    lowered, more = _LOWERED[mode]
    # That it is what was looked for shows in its being the same kernel.
    if not _is(found, lowered, data, before, after, *((value,) if mode == "constant" else more)):
        return None
    widths = [width for pair in zip(before, after, strict=True) for width in pair]
    return relax.BlockBuilder().normalize(relax.op.nn.pad(data, widths, mode, value))


def _parts(found: tirx.PrimFunc) -> tuple[Any, Any]:
    """Return where a kernel of one statement writes, and where it reads; for what is none, two times None."""
    inner: Any = found.body
    while not isinstance(inner, tirx.BufferStore):
        inner = inner.block.body if isinstance(inner, SBlockRealize) else getattr(inner, "body", None)
        if inner is None:
            return None, None
    value = inner.value.args[1] if isinstance(inner.value, Call) else inner.value
    return (inner, value) if isinstance(value, TensorLoad) else (None, None)


def _width_before(store: Any, load: Any, axis: int, size: int, made: int) -> int:
    """Return how much is put before an axis; -1 where that can't be seen."""
    if size == made:
        return 0
    variables, analyzer = list(store.indices), Analyzer()
    read = tirx.IndexMap(variables, [load.indices[axis]], None)

    def read_at(place: int) -> int:
        places = [tirx.IntImm("int64", place if n == axis else 0) for n in range(len(variables))]
        return int(analyzer.simplify(read.map_indices(places)[0]))

    first = range(min(2, size))
    return next((n for n in range(made - size + 1) if all(read_at(n + step) == step for step in first)), -1)


def _otherwise(store: Any) -> float:
    """Return what a kernel writes where it reads nothing."""
    value = store.value
    return float(value.args[2].value) if isinstance(value, Call) else 0.0


def _is(found: tirx.PrimFunc, lowered: Any, *arguments: Any) -> bool:
    named = [relax.Var("x", arg.ty) if isinstance(arg, relax.Expr) else arg for arg in arguments]
    expected, _, _ = gen_call_tir_inputs(lowered, *named)
    return bool(structural_equal(*(func.with_attr("global_symbol", "main") for func in (expected, found))))
