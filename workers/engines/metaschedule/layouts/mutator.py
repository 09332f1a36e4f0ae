"""The model, binding by binding: which tensors are in blocks, and what is made plain again."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from tvm import relax, te
from tvm.ir import GenericConst, IRModule
from tvm.runtime import DataType

from workers.engines.metaschedule.layouts import operators  # noqa: F401  (fills the table)
from workers.engines.metaschedule.layouts.apart import laid_apart, read_apart
from workers.engines.metaschedule.layouts.channels import Channels
from workers.engines.metaschedule.layouts.costs import Convolution
from workers.engines.metaschedule.layouts.joined import Joined, whole
from workers.engines.metaschedule.layouts.operators.slices import gathered
from workers.engines.metaschedule.layouts.places import table_for
from workers.engines.metaschedule.layouts.table import Made, rewrites_of
from workers.engines.metaschedule.layouts.tensors import Blocked, View, dtype_of, is_call, op_name, shape_of
from workers.engines.metaschedule.layouts.transforms import OUTPUTS, PutIn, Transform, reblocked, unblocked
from workers.engines.metaschedule.layouts.widths import Widths

__all__ = ["Blocks"]


@relax.expr_functor.mutator
class Blocks(relax.expr_functor.PyExprMutator):  # type: ignore[misc]
    """Rewrites bindings one by one; a tensor in blocks is made plain when somebody asks for it.

    Parameters
    ----------
    module : IRModule
        As imported; ``main`` is what is visited.
    layout : {'blocked', 'nhwc'}
    widths : Widths
        Of blocks.
    left : frozenset of relax.Var, optional
        Convolutions, by what the model calls their results, that stay as they are.

    Attributes
    ----------
    transforms : list of PutIn
    convolved : dict of relax.Var to (int or None, float)
        Of each convolution that was rewritten, by the variable of the model: places of a block of its result;
        and how much arithmetic it does for each multiplication of the model's, which is more where places
        hold no channel.
    """

    def __init__(
        self, module: IRModule, layout: str, widths: Widths, left: frozenset[relax.Var] = frozenset()
    ) -> None:
        super().__init__(module)
        self._left = left
        self.module, self.layout, self._widths = module, layout, widths
        self._apart = read_apart(module) if widths.fill else {}
        # All by the variable of the model.
        self._blocks: dict[relax.Var, Blocked] = {}
        self._views: dict[relax.Var, View] = {}
        self._plain: dict[relax.Var, relax.Expr] = {}
        self._parts: dict[relax.Var, list[Blocked | Joined | relax.Expr]] = {}
        self._joined: dict[relax.Var, Joined] = {}
        self._constants: dict[relax.Var, np.ndarray] = {}
        # By the tensor, where its channels lie there, and where they do then; None for NCHW.
        self._transformed: dict[tuple[relax.Expr, Channels | None, Channels | None], relax.Expr] = {}
        self._reader = OUTPUTS
        self._binding: relax.Var | None = None
        self.transforms: list[PutIn] = []
        self.convolved: dict[relax.Var, tuple[int | None, float]] = {}

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
            made = gathered(self, made) if isinstance(made, Joined) else made
            # An image that is made larger is better put into NCHW before.
            if isinstance(made, Blocked) and _is_no_larger(value, self.of):
                made = self._whole(Blocked(self.builder_.emit(made.tensor), made.channels))
            if isinstance(made, relax.Expr):
                binding = relax.VarBinding(binding.var, made)
        super().visit_var_binding_(binding)

    def visit_dataflow_var_(self, op: relax.DataflowVar) -> relax.Expr:
        """Return a tensor as the model has it."""
        if op in self._plain:
            return self._plain[op]
        if op in self._parts:
            self._plain[op] = relax.Tuple([self._whole(part) for part in self._parts[op]])
        elif op in self._blocks or op in self._joined:
            self._plain[op] = self._whole(self._blocks.get(op) or self._joined[op])
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
        elif isinstance(made, Joined):
            self._joined[var] = made
        elif isinstance(made, Blocked):
            self._blocks[var] = Blocked(self.builder_.emit(made.tensor, var.name), made.channels)
        elif isinstance(made, View):
            data = Blocked(self.builder_.emit(made.data.tensor, var.name), made.data.channels)
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

    def _whole(self, there: Blocked | Joined | relax.Expr) -> relax.Expr:
        """Return a tensor in NCHW."""
        there = gathered(self, there) if isinstance(there, Joined) else there
        if not isinstance(there, Blocked):
            return there
        if there.flat:
            return self.builder_.emit(relax.op.reshape(there.tensor, there.shape))
        places = there.channels.places
        rank = len(there.shape)
        names = (self.name(there.block, rank), self.name(0, rank))
        return self._moved(there.tensor, (there.channels, None), places, unblocked, names)

    def _moved(
        self,
        tensor: relax.Expr,
        between: tuple[Channels | None, Channels | None],
        sources: Sequence[int],
        kernel: Callable[..., te.Tensor],
        names: tuple[str, str],
    ) -> relax.Expr:
        """Return what a transform makes of a tensor, put in once."""
        key = (tensor, *between)
        if key not in self._transformed:
            table = table_for(sources)
            made = self.builder_.emit_te(
                lambda data, *more: kernel(data, sources, *more),
                tensor,
                *([] if table is None else [relax.const(table)]),
                primfunc_name_hint=f"to_{names[1]}",
            )
            self._transformed[key] = made
            self.note(made, tensor, *names)
        return self._transformed[key]

    # -- what the operators ask

    def of(self, arg: relax.Expr) -> Blocked | None:
        """Return a tensor of the model in whatever blocks it has; None if it has none."""
        if arg in self._joined and arg not in self._blocks:
            made = gathered(self, self._joined[arg])
            self._blocks[arg] = Blocked(self.builder_.emit(made.tensor), made.channels)
        return self._blocks.get(arg)

    def joined(self, arg: relax.Expr) -> Joined | None:
        """Return the channels of a tensor of the model, wherever they lie; None if they are in no blocks."""
        if arg in self._joined:
            return self._joined[arg]
        return whole(self._blocks[arg]) if arg in self._blocks else None

    def constant(self, arg: relax.Expr) -> np.ndarray | None:
        """Return what a tensor of the model is, where it is a constant."""
        return arg.value.numpy() if isinstance(arg, GenericConst) else self._constants.get(arg)

    def view(self, arg: relax.Expr) -> View | None:
        """Return a tensor of the model that is a view of blocks; None if it isn't."""
        return self._views.get(arg)

    def blocked(self, arg: relax.Expr, channels: Channels) -> relax.Expr:
        """Return an image or a volume of the model in blocks, whatever it is in."""
        there = self.of(arg)
        return self.reblocked(self.visit_expr(arg) if there is None else there, channels)

    def reblocked(self, there: Blocked | relax.Expr, channels: Channels) -> relax.Expr:
        """Return a tensor, in blocks or in NCHW, with its channels in blocks as said."""
        had, tensor = (there.channels, there.tensor) if isinstance(there, Blocked) else (None, there)
        if had == channels:
            return tensor
        shape = there.shape if isinstance(there, Blocked) else shape_of(there) or ()
        if math.prod(shape[2:]) == 1 and channels.plain and (had is None or had.plain):
            laid = [shape[0], channels.size // channels.block, *shape[2:], channels.block]
            return self.builder_.emit(relax.op.reshape(tensor, laid))
        sources = channels.sources(had)
        names = (self.name(had.block if had else 0, len(shape)), self.name(channels.block, len(shape)))

        def kernel(data: te.Tensor, places: Sequence[int], *table: te.Tensor) -> te.Tensor:
            return reblocked(data, len(shape), places, channels.block, *table)

        return self._moved(tensor, (had, channels), sources, kernel, names)

    def choose(self, channels: int, *, full: bool = False) -> Channels | None:
        """Return how to put channels side by side; None where a row of the image is the better vector.

        Parameters
        ----------
        full : bool
            Whether each place has to hold a channel.
        """
        return (replace(self._widths, fill=False) if full else self._widths).choose(channels)

    def made(self, channels: int) -> Channels | None:
        """Return how to lay the channels that the operator under way makes, where the order is free."""
        chosen = self.choose(channels)
        if chosen is None or self._binding is None:
            return chosen
        return laid_apart(chosen, self._apart.get(self._binding))

    @property
    def lanes(self) -> int:
        """How many numbers of 32 bits a vector holds."""
        return self._widths.lanes

    @property
    def fills(self) -> bool:
        """Whether blocks may have places without a channel."""
        return self._widths.fill

    def in_tiles(self, dtype: str) -> bool:
        """Say whether sums over channels of a type, which are one block, are multiplied as whole matrices."""
        return self.layout == "nhwc" and dtype in self._widths.tiles

    def convolves(self, channels: Channels | None, more: float) -> None:
        """Note what a convolution is computed in, and how much more arithmetic than the model's it does."""
        if self._binding is not None:
            block = None if self.layout == "nhwc" else channels.block if channels else 0
            self.convolved[self._binding] = (block, more)

    def name(self, block: int, rank: int = 4) -> str:
        """Return what a layout with such blocks is called, for tensors of so many axes."""
        space = "dhw"[-(rank - 2) :]
        if not block:
            return f"nc{space}"
        return f"n{space}c" if self.layout == "nhwc" else f"nc{space}{block}c"

    def note(self, made: relax.Expr, of: relax.Expr, source: str, into: str) -> None:
        """Note a transform that was put in, as bound to its variable, and what it is made of."""
        size = math.prod(shape_of(made) or ()) * DataType(dtype_of(made)).itemsize
        transform = Transform(size, source, into, self._reader)
        self.transforms.append(PutIn(transform, made, of, self._binding))

    # -- what is asked afterwards

    def made_of(self, var: relax.Var) -> list[relax.Expr]:
        """Return what a variable of the model was rewritten into; nothing where it stayed as it was."""
        found = list(self._parts.get(var, ()))
        if var in self._blocks:
            found.append(self._blocks[var])
        elif var in self._joined:
            found.append(self._joined[var])
        elif var in self._views:
            found.append(self._views[var].data)
        made: list[relax.Expr] = []
        for one in found:
            parts = one.parts if isinstance(one, Joined) else [one]
            made += [part.tensor if isinstance(part, Blocked) else part for part in parts]
        return made

    def as_computed(self, var: relax.Var, convolution: Convolution) -> Convolution:
        """Return what a convolution of the model is computed as."""
        block, more = self.convolved.get(var, (0, 1.0))
        return replace(convolution, flops=convolution.flops * more, block=block)


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
