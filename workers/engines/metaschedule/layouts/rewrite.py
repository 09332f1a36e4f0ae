"""A whole model, brought into a layout."""

from __future__ import annotations

from dataclasses import dataclass

from tvm import relax
from tvm.ir import IRModule
from tvm.target import Target

from workers.engines.metaschedule.layouts.mutator import Blocks
from workers.engines.metaschedule.layouts.transforms import Transform
from workers.engines.metaschedule.targets import vector_bits

__all__ = ["LaidOut", "with_layout"]


@dataclass(frozen=True)
class LaidOut:
    """A model in a layout.

    Attributes
    ----------
    module : IRModule
    layout : {'blocked', 'nhwc', 'nchw'}
    transforms : tuple of Transform
        What had to be put in, in the order of the model; those of weights are done once and for all, and
        aren't among them.
    """

    module: IRModule
    layout: str
    transforms: tuple[Transform, ...]


def with_layout(module: IRModule, layout: str, target: Target) -> LaidOut:
    """Return a model, as imported, with the layouts that `layout` means for `target`.

    Parameters
    ----------
    layout : {'blocked', 'nhwc', 'nchw'}
    """
    if layout == "nchw":
        return LaidOut(module, layout, ())
    rewrite = Blocks(module, layout, vector_bits(target) // 32)
    rewrite.builder_.update_func(module.get_global_var("main"), rewrite.visit_expr(module["main"]))
    laid = relax.transform.DeadCodeElimination()(rewrite.builder_.finalize())
    left = {binding.var for block in laid["main"].body.blocks for binding in block.bindings}
    return LaidOut(laid, layout, tuple(one for var, one in rewrite.transforms if var in left))
