"""Products and convolutions whose operands are rounded to bfloat16, computed of bfloat16.

What reaches the engine is a pair of casts, to bfloat16 and back, before the operator in floats, and constant
weights that are such numbers already, or another such pair. Where the target has an instruction for them, the
kernel before writes the bits alone, half as many, and the instruction multiplies pairs of them. Without one
everything stays in floats, rounded as the model says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import ml_dtypes
import numpy as np
from tvm import relax
from tvm.ir import IRModule
from tvm.target import Target

from workers.engines.metaschedule.dot_products import BFLOAT, DotProduct, bfloat_products_of
from workers.engines.metaschedule.layouts.operators.convolutions import convolved
from workers.engines.metaschedule.layouts.tensors import constant_of, dtype_of, is_call, shape_of, values_of
from workers.engines.metaschedule.products import as_many_matrices, fitting, multiplied, multiplied_computed
from workers.engines.metaschedule.rounding import rounded

__all__ = ["LEGALIZED", "with_bfloat_products"]

# The numbers as they are, what they are multiplied with (bits of weights, or numbers as well), and by which
# instruction.
_Factors = tuple[relax.Expr, np.ndarray | relax.Expr, DotProduct]


def with_bfloat_products(module: IRModule, target: Target) -> IRModule:
    """Return a model whose products of numbers rounded to bfloat16 are of these.

    Parameters
    ----------
    module : IRModule
        As imported.
    """
    dots = bfloat_products_of(target)
    if not dots:
        return module
    products = dict(_products(module, dots))
    if not products:
        return module
    rewrite = _Bfloats(module, products)
    rewrite.builder_.update_func(module.get_global_var("main"), rewrite.visit_expr(module["main"]))
    return relax.transform.DeadCodeElimination()(rewrite.builder_.finalize())


def _products(module: IRModule, dots: tuple[DotProduct, ...]) -> Iterator[tuple[relax.Var, _Factors]]:
    """Yield what is computed so, by the variable of its result."""
    values = values_of(module)
    for var, call in values.items():
        if not is_call(call, "relax.nn.conv2d") and not is_call(call, "relax.matmul"):
            continue
        data, weights = _before(values, call.args[0]), _weights(values, call.args[1])
        if data is None:
            continue
        if weights is not None:
            dot = _fitting(call, weights, dots)
            if dot is not None:
                yield var, (data, weights, dot)
        elif is_call(call, "relax.matmul") and dtype_of(call) == "float32" and as_many_matrices(call):
            other, dot = _before(values, call.args[1]), next(fitting(dots, call), None)
            if other is not None and dot is not None:
                yield var, (data, other, dot)


def _fitting(call: relax.Call, weights: np.ndarray, dots: tuple[DotProduct, ...]) -> DotProduct | None:
    """Return the instruction for what has constant weights; None where it stays in floats."""
    if shape_of(call) is None or dtype_of(call) != "float32":
        return None
    if is_call(call, "relax.matmul"):
        if weights.ndim != 2 or len(shape_of(call.args[0]) or ()) < 2:
            return None
        return next(fitting(dots, call), None)
    attrs = call.attrs
    layouts = (attrs.data_layout, attrs.kernel_layout, attrs.out_layout)
    # A depthwise convolution has nothing to sum over that lies side by side.
    if layouts != ("NCHW", "OIHW", "NCHW") or int(attrs.groups) != 1:
        return None
    return next((dot for dot in dots if not dot.of_tiles), None)


def _before(values: Mapping[relax.Var, relax.Expr], arg: relax.Expr) -> relax.Expr | None:
    """Return the floats that a pair of casts rounds; they may be of another shape."""
    back = values.get(arg)
    while back is not None and is_call(back, "relax.reshape"):
        back = values.get(back.args[0])
    if back is None or not is_call(back, "relax.astype") or dtype_of(back) != "float32":
        return None
    there = values.get(back.args[0])
    if there is None or not is_call(there, "relax.astype") or dtype_of(there) != "bfloat16":
        return None
    return there.args[0] if dtype_of(there.args[0]) == "float32" else None


def _weights(values: Mapping[relax.Var, relax.Expr], arg: relax.Expr) -> np.ndarray | None:
    """Return the bits of constant weights that are bfloat16 already."""
    value = values.get(arg, arg)
    if is_call(value, "relax.permute_dims"):
        axes = value.attrs.axes
        found = _weights(values, value.args[0])
        return (
            None if found is None else found.transpose(None if axes is None else [int(one) for one in axes])
        )
    floats = constant_of(value)
    if floats is None or floats.dtype != np.float32:
        return None
    bits = floats.astype(ml_dtypes.bfloat16)
    return bits.view(BFLOAT) if np.array_equal(bits.astype(np.float32), floats) else None


@relax.expr_functor.mutator
class _Bfloats(relax.expr_functor.PyExprMutator):  # type: ignore[misc]
    def __init__(
        self,
        module: IRModule,
        products: Mapping[relax.Var, _Factors],
    ) -> None:
        super().__init__(module)
        self._products = products
        self._made: dict[relax.Expr, relax.Expr] = {}

    def visit_var_binding_(self, binding: relax.VarBinding) -> None:
        """Emit a product as one of bfloat16."""
        found = self._products.get(binding.var)
        if found is not None:
            binding = relax.VarBinding(binding.var, self._computed(binding.value, *found))
        super().visit_var_binding_(binding)

    def _computed(
        self, call: relax.Call, source: relax.Expr, weights: np.ndarray | relax.Expr, dot: DotProduct
    ) -> relax.Expr:
        if source not in self._made:
            self._made[source] = self.builder_.emit(rounded(self.builder_, self.visit_expr(source)))
        data, shape = self._made[source], shape_of(call.args[0])
        if shape_of(source) != shape:
            data = self.builder_.emit(relax.op.reshape(data, shape))
        if not isinstance(weights, np.ndarray):
            floats = self.visit_expr(weights)
            if shape_of(weights) != shape_of(call.args[1]):
                floats = self.builder_.emit(relax.op.reshape(floats, shape_of(call.args[1])))
            return multiplied_computed(self.builder_, data, floats, dot, "bfloat16_matmul")
        if is_call(call, "relax.matmul"):
            return multiplied(self.builder_, data, weights, dot, "bfloat16_matmul")
        attrs = call.attrs
        return relax.op.nn.conv2d(
            data,
            relax.const(np.ascontiguousarray(weights)),
            strides=list(attrs.strides),
            padding=list(attrs.padding),
            dilation=list(attrs.dilation),
            out_dtype="float32",
        )


def _legalized(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """Lower a convolution, of bfloat16 where no layout has taken it."""
    if dtype_of(call.args[0]) != BFLOAT:
        return call.op.get_attr("FLegalize")(builder, call)
    attrs = call.attrs
    return builder.call_te(
        convolved,
        *call.args,
        strides=[int(one) for one in attrs.strides],
        padding=[int(one) for one in attrs.padding],
        dilation=[int(one) for one in attrs.dilation],
        groups=1,
        depthwise=False,
        block=0,
        primfunc_name_hint="conv2d",
    )


#: What ``LegalizeOps`` is told: how the operators that are made here are lowered.
LEGALIZED = {"relax.nn.conv2d": _legalized}
