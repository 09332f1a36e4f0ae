"""The model, binding by binding: what is an image seen in another order, and what is computed of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tvm import relax
from tvm.ir import GenericConst, IRModule

from workers.engines.metaschedule.folding import with_constants_folded
from workers.engines.metaschedule.layouts.channels_first import operators
from workers.engines.metaschedule.layouts.channels_first.lowered import as_operator
from workers.engines.metaschedule.layouts.channels_first.seen import Seen, image
from workers.engines.metaschedule.layouts.tensors import is_call, op_name, shape_of

__all__ = ["Images", "with_channels_first"]

# What makes an image, or a signal.
_SOURCES = ("conv1d", "conv2d", "conv1d_transpose", "conv2d_transpose", "max_pool2d", "avg_pool2d")
# What makes something else of one.
_ENDS = ("relax.reshape", "relax.matmul", "relax.permute_dims", "relax.einsum", "relax.gather_nd")


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
        sizes = shape_of(value.args[0]) if is_call(value, "relax.shape_of") else None
        if sizes is not None and isinstance(var, relax.DataflowVar):
            # A number that is known is no reader of the image.
            self._plain[var] = relax.ShapeExpr(sizes)
            return
        if isinstance(value, relax.Call) and isinstance(var, relax.DataflowVar) and shape_of(var) is not None:
            call = as_operator(self.module, value)
            self._note_image(var, call)
            made = operators.seen_of(self, call, var)
            if isinstance(made, Seen):
                self._bind(var, made)
                return
            if is_call(made, "relax.layout_transform"):
                self._images.add(var)
            if made is not None or call is not value:
                made = self.visit_expr(call) if made is None else made
                self._plain[var] = self.builder_.emit(made, var.name)
                return
        super().visit_var_binding_(binding)

    def visit_dataflow_var_(self, op: relax.DataflowVar) -> relax.Expr:
        """Return a tensor as the model has it."""
        if op in self._seen and op not in self._plain:
            self._plain[op] = self._seen[op].plain(self.builder_)
        return self._plain[op] if op in self._plain else super().visit_dataflow_var_(op)

    def _bind(self, var: relax.Var, made: Seen) -> None:
        if not isinstance(made.source, relax.Var):
            made = replace(made, source=self.builder_.emit(made.source, var.name))
        if made.is_image:
            self._plain[var] = made.source
            self._images.add(var)
        else:
            self._seen[var] = made

    def _note_image(self, var: relax.Var, call: relax.Call) -> None:
        name = op_name(call)
        if len(shape_of(var) or ()) != 4 or name in _ENDS:
            return
        if name.removeprefix("relax.nn.") in _SOURCES or any(arg in self._images for arg in _operands(call)):
            self._images.add(var)

    # -- what the operators ask

    def of(self, arg: relax.Expr) -> Seen | None:
        """Return a tensor of the model as what it is seen of; None if it is what it is."""
        return self._seen.get(arg)

    def value(self, var: relax.Expr) -> Any:
        """Return what a variable of the model is bound to."""
        return self._values.get(var) if isinstance(var, relax.Var) else None

    def image(self, arg: relax.Expr) -> Seen | None:
        """Return a tensor of the model as an image, itself if it is one."""
        return image(self.visit_expr(arg)) if arg in self._images else self.of(arg)

    def meeting(self, whole: Seen, arg: relax.Expr) -> relax.Expr | None:
        """Return an operand so that it meets the source of a tensor; None where that takes a permute."""
        shape = shape_of(arg)
        if shape is None:
            return None
        if len(shape) == 0:
            return self.visit_expr(arg)
        if isinstance(arg, GenericConst):
            value = arg.value.numpy()
            laid = whole.constant(value)
            return None if laid is None else relax.const(laid, str(value.dtype))
        seen, found = self.image(arg), whole.spread(shape)
        if seen is not None:
            return whole.operand(seen)
        if found is None or len(found[1]) > 1:
            return None
        sizes = [whole.sizes[axis] if axis in found[1] else 1 for axis in range(len(whole.sizes))]
        return self.builder_.emit(relax.op.reshape(self.visit_expr(arg), sizes))

    def comes_back(self, var: relax.Var, seen: Seen) -> bool:
        """Say whether all that is computed of a tensor leads back to images with their channels first."""
        if var not in self._comes_back:
            self._comes_back[var] = False
            readers = self._readers.get(var, [])
            self._comes_back[var] = len(readers) > 0 and all(
                self._leads_back(var, seen, reader) for reader in readers
            )
        return self._comes_back[var]

    def _leads_back(self, var: relax.Var, seen: Seen, reader: relax.Var) -> bool:
        value, shape = self._values.get(reader), shape_of(reader)
        if not isinstance(value, relax.Call) or shape is None:
            return False
        made = operators.order_of(as_operator(self.module, value), var, seen, shape)
        return made is not None and (made.is_image or self.comes_back(reader, made))


def _one_block(module: IRModule) -> bool:
    """Say whether a model is one block of dataflow: of another, nobody says who reads what."""
    blocks = module["main"].body.blocks
    return len(blocks) == 1 and isinstance(blocks[0], relax.DataflowBlock)


def _operands(call: relax.Call) -> list[relax.Expr]:
    return [one for arg in call.args for one in (list(arg) if isinstance(arg, relax.Tuple) else [arg])]
