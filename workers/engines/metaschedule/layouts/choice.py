"""Which layout a model gets, where nobody asked for one: the one that takes the least time, as far as that
can be told before anything is tuned.

Against each other stand the arithmetic of the convolutions, which runs at a part of the machine's peak that
depends on the layout, and the bytes that transforms move. What else a model does takes as long in one layout
as in another.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from tvm import relax
from tvm.ir import IRModule
from tvm.target import Target

from workers.engines.metaschedule.layouts.rewrite import LaidOut, with_layout
from workers.engines.metaschedule.layouts.tensors import shape_of
from workers.engines.metaschedule.targets import vector_bits

__all__ = ["Choice", "Convolution", "chosen_layout", "convolutions"]

# Of the peak, what tuned convolutions were seen to reach: dense ones, and those of one channel each, which
# read as much as they compute.
_REACHED = {"blocked": (0.7, 0.25), "nhwc": (0.6, 0.22), "nchw": (0.33, 0.12)}
# Multiplications and additions of one vector in a cycle: two units for fused ones.
_FLOPS_PER_LANE = 4
_CYCLES = 3e9
# A transform reads or writes apart what lies side by side: bytes a second of one core.
_MOVED = 4e9
# Where transforms take less than this part of the time of the convolutions, no other layout is looked at.
_NEGLIGIBLE = 0.05
_CONVOLUTIONS = ("conv1d", "conv2d", "conv3d", "conv1d_transpose", "conv2d_transpose", "conv3d_transpose")
_NAMES = {"blocked": "blocks", "nhwc": "NHWC", "nchw": "NCHW"}


@dataclass(frozen=True)
class Convolution:
    """A convolution of a model, transposed ones among them.

    Attributes
    ----------
    flops : int
        A multiplication and an addition are two; those with the zeros of a transposed one don't count.
    depthwise : bool
        Each channel by itself.
    """

    flops: int
    depthwise: bool


@dataclass(frozen=True)
class Choice:
    """A model in the layout that was chosen for it.

    Attributes
    ----------
    reason : str
        One sentence, for people.
    """

    laid: LaidOut
    reason: str


@dataclass(frozen=True)
class _Estimate:
    laid: LaidOut
    convolutions_s: float
    transforms_s: float

    @property
    def seconds(self) -> float:
        return self.convolutions_s + self.transforms_s

    def __str__(self) -> str:
        count = len(self.laid.transforms)
        moved = sum(transform.bytes for transform in self.laid.transforms)
        transforms = f"with {count} transforms of {moved / 2**20:.1f} MiB " if count else ""
        return f"{_NAMES[self.laid.layout]} {transforms}{self.seconds * 1e3:.3g} ms"


def chosen_layout(module: IRModule, target: Target) -> Choice:
    """Choose the layout of a model, as imported."""
    if target.kind.name != "llvm":
        return Choice(with_layout(module, "nchw", target), "what the model has: the only one tried on GPUs")
    whole = list(convolutions(module))
    if not whole:
        return Choice(with_layout(module, "nchw", target), "there is no convolution")
    blocked = _estimate(with_layout(module, "blocked", target), whole, target)
    if blocked.transforms_s < _NEGLIGIBLE * blocked.convolutions_s:
        plain = _estimate(with_layout(module, "nchw", target), whole, target)
        found = [blocked, plain]
    else:
        found = [
            blocked,
            *(_estimate(with_layout(module, n, target), whole, target) for n in ("nhwc", "nchw")),
        ]
    best, *rest = sorted(found, key=lambda estimate: estimate.seconds)
    told = ", ".join(map(str, rest))
    return Choice(best.laid, f"convolutions and transforms are estimated to take {best}; {told}")


def convolutions(module: IRModule) -> Iterator[Convolution]:
    """Find the convolutions that are operators: those in blocks are kernels, and aren't among them."""
    for block in module["main"].body.blocks:
        for binding in block.bindings:
            value = binding.value
            name = getattr(getattr(value, "op", None), "name", "").removeprefix("relax.nn.")
            if name in _CONVOLUTIONS:
                yield _convolution(value, transposed=name.endswith("transpose"))


def _convolution(call: relax.Call, *, transposed: bool) -> Convolution:
    data, weights = call.args
    out, kernel = shape_of(call) or (), shape_of(weights) or ()
    each = kernel[1:] if kernel else ()
    of = shape_of(data) or () if transposed else out
    groups = int(call.attrs.groups)
    return Convolution(2 * math.prod(of) * math.prod(each), 1 < groups == (out[1] if len(out) > 1 else 0))


def _estimate(laid: LaidOut, whole: list[Convolution], target: Target) -> _Estimate:
    """Estimate what the convolutions of a model take in a layout, and its transforms."""
    cores = int(target.attrs.get("num-cores", 1))
    peak = cores * _CYCLES * _FLOPS_PER_LANE * vector_bits(target) / 32
    left = list(convolutions(laid.module))
    total = _flops_s(whole, laid.layout, peak) - _flops_s(left, laid.layout, peak)
    total += _flops_s(left, "nchw", peak)
    moved = sum(transform.bytes for transform in laid.transforms)
    return _Estimate(laid, total, 2 * moved / (cores * _MOVED))


def _flops_s(found: list[Convolution], layout: str, peak: float) -> float:
    dense, depthwise = _REACHED[layout]
    return sum(one.flops / peak / (depthwise if one.depthwise else dense) for one in found)
