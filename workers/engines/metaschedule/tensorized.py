"""What schedules name instructions by: TVM's tensor intrinsics, each made when it is asked for first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from tvm.ir import IRModule
from tvm.s_tir import TensorIntrin
from tvm.script import tirx as T  # noqa: N812  (as TVMScript is written)
from tvm.target import Target

from workers.engines.metaschedule._intrinsics import cheap_frames
from workers.engines.metaschedule.dot_products import (
    BY_NAME,
    DotProduct,
    bfloat_products_of,
    dot_products_of,
    in_language,
)
from workers.engines.metaschedule.targets import cores_of
from workers.engines.metaschedule.tile_intrinsics import intrinsic_of
from workers.engines.metaschedule.tiles import Tiles, tiles_in, tiles_named
from workers.engines.metaschedule.workload import only_function

__all__ = ["intrinsic_for", "register_named"]


def intrinsic_for(module: IRModule, target: Target) -> str:
    """Return what a kernel is tensorized with, and TVM knows then; empty where that is nothing of ours.

    Parameters
    ----------
    module : IRModule
        One kernel.
    """
    for dot in (*dot_products_of(target), *bfloat_products_of(target)):
        if dot.name and _multiplies(module, dot):
            found = tiles_in(module, dot, cores_of(target)) if dot.of_tiles else dot
            if found is not None:
                _register(found)
                return found.name
    return ""


def _multiplies(module: IRModule, dot: DotProduct) -> bool:
    params = only_function(module).params[:-1]
    read = Counter(str(param.ty.dtype) for param in params if hasattr(param.ty, "dtype"))
    return Counter((dot.data, dot.weights)) <= read


def register_named(instructions: Iterable[Any]) -> None:
    """Register the instructions that a trace names.

    Parameters
    ----------
    instructions : iterable
        Of the trace, as its JSON is read.
    """
    for _, inputs, attrs, _ in instructions:
        for value in (*inputs, *attrs):
            name = value.strip('"') if isinstance(value, str) else ""
            found = BY_NAME.get(name) or tiles_named(name)
            if found is not None:
                _register(found)


def _register(found: DotProduct | Tiles) -> None:
    # Not before somebody needs it: to read their text takes a quarter of a second.
    if TensorIntrin.get(found.name, allow_missing=True) is None:
        with cheap_frames():
            TensorIntrin.register(
                found.name, *(intrinsic_of(found) if isinstance(found, Tiles) else _intrinsic(found))
            )


def _intrinsic(dot: DotProduct) -> tuple[Any, Any]:
    """Return what an instruction computes, and itself."""
    lanes, factor, data, weights, number = dot.lanes, dot.factor, dot.data, dot.weights, dot.sums
    wide = dot.widened
    group, vector, sums = f"{data}x{factor}", f"{weights}x{lanes * factor}", f"{number}x{lanes}"

    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def meaning(a: T.handle, b: T.handle, c: T.handle) -> None:
        x = T.match_buffer(a, (factor,), data, offset_factor=1)
        w = T.match_buffer(b, (lanes, factor), weights, offset_factor=1)
        y = T.match_buffer(c, (lanes,), number, offset_factor=1)
        with T.sblock("root"):
            T.reads(y[0:lanes], x[0:factor], w[0:lanes, 0:factor])
            T.writes(y[0:lanes])
            for i in T.serial(0, lanes):
                for k in T.serial(0, factor):
                    with T.sblock("update"):
                        vi, vk = T.axis.remap("SR", [i, k])
                        y[vi] = y[vi] + wide(x[vk]) * wide(w[vi, vk])

    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def computed(a: T.handle, b: T.handle, c: T.handle) -> None:
        x = T.match_buffer(a, (factor,), data, offset_factor=1)
        w = T.match_buffer(b, (lanes, factor), weights, offset_factor=1)
        y = T.match_buffer(c, (lanes,), number, offset_factor=1)
        with T.sblock("root"):
            T.reads(y[0:lanes], x[0:factor], w[0:lanes, 0:factor])
            T.writes(y[0:lanes])
            each = T.broadcast(T.reinterpret(x.vload([0], group), dtype="int32"), lanes)
            y[T.ramp(T.int32(0), 1, lanes)] = dot.added(y.vload([0], sums), each, w.vload([0, 0], vector))

    return meaning, in_language(computed, dot.language)
