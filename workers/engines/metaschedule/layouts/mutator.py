"""The model, binding by binding: which tensors are in blocks, and what is made plain again."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from tvm import relax
from tvm.ir import GenericConst, IRModule
from tvm.runtime import DataType

from workers.engines.metaschedule.layouts import operators  # noqa: F401  (fills the table)
from workers.engines.metaschedule.layouts.table import Made, rewrites_of
from workers.engines.metaschedule.layouts.tensors import Blocked, View, dtype_of, is_call, op_name, shape_of
from workers.engines.metaschedule.layouts.transforms import OUTPUTS, PutIn, Transform, reblocked, unblocked

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
    left : frozenset of relax.Var, optional
        Convolutions, by what the model calls their results, that stay as they are.

    Attributes
    ----------
    transforms : list of PutIn
    """

    def __init__(
        self, module: IRModule, layout: str, lanes: int, left: frozenset[relax.Var] = frozenset()
    ) -> None:
        super().__init__(module)
        self._left = left
        self.module, self.layout, self._lanes = module, layout, lanes
        # All by the variable of the model.
        self._blocks: dict[relax.Var, Blocked] = {}
        self._views: dict[relax.Var, View] = {}
        self._plain: dict[relax.Var, relax.Expr] = {}
        self._parts: dict[relax.Var, list[Blocked | relax.Expr]] = {}
        self._constants: dict[relax.Var, np.ndarray] = {}
        # By the tensor and the channels of a block, 0 for none.
        self._transformed: dict[tuple[relax.Expr, int], relax.Expr] = {}
        self._reader, self._binding = OUTPUTS, None
        self.transforms: list[PutIn] = []

    # -- what the mutator asks

    def visit_var_binding_(self, binding: relax.VarBinding) -> None:
        """Emit a binding in blocks where that can be, else as it was."""
        value = binding.value
        self._reader, self._binding = _named(value), binding.var
        constant = _constant(value)
        if constant is not None:
            self._constants[binding.var] = constant
        elif binding.var in self._left:
            pass
        elif isinstance(binding.var, relax.DataflowVar):
            if self._bound(binding.var, self._rewritten(value)):
                return
        else:
            made = self._rewritten(value)
            # An image that is made larger is better put into NCHW before.
            if isinstance(made, Blocked) and _is_no_larger(value, self.of):
                made = self._whole(Blocked(self.builder_.emit(made.tensor), made.block))
            if isinstance(made, relax.Expr):
                binding = relax.VarBinding(binding.var, made)
        super().visit_var_binding_(binding)

    def visit_dataflow_var_(self, op: relax.DataflowVar) -> relax.Expr:
        """Return a tensor as the model has it."""
        if op in self._plain:
            return self._plain[op]
        if op in self._parts:
            self._plain[op] = relax.Tuple([self._whole(part) for part in self._parts[op]])
        elif op in self._blocks:
            self._plain[op] = self._whole(self._blocks[op])
        elif op in self._views:
            view = self._views[op]
            whole = self._whole(view.data)
            self._plain[op] = self.builder_.emit(relax.op.reshape(whole, view.shape))
        else:
            return super().visit_dataflow_var_(op)
        return self._plain[op]

    def _bound(self, var: relax.Var, made: Made) -> bool:
        """Note what a variable of the model is, and say whether it is anything new."""
        if made is None:
            return False
        if isinstance(made, list):
            self._parts[var] = made
        elif isinstance(made, Blocked):
            self._blocks[var] = Blocked(self.builder_.emit(made.tensor, var.name), made.block)
        elif isinstance(made, View):
            data = Blocked(self.builder_.emit(made.data.tensor, var.name), made.data.block)
            self._views[var] = View(data, made.shape)
        else:
            self._plain[var] = self.builder_.emit(made, var.name)
        return True

    def _rewritten(self, value: relax.Expr) -> Made:
        if isinstance(value, relax.TupleGetItem):
            parts = self._parts.get(value.tuple_value)
            return None if parts is None else parts[int(value.index)]
        if not isinstance(value, relax.Call):
            return None
        made = (rewrite(self, value) for rewrite in rewrites_of(op_name(value)))
        return next((found for found in made if found is not None), None)

    def _whole(self, there: Blocked | relax.Expr) -> relax.Expr:
        """Return a tensor in NCHW."""
        if not isinstance(there, Blocked):
            return there
        key = (there.tensor, 0)
        if there.flat:
            return self.builder_.emit(relax.op.reshape(there.tensor, there.sizes))
        if key not in self._transformed:
            made = self.builder_.emit_te(unblocked, there.tensor, primfunc_name_hint="to_nchw")
            self._transformed[key] = made
            self.note(made, there.tensor, self.name(there.block), "nchw")
        return self._transformed[key]

    # -- what the operators ask

    def of(self, arg: relax.Expr) -> Blocked | None:
        """Return a tensor of the model in whatever blocks it has; None if it has none."""
        return self._blocks.get(arg)

    def constant(self, arg: relax.Expr) -> np.ndarray | None:
        """Return what a tensor of the model is, where it is a constant."""
        return arg.value.numpy() if isinstance(arg, GenericConst) else self._constants.get(arg)

    def view(self, arg: relax.Expr) -> View | None:
        """Return a tensor of the model that is a view of blocks; None if it isn't."""
        return self._views.get(arg)

    def blocked(self, arg: relax.Expr, block: int) -> relax.Expr:
        """Return a tensor of the model, of four axes, in blocks of a size, whatever it is in."""
        there = self.of(arg)
        return self.reblocked(self.visit_expr(arg) if there is None else there, block)

    def reblocked(self, there: Blocked | relax.Expr, block: int) -> relax.Expr:
        """Return a tensor, in blocks or in NCHW, in blocks of a size."""
        had, tensor = (there.block, there.tensor) if isinstance(there, Blocked) else (0, there)
        if had == block:
            return tensor
        batch, channels, height, width = there.sizes if isinstance(there, Blocked) else shape_of(there) or ()
        if height * width == 1:
            laid = relax.op.reshape(tensor, [batch, channels // block, 1, 1, block])
            return self.builder_.emit(laid)
        key = (tensor, block)
        if key not in self._transformed:
            made = self.builder_.emit_te(
                reblocked, tensor, block, primfunc_name_hint=f"to_{self.name(block)}"
            )
            self._transformed[key] = made
            self.note(made, tensor, self.name(had), self.name(block))
        return self._transformed[key]

    def choose(self, channels: int) -> int:
        """Return how many channels to put side by side: 0 where none are, the row being the better vector."""
        if self.layout == "nhwc":
            return channels
        sizes = [size for size in range(_LEAST_BLOCK, self._lanes + 1) if channels % size == 0]
        powers = [size for size in sizes if size & (size - 1) == 0]
        return max(powers or sizes, default=0)

    def name(self, block: int) -> str:
        """Return what a layout with such blocks is called."""
        if not block:
            return "nchw"
        return "nhwc" if self.layout == "nhwc" else f"nchw{block}c"

    def note(self, made: relax.Expr, of: relax.Expr, source: str, into: str) -> None:
        """Note a transform that was put in, as bound to its variable, and what it is made of."""
        size = math.prod(shape_of(made) or ()) * DataType(dtype_of(made)).itemsize
        transform = Transform(size, source, into, self._reader)
        self.transforms.append(PutIn(transform, made, of, self._binding))

    # -- what is asked afterwards

    def made_of(self, var: relax.Var) -> list[relax.Expr]:
        """Return what a variable of the model was rewritten into; nothing where it stayed as it was."""
        found: list[Blocked | relax.Expr] = list(self._parts.get(var, ()))
        if var in self._blocks:
            found.append(self._blocks[var])
        elif var in self._views:
            found.append(self._views[var].data)
        return [one.tensor if isinstance(one, Blocked) else one for one in found]


def _is_no_larger(call: relax.Call, of: Callable[[relax.Expr], Blocked | None]) -> bool:
    """Say whether what an operator makes has no more elements than the largest in blocks of what it reads."""
    read = [math.prod(found.sizes) for found in map(of, relax.analysis.free_vars(call)) if found is not None]
    return math.prod(shape_of(call) or ()) <= max(read, default=0)


def _constant(value: relax.Expr) -> np.ndarray | None:
    """Return a bias or a limit, as the importer writes it."""
    shape = shape_of(value)
    if shape is None or not isinstance(value, relax.Call) or not len(value.args):
        return None
    if not isinstance(value.args[0], GenericConst):
        return None
    if is_call(value, "relax.reshape"):
        return np.asarray(value.args[0].value.numpy().reshape(shape))
    if is_call(value, "relax.broadcast_to"):
        return np.broadcast_to(value.args[0].value.numpy(), shape)
    return None


def _named(value: relax.Expr) -> str:
    """Return what a transform's cause is called."""
    if isinstance(value, relax.Tuple):
        return OUTPUTS
    if not isinstance(value, relax.Call):
        return type(value).__name__
    if is_call(value, "relax.call_tir"):
        return str(value.args[0].name_hint)
    return str(getattr(value.op, "name", value.op))
