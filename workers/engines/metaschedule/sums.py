"""What small numbers are summed in.

TVM sums float16 in float16, where 4,096 ones make 2,048 (apache/tvm 17935). A tensor core, and onnxruntime on
a CPU, sum in single precision and round once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm import relax, te
from tvm.ir import IRModule, Op

from workers.engines.metaschedule.dot_products import BFLOAT, float_of

__all__ = ["WIDENED", "widened", "with_wide_sums"]

#: What is summed in more bits than it has, and in which.
WIDENED = {"float16": "float32", "int16": "int32", "int8": "int32", "uint8": "int32", BFLOAT: "float32"}


def widened(data: te.Tensor) -> Callable[[Any], Any]:
    """Return what makes one of a tensor's numbers one to be multiplied and summed."""
    dtype = str(data.dtype)
    wide = WIDENED.get(dtype)
    if wide is None:
        return lambda value: value
    return float_of if dtype == BFLOAT else lambda value: value.astype(wide)


def with_wide_sums(module: IRModule) -> IRModule:
    """Return a model whose matrix products and convolutions of float16 have sums of float32."""
    rewrite = _WideSums(module)
    rewrite.builder_.update_func(module.get_global_var("main"), rewrite.visit_expr(module["main"]))
    return rewrite.builder_.finalize()


_SUMMING = (
    "relax.matmul",
    *(f"relax.nn.conv{rank}d{kind}" for rank in (1, 2, 3) for kind in ("", "_transpose")),
)


@relax.expr_functor.mutator
class _WideSums(relax.expr_functor.PyExprMutator):  # type: ignore[misc]
    def visit_call_(self, call: relax.Call) -> relax.Expr:
        call = super().visit_call_(call)
        name = call.op.name if isinstance(call.op, Op) else ""
        if name not in _SUMMING or any(str(a.ty.dtype) != "float16" for a in call.args):
            return call
        wide = self.builder_.emit(_with_sums_of(call, "float32"))
        return relax.op.astype(wide, "float16")


def _with_sums_of(call: Any, dtype: str) -> relax.Call:
    first, second = call.args
    if call.op.name == "relax.matmul":
        return relax.op.matmul(first, second, out_dtype=dtype)
    attrs = call.attrs
    operator: Any = getattr(relax.op.nn, call.op.name.removeprefix("relax.nn."))
    more = {}
    if call.op.name.endswith("_transpose"):
        more["output_padding"] = list(attrs.output_padding)
    return operator(
        first,
        second,
        strides=list(attrs.strides),
        padding=list(attrs.padding),
        dilation=list(attrs.dilation),
        groups=int(attrs.groups),
        data_layout=attrs.data_layout,
        kernel_layout=attrs.kernel_layout,
        out_layout=attrs.out_layout,
        out_dtype=dtype,
        **more,
    )
