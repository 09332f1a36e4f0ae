"""A whole model, brought into a layout."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tvm import relax
from tvm.ir import IRModule
from tvm.target import Target

from workers.engines.metaschedule.dot_products import tiled_types
from workers.engines.metaschedule.layouts.channels_first import with_channels_first
from workers.engines.metaschedule.layouts.costs import (
    Convolution,
    Rates,
    convolutions,
    convolutions_by_name,
)
from workers.engines.metaschedule.layouts.mutator import Blocks
from workers.engines.metaschedule.layouts.parts import losing
from workers.engines.metaschedule.layouts.transforms import PutIn, Transform
from workers.engines.metaschedule.layouts.widths import Widths
from workers.engines.metaschedule.targets import vector_bits

__all__ = ["LaidOut", "with_layout"]


@dataclass(frozen=True)
class LaidOut:
    """A model in a layout.

    Attributes
    ----------
    module : IRModule
    layout : {'blocked', 'mixed', 'nhwc', 'nchw'}
    transforms : tuple of Transform
        What had to be put in, in the order of the model; those of weights are done once and for all, and
        aren't among them.
    convolutions : tuple of Convolution
        What it was before it had blocks: products of images with their channels last among them.
    kernels : tuple of Convolution
        Those in blocks, as they are computed there.
    """

    module: IRModule
    layout: str
    transforms: tuple[Transform, ...]
    convolutions: tuple[Convolution, ...]
    kernels: tuple[Convolution, ...] = ()

    def times(self, target: Target) -> tuple[float, float]:
        """Return the seconds that its convolutions and its transforms are estimated to take."""
        rates = Rates(target)
        layout = "blocked" if self.layout == "mixed" else self.layout
        left = rates.convolving_s(convolutions(self.module), "nchw")
        return rates.convolving_s(self.kernels, layout) + left, rates.moving_s(self.transforms)


def with_layout(module: IRModule, layout: str, target: Target) -> LaidOut:
    """Return a model, as imported, with the layouts that `layout` means for `target`.

    Parameters
    ----------
    layout : {'blocked', 'mixed', 'nhwc', 'nchw'}
        ``mixed`` has in blocks what gains by it, see :mod:`.parts`.
    """
    if layout == "nchw":
        return LaidOut(module, layout, (), tuple(convolutions(module)))
    module = with_channels_first(module)
    widths = Widths(vector_bits(target) // 32, tiles=tiled_types(target))
    if layout == "nhwc":
        return _rewritten(module, layout, replace(widths, fill=False, whole=True), target)
    laid = _rewritten(module, layout, widths, target)
    if sum(one.flops for one in laid.kernels) <= sum(one.flops for one in laid.convolutions):
        return laid
    # Places that hold no channel may cost more on the way than whole vectors save.
    other = _rewritten(module, layout, replace(widths, fill=False), target)
    return min(laid, other, key=lambda one: sum(one.times(target)))


def _rewritten(module: IRModule, layout: str, widths: Widths, target: Target) -> LaidOut:
    laid, rewrite, transforms = _in_blocks(module, layout, widths)
    if layout == "mixed":
        left = losing(module, rewrite, transforms, target)
        if left:
            laid, rewrite, transforms = _in_blocks(module, layout, widths, left)
    found = dict(convolutions_by_name(module))
    kernels = tuple(rewrite.as_computed(var, found[var]) for var in rewrite.convolved)
    return LaidOut(laid, layout, tuple(one.transform for one in transforms), tuple(found.values()), kernels)


def _in_blocks(
    module: IRModule, layout: str, widths: Widths, left: frozenset[relax.Var] = frozenset()
) -> tuple[IRModule, Blocks, list[PutIn]]:
    rewrite = Blocks(module, "nhwc" if layout == "nhwc" else "blocked", widths, left)
    rewrite.builder_.update_func(module.get_global_var("main"), rewrite.visit_expr(module["main"]))
    laid = relax.transform.DeadCodeElimination()(rewrite.builder_.finalize())
    there = {binding.var for block in laid["main"].body.blocks for binding in block.bindings}
    return laid, rewrite, [one for one in rewrite.transforms if one.made in there]
