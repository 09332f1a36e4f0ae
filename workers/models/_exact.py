"""What a model computes in double precision: the judge between two float32 results that differ."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import AttributeProto, GraphProto, TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from workers.models import _mapped
from workers.models._compare import OutputDifference, compare, tolerance
from workers.models._steps import output_steps, rounds

__all__ = ["judge", "run_exact"]

# A result may be this much farther from the exact one than the reference is: both round, in orders of their
# own.
_MARGIN = 2.0
# Where the reference itself seems farther off than this, it is the evaluation here that is not to be trusted.
_CREDIBLE = 2e-2
# Doubled, and once more where they are read, they have to fit into memory.
_MOST_WEIGHTS = 1 << 30


class GlobalMaxPool(OpRun):  # type: ignore[misc]
    """The operator as it is specified; onnx 1.23's own takes the wrong axes of anything but images."""

    def _run(self, x: npt.NDArray[Any]) -> tuple[npt.NDArray[Any]]:
        return (x.max(axis=tuple(range(2, x.ndim)), keepdims=True),)


class QuantizeLinear(OpRun):  # type: ignore[misc]
    """The operator for scales in double precision, which onnx's own has not."""

    def _run(
        self,
        x: npt.NDArray[Any],
        scale: npt.NDArray[Any],
        zero: Any = None,
        axis: int | None = None,
        **_: Any,
    ) -> tuple[npt.NDArray[Any]]:
        zero = np.zeros((), np.uint8) if zero is None else zero
        ends = np.iinfo(zero.dtype)
        whole = np.rint(x / _along(scale, x, axis)) + _along(zero, x, axis)
        return (np.clip(whole, ends.min, ends.max).astype(zero.dtype),)


class DequantizeLinear(OpRun):  # type: ignore[misc]
    """The operator for scales in double precision, which onnx's own has not."""

    def _run(
        self,
        x: npt.NDArray[Any],
        scale: npt.NDArray[Any],
        zero: Any = None,
        axis: int | None = None,
        **_: Any,
    ) -> tuple[npt.NDArray[Any]]:
        less = 0 if zero is None else _along(zero, x, axis)
        return ((x.astype(np.float64) - less) * _along(scale, x, axis),)


def _along(values: npt.NDArray[Any], x: npt.NDArray[Any], axis: int | None) -> npt.NDArray[np.float64]:
    """Return one number, or one for each place of an axis, so that it meets a tensor; of blocks it won't."""
    wide = values.astype(np.float64)
    if values.size == 1:
        return wide.reshape(())
    dims = [1] * x.ndim
    dims[1 if axis is None else axis] = -1
    return wide.reshape(dims)


def run_exact(data: bytes, inputs: Mapping[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
    """Evaluate a model with every float32 in it widened to float64.

    Slow, and without a word for operators that onnx's reference evaluator lacks or gets wrong.

    Raises
    ------
    Exception
        Whatever onnx's reference evaluator raises.
    """
    model = onnx.load_from_string(data)
    weights = sum(_mapped.array(tensor).nbytes for tensor in _mapped.outside(model))
    if weights > _MOST_WEIGHTS:
        raise ValueError(f"{weights} bytes of weights are too many to double")
    _widen(model.graph)
    _mapped.fill(model.graph.initializer)
    feeds = {name: value.astype(_wide(value.dtype)) for name, value in inputs.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = ReferenceEvaluator(model, new_ops=[GlobalMaxPool, QuantizeLinear, DequantizeLinear])
        return list(evaluator.run(None, feeds))


def judge(
    data: bytes,
    inputs: Mapping[str, npt.NDArray[Any]],
    outputs: Sequence[npt.NDArray[Any]],
    reference: Sequence[npt.NDArray[Any]],
    names: Sequence[str] = (),
) -> OutputDifference:
    """Compare outputs with the reference's, and ask double precision where they differ.

    A model may amplify what float32 rounds: a variance taken as the mean of the squares less the square of
    the mean leaves, of two nearly equal numbers, mostly their rounding. There the reference is no more right
    than what is held against it, and a sum in another order, which is all that a schedule changes, is no
    fault.
    Outputs agree then if they are as near to the exact result as the reference is, within a factor of two.

    So may a deep quantized one: what lies between two steps is rounded either way, a layer norm makes more
    of it, and so on for each layer, whether or not its outputs are steps themselves. A maximum tells little
    there, of steps that each are as good as the other; the root of the mean square does.

    Returns
    -------
    OutputDifference
        From the reference, in both cases; ``remark`` says that and why more than usual was allowed.
    """
    model = onnx.load_from_string(data)
    rtol, steps = tolerance(model), output_steps(model)
    found = compare(outputs, reference, names=names, rtol=rtol, steps=steps)
    if found.ok:
        return found
    try:
        exact = run_exact(data, inputs)
        pairs = list(zip(outputs, reference, exact, steps, strict=True))
    except Exception:  # no judge, then: the stricter verdict stands
        return found
    worst, in_steps = 0.0, rounds(model)
    for got, want, true, step in pairs:
        if compare([got], [want], rtol=rtol, steps=[step]).ok:
            continue
        of_bytes = want.dtype in (np.dtype(np.int8), np.dtype(np.uint8))
        if (
            got.shape != want.shape
            or want.shape != np.shape(true)
            or not (of_bytes or want.dtype.kind == "f")
        ):
            return found
        largest = float(np.max(np.abs(true), initial=0.0))
        ours, theirs = (_distance(one, true, mostly=in_steps) for one in (got, want))
        # Written so that a NaN fails.
        if not (ours <= _MARGIN * theirs and theirs <= _CREDIBLE * largest):
            return found
        worst = max(worst, theirs / largest)
    return replace(
        found,
        ok=True,
        reason="",
        remark=f"the model amplifies rounding: onnxruntime itself is {worst:.1g} of the largest value away "
        "from double precision",
    )


def _distance(values: npt.NDArray[Any], true: npt.NDArray[Any], *, mostly: bool) -> float:
    """Return how far values are from the exact ones: at most, or mostly."""
    off = np.abs(np.asarray(values, np.float64) - true)
    return float(np.sqrt(np.mean(off**2)) if mostly and off.size else np.max(off, initial=0.0))


def _wide(dtype: npt.DTypeLike) -> npt.DTypeLike:
    return np.float64 if dtype == np.float32 else dtype


def _widened(tensor: TensorProto) -> TensorProto:
    if tensor.data_type != TensorProto.FLOAT:
        return tensor
    return numpy_helper.from_array(_mapped.array(tensor).astype(np.float64), tensor.name)


def _widen(graph: GraphProto) -> None:
    for tensor in graph.initializer:
        tensor.CopyFrom(_widened(tensor))
    for value in [*graph.input, *graph.output]:
        if value.type.tensor_type.elem_type == TensorProto.FLOAT:
            value.type.tensor_type.elem_type = TensorProto.DOUBLE
    del graph.value_info[:]
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name in ("to", "dtype") and attribute.i == TensorProto.FLOAT:
                attribute.i = TensorProto.DOUBLE
            if attribute.type == AttributeProto.TENSOR:
                attribute.t.CopyFrom(_widened(attribute.t))
            if attribute.type == AttributeProto.GRAPH:
                _widen(attribute.g)
