"""A whole model, brought into a layout."""

from __future__ import annotations

from dataclasses import dataclass

from tvm import relax
from tvm.ir import IRModule
from tvm.target import Target

from workers.engines.metaschedule.layouts.channels_first import with_channels_first
from workers.engines.metaschedule.layouts.costs import Convolution, convolutions
from workers.engines.metaschedule.layouts.mutator import Blocks
from workers.engines.metaschedule.layouts.parts import losing
from workers.engines.metaschedule.layouts.transforms import PutIn, Transform
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
    """

    module: IRModule
    layout: str
    transforms: tuple[Transform, ...]
    convolutions: tuple[Convolution, ...]


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
    laid, rewrite, transforms = _rewritten(module, "nhwc" if layout == "nhwc" else "blocked", target)
    if layout == "mixed":
        left = losing(module, rewrite, transforms, target)
        if left:
            laid, _, transforms = _rewritten(module, "blocked", target, left)
    return LaidOut(laid, layout, tuple(one.transform for one in transforms), tuple(convolutions(module)))


def _rewritten(
    module: IRModule, layout: str, target: Target, left: frozenset[relax.Var] = frozenset()
) -> tuple[IRModule, Blocks, list[PutIn]]:
    rewrite = Blocks(module, layout, vector_bits(target) // 32, left)
    rewrite.builder_.update_func(module.get_global_var("main"), rewrite.visit_expr(module["main"]))
    laid = relax.transform.DeadCodeElimination()(rewrite.builder_.finalize())
    there = {binding.var for block in laid["main"].body.blocks for binding in block.bindings}
    return laid, rewrite, [one for one in rewrite.transforms if one.made in there]
