"""Which layout a model gets, where nobody asked for one: the one that takes the least time.

As far as that can be told before anything is tuned: see :mod:`.costs`.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm.ir import IRModule
from tvm.target import Target

from workers.engines.metaschedule.dot_products import tiled_types
from workers.engines.metaschedule.layouts.costs import Convolution, Rates, convolutions
from workers.engines.metaschedule.layouts.rewrite import LaidOut, with_layout

__all__ = ["CLOSE", "Choice", "chosen_layout"]

# Where transforms take less than this part of the time of the convolutions, no other layout is looked at.
_NEGLIGIBLE = 0.05
#: Two layouts are close where the second is estimated to take at most this much longer, as a part of what the
#: first takes: the rates behind the estimates are known no better.
CLOSE = 0.15
_NAMES = {"blocked": "blocks", "mixed": "blocks in parts", "nhwc": "NHWC", "nchw": "NCHW"}


@dataclass(frozen=True)
class Choice:
    """A model in the layout that was chosen for it.

    Attributes
    ----------
    reason : str
        One sentence, for people.
    alternative : str
        The layout that came next, where it is :data:`CLOSE`; empty otherwise.
    estimate_s, alternative_s : float or None
        Seconds that both are estimated to take; None where nothing is close.
    """

    laid: LaidOut
    reason: str
    alternative: str = ""
    estimate_s: float | None = None
    alternative_s: float | None = None


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
    found = [_estimate(with_layout(module, "blocked", target), whole, target)]
    close = found[0].transforms_s >= _NEGLIGIBLE * found[0].convolutions_s
    # Matrices are multiplied at once of all channels alone.
    for layout in ("mixed", "nhwc", "nchw") if close or tiled_types(target) else ("nchw",):
        estimate = _estimate(with_layout(module, layout, target), whole, target)
        # No part had better be left: it is the first one again.
        if layout != "mixed" or estimate.seconds < found[0].seconds:
            found.append(estimate)
    # Of what takes the same, that which changes the least.
    best, *rest = sorted(found, key=lambda one: (one.seconds, one.laid.layout != "nchw"))
    told = ", ".join(map(str, rest))
    reason = f"convolutions and transforms are estimated to take {best}; {told}"
    # Without anything in blocks, `mixed` is NCHW again.
    second = next((one for one in rest if one.laid.kernels or best.laid.kernels), None)
    if second is None or second.seconds > (1 + CLOSE) * best.seconds:
        return Choice(best.laid, reason)
    return Choice(best.laid, reason, second.laid.layout, best.seconds, second.seconds)


def _estimate(laid: LaidOut, whole: list[Convolution], target: Target) -> _Estimate:
    """Estimate what the convolutions of a model take in a layout, and its transforms."""
    convolutions_s, transforms_s = laid.times(target)
    # Products that have become convolutions take as long as they did.
    more = sum(one.flops for one in laid.convolutions) - sum(one.flops for one in whole)
    rest = Rates(target).convolving_s([Convolution(more, depthwise=False)], "blocked")
    return _Estimate(laid, convolutions_s - rest, transforms_s)
