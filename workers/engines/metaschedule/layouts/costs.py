"""What convolutions and transforms take in each layout, as far as that can be told before anything is tuned.

Against each other stand the arithmetic of the convolutions, which runs at a part of the machine's peak that
depends on the layout, and the bytes that transforms move. What else a model does takes as long in one layout
as in another.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tvm import relax
from tvm.ir import IRModule
from tvm.target import Target

from workers.engines.metaschedule.layouts.tensors import op_name, shape_of
from workers.engines.metaschedule.layouts.transforms import Transform
from workers.engines.metaschedule.layouts.widths import share_of_rate
from workers.engines.metaschedule.targets import vector_bits

__all__ = ["Convolution", "Rates", "convolutions", "convolutions_by_name"]

# Of the peak, what tuned convolutions were seen to reach: dense ones, and those of one channel each, which
# read as much as they compute.
_REACHED = {"blocked": (0.7, 0.25), "nhwc": (0.6, 0.22), "nchw": (0.33, 0.12)}
# Multiplications and additions of one number in a cycle: two units for fused ones.
_FLOPS_PER_LANE = 4
_CYCLES = 3e9
# A transform reads or writes apart what lies side by side: bytes a second of one core.
_MOVED = 4e9
_CONVOLUTIONS = ("conv1d", "conv2d", "conv3d", "conv1d_transpose", "conv2d_transpose", "conv3d_transpose")


@dataclass(frozen=True)
class Convolution:
    """A convolution of a model, transposed ones among them.

    Attributes
    ----------
    flops : float
        A multiplication and an addition are two; those with the zeros of a transposed one don't count, but
        those for places of blocks that hold no channel do.
    depthwise : bool
        Each channel by itself.
    block : int or None
        Places of a block of its result, 0 for NCHW; None where that is a matter of the layout.
    """

    flops: float
    depthwise: bool
    block: int | None = None


class Rates:
    """How fast a CPU is, roughly: only times of one model against each other mean anything."""

    def __init__(self, target: Target) -> None:
        self._cores = int(target.attrs.get("num-cores", 1))
        self._lanes = vector_bits(target) // 32
        self._peak = self._cores * _CYCLES * _FLOPS_PER_LANE * self._lanes

    def convolving_s(self, found: Iterable[Convolution], layout: str) -> float:
        """Return the seconds that convolutions take."""
        dense, depthwise = _REACHED[layout]

        def seconds(one: Convolution) -> float:
            share = 1.0 if one.block is None else share_of_rate(one.block, self._lanes)
            return one.flops / self._peak / (depthwise if one.depthwise else dense) / share

        return sum(map(seconds, found))

    def moving_s(self, transforms: Iterable[Transform]) -> float:
        """Return the seconds that transforms take."""
        return sum(2 * one.bytes for one in transforms) / (self._cores * _MOVED)


def convolutions(module: IRModule) -> Iterator[Convolution]:
    """Find the convolutions that are operators: those in blocks are kernels, and aren't among them."""
    return (found for _, found in convolutions_by_name(module))


def convolutions_by_name(module: IRModule) -> Iterator[tuple[relax.Var, Convolution]]:
    """Find them, each with the variable of its result."""
    for block in module["main"].body.blocks:
        for binding in block.bindings:
            value = binding.value
            name = op_name(value).removeprefix("relax.nn.")
            if name in _CONVOLUTIONS:
                yield binding.var, _convolution(value, transposed=name.endswith("transpose"))


def _convolution(call: relax.Call, *, transposed: bool) -> Convolution:
    data, weights = call.args
    out, kernel = shape_of(call) or (), shape_of(weights) or ()
    of = shape_of(data) or () if transposed else out
    groups = int(call.attrs.groups)
    depthwise = 1 < groups == (out[1] if len(out) > 1 else 0)
    return Convolution(2 * math.prod(of) * math.prod(kernel[1:]), depthwise)
