"""Batch normalizations as what they are when a model runs: one product and one sum for each channel.

Behind a convolution, both are part of its weights and its bias. TVM's own pass writes a subtraction, a
division, a multiplication and an addition, each a block of the kernel that reads it.
"""

from __future__ import annotations

import collections
from typing import Any, NamedTuple

import numpy as np
from tvm import relax
from tvm.ir import GenericConst, IRModule

from workers.engines.metaschedule.layouts.tensors import dtype_of, op_name, shape_of

__all__ = ["with_batch_norms_folded"]

_NAME = "relax.nn.batch_norm"
# The axis of the output channels of their weights; groups make no difference to it.
_CONVOLUTIONS = {"relax.nn.conv1d": "OIW", "relax.nn.conv2d": "OIHW", "relax.nn.conv3d": "OIDHW"}


def with_batch_norms_folded(module: IRModule) -> IRModule:
    """Return a model without the batch normalizations whose statistics are constant.

    Computed in double precision: y = x * s + (b - m * s), where s = gamma / sqrt(v + epsilon), as
    onnxruntime has it. A model without any is returned as it is.
    """
    if not _has_any(module):
        return module
    fold = _Fold(module)
    fold.builder_.update_func(module.get_global_var("main"), fold.visit_expr(module["main"]))
    return relax.transform.DeadCodeElimination()(fold.builder_.finalize())


class _Scaling(NamedTuple):
    """For each channel; the statistics of a batch that is no training aren't asked for."""

    factor: np.ndarray
    offset: np.ndarray


class _Convolved(NamedTuple):
    """A convolution, and what is added to it for each channel."""

    call: Any
    bias: np.ndarray | None


@relax.expr_functor.mutator
class _Fold(relax.expr_functor.PyExprMutator):  # type: ignore[misc]
    def __init__(self, module: IRModule) -> None:
        super().__init__(module)
        bindings = [one for block in module["main"].body.blocks for one in block.bindings]
        self._values = {one.var: one.value for one in bindings}
        reads = [(var, one) for one in bindings for var in relax.analysis.free_vars(one.value)]
        self._readers = collections.Counter(var for var, _ in reads)
        self._readers.update(relax.analysis.free_vars(module["main"].body.body))
        # Whose second and third results somebody reads: they stay, as TVM has them.
        self._whole = {
            var
            for var, one in reads
            if not isinstance(one.value, relax.TupleGetItem)
            or (int(one.value.index) > 0 and self._readers[one.var])
        }

    def visit_var_binding_(self, binding: relax.VarBinding) -> None:
        """Bind the first result of a batch normalization to what it is made of."""
        value = binding.value
        if isinstance(value, relax.TupleGetItem) and int(value.index) == 0:
            call = self._values.get(value.tuple_value)
            scaling = None if value.tuple_value in self._whole else _scaling(call)
            if scaling is not None:
                made = self._folded(call, scaling)
                made = self._scaled(call, scaling) if made is None else made
                super().visit_var_binding_(relax.VarBinding(binding.var, made))
                return
        super().visit_var_binding_(binding)

    def _scaled(self, call: Any, scaling: _Scaling) -> relax.Expr:
        factor, offset = (self._channels(call, value) for value in scaling)
        return self.builder_.normalize(
            relax.op.add(self.builder_.emit(relax.op.multiply(call.args[0], factor)), offset)
        )

    def _folded(self, call: Any, scaling: _Scaling) -> relax.Expr | None:
        """Return the convolution, whose only reader a normalization is, with other weights and a bias."""
        found = self._convolved(call.args[0])
        # Weights in half precision may have no room for a factor.
        if found is None or int(call.attrs.axis) != 1 or dtype_of(call.args[0]) != "float32":
            return None
        data, weights = found.call.args
        kernel = weights.value.numpy()
        each = scaling.factor.reshape(-1, *[1] * (kernel.ndim - 1))
        made = (kernel.astype("float64") * each).astype(kernel.dtype)
        bias = scaling.offset if found.bias is None else found.bias * scaling.factor + scaling.offset
        attrs = found.call.attrs
        convolved = self.builder_.emit(
            relax.Call(found.call.op, [self.visit_expr(data), relax.const(made)], attrs)
        )
        return relax.op.add(convolved, self._channels(call, bias))

    def _convolved(self, var: Any) -> _Convolved | None:
        value = self._values.get(var)
        if value is None or self._readers[var] != 1:
            return None
        name = op_name(value)
        if name == "relax.add":
            one, two = value.args
            bias = self._bias(two, value)
            found = None if bias is None else self._convolved(one)
            return None if found is None or found.bias is not None else _Convolved(found.call, bias)
        known = name in _CONVOLUTIONS and isinstance(value.args[1], GenericConst)
        if not known or value.attrs.kernel_layout != _CONVOLUTIONS[name]:
            return None
        return _Convolved(value, None) if value.attrs.out_layout.startswith("NC") else None

    def _bias(self, arg: Any, call: Any) -> np.ndarray | None:
        """Return what is added for each channel, (1, C, 1, 1), as the importer writes it."""
        value = self._values.get(arg, arg)
        constant = value.args[0] if op_name(value) == "relax.reshape" else value
        sizes, of = shape_of(arg), shape_of(call)
        if not isinstance(constant, GenericConst) or sizes is None or of is None:
            return None
        if sizes != (1, of[1], *[1] * (len(of) - 2)):
            return None
        return np.asarray(constant.value.numpy().reshape(-1).astype("float64"))

    def _channels(self, call: Any, value: np.ndarray) -> relax.Expr:
        """Return a constant that meets the channels of a tensor."""
        data = call.args[0]
        after = int(data.ty.ndim) - 1 - int(call.attrs.axis) % int(data.ty.ndim)
        dtype = str(data.ty.dtype)
        return relax.const(value.reshape(-1, *[1] * after).astype(dtype), dtype)


def _scaling(call: Any) -> _Scaling | None:
    if op_name(call) != _NAME or call.attrs.training:
        return None
    if not all(isinstance(arg, GenericConst) for arg in call.args[1:]):
        return None
    gamma, beta, mean, variance = (arg.value.numpy().astype("float64") for arg in call.args[1:])
    with np.errstate(divide="ignore", invalid="ignore"):  # what it gives without a variance, it gives here
        factor = 1 / np.sqrt(variance + float(call.attrs.epsilon))
    factor = factor * gamma if call.attrs.scale else factor
    return _Scaling(factor, (beta if call.attrs.center else 0) - mean * factor)


def _has_any(module: IRModule) -> bool:
    return any(op_name(one.value) == _NAME for block in module["main"].body.blocks for one in block.bindings)
