"""The model, binding by binding: which tensors are in blocks, and what is made plain again."""

from __future__ import annotations

import math

import numpy as np
from tvm import relax
from tvm.ir import GenericConst, IRModule
from tvm.runtime import DataType

from workers.engines.metaschedule.layouts import operators  # noqa: F401  (fills the table)
from workers.engines.metaschedule.layouts.table import Made, rewrite_of
from workers.engines.metaschedule.layouts.tensors import Blocked, dtype_of, is_call, shape_of
from workers.engines.metaschedule.layouts.transforms import Transform, reblocked, unblocked

__all__ = ["Blocks"]

# Fewer channels side by side than this are no gain over a row.
_LEAST_BLOCK = 4


@relax.expr_functor.mutator
class Blocks(relax.expr_functor.PyExprMutator):  # type: ignore[misc]
    """Rewrites bindings one by one; a tensor in blocks is made plain when somebody asks for it.

    Parameters
    ----------
    module : IRModule
        As imported; ``main`` is what is visited.
    layout : {'blocked', 'nhwc'}
    lanes : int
        Numbers that a vector of the target holds, the most of a block.

    Attributes
    ----------
    transforms : list of Transform
    """

    def __init__(self, module: IRModule, layout: str, lanes: int) -> None:
        super().__init__(module)
        self.module, self.layout, self._lanes = module, layout, lanes
        # All by the variable of the model.
        self._blocks: dict[relax.Var, Blocked] = {}
        self._plain: dict[relax.Var, relax.Var] = {}
        self._constants: dict[relax.Var, np.ndarray] = {}
        self._reader = "the model's outputs"
        self.transforms: list[Transform] = []

    # -- what the mutator asks

    def visit_var_binding_(self, binding: relax.VarBinding) -> None:
        """Emit a binding in blocks where that can be, else as it was."""
        value = binding.value
        self._reader = _named(value)
        if is_call(value, "relax.reshape") and isinstance(value.args[0], GenericConst):
            # A bias, as the importer writes it.
            self._constants[binding.var] = value.args[0].value.numpy().reshape(shape_of(value) or ())
        elif isinstance(value, relax.Call) and isinstance(binding.var, relax.DataflowVar):
            made = self._rewritten(value)
            if isinstance(made, Blocked):
                emitted = self.builder_.emit(made.tensor, binding.var.name)
                self._blocks[binding.var] = Blocked(emitted, made.block)
                return
            if made is not None:
                self._plain[binding.var] = self.builder_.emit(made, binding.var.name)
                return
        super().visit_var_binding_(binding)

    def visit_dataflow_var_(self, op: relax.DataflowVar) -> relax.Expr:
        """Return a tensor as the model has it."""
        if op not in self._blocks and op not in self._plain:
            return super().visit_dataflow_var_(op)
        if op not in self._plain:
            there = self._blocks[op]
            self._note(there.tensor, self.name(there.block), "nchw")
            self._plain[op] = self.builder_.emit_te(unblocked, there.tensor, primfunc_name_hint="to_nchw")
        return self._plain[op]

    def _rewritten(self, call: relax.Call) -> Made:
        rewrite = rewrite_of(getattr(call.op, "name", ""))
        return None if rewrite is None else rewrite(self, call)

    # -- what the operators ask

    def of(self, arg: relax.Expr) -> Blocked | None:
        """Return a tensor of the model in whatever blocks it has; None if it has none."""
        return self._blocks.get(arg)

    def constant(self, arg: relax.Expr) -> np.ndarray | None:
        """Return what a tensor of the model is, where it is a constant."""
        return arg.value.numpy() if isinstance(arg, GenericConst) else self._constants.get(arg)

    def blocked(self, arg: relax.Expr, block: int) -> relax.Expr:
        """Return a tensor of the model in blocks of a size, whatever it is in."""
        there = self.of(arg)
        if there is not None and there.block == block:
            return there.tensor
        tensor = self.visit_expr(arg) if there is None else there.tensor
        self._note(tensor, "nchw" if there is None else self.name(there.block), self.name(block))
        return self.builder_.emit_te(reblocked, tensor, block, primfunc_name_hint=f"to_{self.name(block)}")

    def choose(self, channels: int) -> int:
        """Return how many channels to put side by side: 0 where none are, the row being the better vector."""
        if self.layout == "nhwc":
            return channels
        sizes = [size for size in range(_LEAST_BLOCK, self._lanes + 1) if channels % size == 0]
        powers = [size for size in sizes if size & (size - 1) == 0]
        return max(powers or sizes, default=0)

    def name(self, block: int) -> str:
        """Return what a layout with such blocks is called."""
        return "nhwc" if self.layout == "nhwc" else f"nchw{block}c" if block else "nchw"

    def _note(self, tensor: relax.Expr, source: str, into: str) -> None:
        size = math.prod(shape_of(tensor) or ()) * DataType(dtype_of(tensor)).itemsize
        self.transforms.append(Transform(size, source, into, self._reader))


def _named(value: relax.Expr) -> str:
    """Return what a transform's cause is called."""
    if not isinstance(value, relax.Call):
        return type(value).__name__
    if is_call(value, "relax.call_tir"):
        return str(value.args[0].name_hint)
    return str(getattr(value.op, "name", value.op))
