"""The model, binding by binding: what is an image seen in another order, and what is computed of it."""

from __future__ import annotations

from tvm import relax
from tvm.ir import GenericConst, IRModule

from workers.engines.metaschedule.folding import with_constants_folded
from workers.engines.metaschedule.layouts.channels_first import operators
from workers.engines.metaschedule.layouts.channels_first.lowered import as_operator
from workers.engines.metaschedule.layouts.channels_first.seen import (
    Seen,
    as_source,
    constant_as_source,
    made_plain,
    same_order,
)
from workers.engines.metaschedule.layouts.tensors import is_call, shape_of

__all__ = ["Images", "with_channels_first"]

# What makes an image, or a signal.
_SOURCES = ("conv1d", "conv2d", "conv1d_transpose", "conv2d_transpose", "max_pool2d", "avg_pool2d")
# What makes something else of one.
_ENDS = ("relax.reshape", "relax.matmul", "relax.permute_dims", "relax.einsum", "relax.take", "relax.gather_nd")


def with_channels_first(module: IRModule) -> IRModule:
    """Return a model, as imported, whose images have their channels first wherever that takes no permute."""
    rewrite = Images(with_constants_folded(module))
    rewrite.builder_.update_func(module.get_global_var("main"), rewrite.visit_expr(rewrite.module["main"]))
    return relax.transform.DeadCodeElimination()(rewrite.builder_.finalize())


@relax.expr_functor.mutator
class Images(relax.expr_functor.PyExprMutator):  # type: ignore[misc]
    """Rewrites bindings one by one; an image is permuted when somebody asks for it in the model's order.

    Parameters
    ----------
    module : IRModule
        As imported; ``main`` is what is visited.
    """

    def __init__(self, module: IRModule) -> None:
        super().__init__(module)
        self.module = module
        self._seen: dict[relax.Var, Seen] = {}
        self._plain: dict[relax.Var, relax.Expr] = {}
        # Tensors of the model, of four axes, whose second are channels.
        self._images: set[relax.Var] = set()
        self._values = relax.analysis.get_var2val(module["main"])
        self._readers = relax.analysis.udchain(module["main"].body.blocks[0]) if _one_block(module) else {}
        self._comes_back: dict[relax.Var, bool] = {}

    # -- what the mutator asks

    def visit_var_binding_(self, binding: relax.VarBinding) -> None:
        """Emit a binding of an image, where there is one, else as it was."""
        value, var = binding.value, binding.var
        if isinstance(value, relax.Call) and isinstance(var, relax.DataflowVar) and shape_of(var) is not None:
            call = as_operator(self.module, value)
            self._note_image(var, call)
            made = operators.seen_of(self, call, var)
            if isinstance(made, Seen):
                self._bind(var, made)
                return
            if made is not None or call is not value:
                made = self.visit_expr(call) if made is None else made
                self._plain[var] = self.builder_.emit(made, var.name)
                return
        super().visit_var_binding_(binding)

    def visit_dataflow_var_(self, op: relax.DataflowVar) -> relax.Expr:
        """Return a tensor as the model has it."""
        if op in self._seen and op not in self._plain:
            self._plain[op] = made_plain(self._seen[op], self.builder_)
        return self._plain[op] if op in self._plain else super().visit_dataflow_var_(op)

    def _bind(self, var: relax.Var, made: Seen) -> None:
        source = made.source
        if not isinstance(source, relax.Var):
            source = self.builder_.emit(source, var.name)
        made = Seen(source, made.shape, made.axes)
        if made.shape == shape_of(source) and same_order(made):
            self._plain[var] = source
            self._images.add(var)
        else:
            self._seen[var] = made

    def _note_image(self, var: relax.Var, call: relax.Call) -> None:
        name = str(getattr(call.op, "name", ""))
        if len(shape_of(var) or ()) != 4 or name in _ENDS:
            return
        if name.removeprefix("relax.nn.") in _SOURCES or any(arg in self._images for arg in _operands(call)):
            self._images.add(var)

    # -- what the operators ask

    def of(self, arg: relax.Expr) -> Seen | None:
        """Return a tensor of the model as what it is seen of; None if it is what it is."""
        return self._seen.get(arg)

    def image(self, arg: relax.Expr) -> Seen | None:
        """Return a tensor of the model as an image, itself if it is one."""
        shape = shape_of(arg)
        if arg not in self._images or shape is None or arg in self._seen:
            return self.of(arg)
        return Seen(self.visit_expr(arg), shape, (0, 1, 2, 3))

    def meeting(self, whole: Seen, arg: relax.Expr) -> relax.Expr | None:
        """Return an operand so that it meets the source of a tensor; None where that takes a permute."""
        if isinstance(arg, GenericConst):
            value = arg.value.numpy()
            if value.ndim == 0:
                return arg
            laid = constant_as_source(whole, value)
            return None if laid is None else relax.const(laid, str(value.dtype))
        shape, seen = shape_of(arg), self.image(arg)
        if shape is None:
            return None
        if seen is not None:
            return as_source(whole, seen)
        if len(shape) == 0:
            return self.visit_expr(arg)
        offset = len(whole.shape) - len(shape)
        wide = [place + offset for place, size in enumerate(shape) if size != 1]
        axes = [whole.axes[place] for place in wide]
        if offset < 0 or axes != sorted(axes) or -1 in axes or len(wide) > 1:
            return None
        sizes = [1] * len(shape_of(whole.source) or ())
        for place in wide:
            sizes[whole.axes[place]] = shape[place - offset]
        return self.builder_.emit(relax.op.reshape(self.visit_expr(arg), sizes))

    def comes_back(self, var: relax.Var) -> bool:
        """Say whether all that is computed of a tensor leads back to images with their channels first."""
        if var not in self._comes_back:
            readers = self._readers.get(var, [])
            self._comes_back[var] = bool(readers) and all(self._leads_back(var, one) for one in readers)
        return self._comes_back[var]

    def _leads_back(self, var: relax.Var, reader: relax.Var) -> bool:
        value = self._values.get(reader)
        if not isinstance(value, relax.Call):
            return False
        value = as_operator(self.module, value)
        if is_call(value, "relax.permute_dims"):
            shape = shape_of(reader) or ()
            return len(shape) == 4 and value.attrs.axes is not None and [*map(int, value.attrs.axes)] == [0, 3, 1, 2]
        if is_call(value, "relax.matmul") and not (value.args[0].same_as(var) and isinstance(value.args[1], GenericConst)):
            return False
        return operators.keeps_order(value) and self.comes_back(reader)


def _one_block(module: IRModule) -> bool:
    return len(module["main"].body.blocks) == 1


def _operands(call: relax.Call) -> list[relax.Expr]:
    return [one for arg in call.args for one in (list(arg) if isinstance(arg, relax.Tuple) else [arg])]
