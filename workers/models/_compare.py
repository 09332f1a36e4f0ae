"""How far outputs are from the reference's."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto

from workers.models import _graphs

__all__ = ["OutputDifference", "compare", "tolerance"]

# Summing float32 in another order is off by about 1e-6 of the largest value at each layer, and a softmax or
# sigmoid far from saturation's middle turns a logit's absolute error into a relative one: 2e-4 was seen over
# 24 compiled models, 3e-4 from folding batch norm alone in a text detector. A wrong kernel is off by the
# order of the values themselves.
_RTOL = 1e-3

# A quantized value that lies between two steps may round either way, and in a deep model one that did makes
# others round otherwise: of so many elements one may be two steps off.
_FEW = 1000
# Of a step: a float32 that is a whole number of them is off by its own last bit.
_LAST_BIT = 1e-3

# float16 carries 11 bits, so that one rounding is 5e-4 already; bfloat16 carries 8.
_RTOL_HALF = 2e-2
_HALVES = (TensorProto.FLOAT16, TensorProto.BFLOAT16)


@dataclass(frozen=True)
class OutputDifference:
    """The largest difference between outputs and reference.

    Attributes
    ----------
    max_abs : float
        Largest absolute difference over all outputs; ``inf`` where shapes, NaNs or infinities disagree.
    max_rel : float
        Largest over the outputs of ``max|a - b| / max|b|``, ``b`` being the reference. Relative to an
        output's largest value, since an element near zero has no meaningful relative error.
    worst : int
        Index of the output with the largest ``max_rel``; of the first that fails, if one does.
    worst_name : str
        Its name, or ``#index`` where no names were given.
    ok : bool
        Every output is within the tolerance.
    reason : str
        What is wrong with the worst output; empty where ``ok``.
    remark : str
        Why more than the usual tolerance was allowed, where it was; see :func:`workers.models.judge`.
    """

    max_abs: float
    max_rel: float
    worst: int
    worst_name: str
    ok: bool
    reason: str = ""
    remark: str = ""


def tolerance(model: onnx.ModelProto) -> float:
    """Return how far a float output of a model may be off: as part of its largest value, by what computes it.

    An output of float32 says nothing of that: converters leave a model its types, and put casts around it.
    """
    return _RTOL_HALF if any(True for _ in _halves(model)) else _RTOL


def _halves(model: onnx.ModelProto) -> Iterator[str]:
    for graph in _graphs.graphs(model):
        for value in (*graph.input, *graph.output, *graph.value_info):
            if value.type.tensor_type.elem_type in _HALVES:
                yield value.name
        yield from (tensor.name for tensor in graph.initializer if tensor.data_type in _HALVES)
        for node in graph.node:
            if node.op_type == "Cast" and _graphs.attribute(node, "to") in _HALVES:
                yield node.output[0]


@dataclass(frozen=True)
class _One:
    max_abs: float
    max_rel: float
    reason: str
    remark: str = ""


def _compare_finite(
    got: npt.NDArray[Any], want: npt.NDArray[Any], rtol: float | None, step: float = 0.0
) -> _One:
    exact = want.dtype.kind in "biu"
    if exact and want.dtype.itemsize == np.dtype(np.int64).itemsize:
        # float64 would round large integers; Python's own don't.
        pairs = zip(got.ravel().tolist(), want.ravel().tolist(), strict=True)
        max_abs = float(max((abs(a - b) for a, b in pairs), default=0))
    else:
        max_abs = float(np.max(np.abs(got.astype(np.float64) - want.astype(np.float64)), initial=0.0))
    largest = float(np.max(np.abs(want.astype(np.float64)), initial=0.0))
    max_rel = max_abs / largest if largest > 0.0 else (math.inf if max_abs > 0.0 else 0.0)
    if exact and not step:
        # A quantized value that lies between two steps may round either way.
        step = 1.0 if want.dtype in (np.dtype(np.int8), np.dtype(np.uint8)) else 0.0
        return _One(max_abs, max_rel, "" if max_abs <= step else f"integers differ by up to {max_abs:.0f}")
    if rtol is None:
        rtol = _RTOL_HALF if np.float16 in (got.dtype, want.dtype) else _RTOL
    # Below the smallest normal number kernels are free to flush to zero.
    if max_abs <= (0.0 if exact else max(rtol * largest, float(np.finfo(np.float32).tiny))):
        return _One(max_abs, max_rel, "")
    if step:
        off = np.abs(got.astype(np.float64) - want.astype(np.float64)) / step
        return _One(max_abs, max_rel, *_in_steps(off, step))
    return _One(
        max_abs,
        max_rel,
        f"differs by {max_abs:.3g} ({max_rel:.2g} of its largest value; {rtol:g} is allowed)",
    )


def _in_steps(off: npt.NDArray[Any], step: float) -> tuple[str, str]:
    """Judge how many quantization steps elements are off: why it is too much, and what is said otherwise."""
    far, most = int(np.count_nonzero(off > 1 + _LAST_BIT)), float(np.max(off, initial=0.0))
    text = (
        f"by up to {most:.3g} quantization steps of {step:.3g}, {far} of {off.size} elements by more than one"
    )
    if far > off.size // _FEW or most > 2 + _LAST_BIT:
        return f"differs {text}; one step is allowed, and two for one element in {_FEW}", ""
    return "", f"its values are quantized, and differ {text}"


def _compare_one(got: npt.NDArray[Any], want: npt.NDArray[Any], rtol: float | None, step: float) -> _One:
    if got.shape != want.shape:
        return _One(math.inf, math.inf, f"has shape {got.shape} instead of {want.shape}")
    if got.dtype.kind != want.dtype.kind:
        return _One(math.inf, math.inf, f"has type {got.dtype} instead of {want.dtype}")
    if want.dtype.kind != "f":
        return _compare_finite(got, want, rtol, step)
    special = ~np.isfinite(got) | ~np.isfinite(want)
    if not np.array_equal(got[special], want[special].astype(got.dtype), equal_nan=True):
        return _One(math.inf, math.inf, "has NaN or infinity in other places")
    return _compare_finite(got[~special], want[~special], rtol, step)


def compare(
    outputs: Sequence[npt.NDArray[Any]],
    reference: Sequence[npt.NDArray[Any]],
    *,
    names: Sequence[str] = (),
    rtol: float | None = None,
    steps: Sequence[float] = (),
) -> OutputDifference:
    """Compare outputs with the reference's, one by one.

    Parameters
    ----------
    outputs, reference : sequence of ndarray
    names : sequence of str, optional
        The outputs' names, for the report.
    rtol : float, optional
        Allowed difference of a float output, as a part of its largest reference value, see
        :func:`tolerance`. By default 1e-3, and 2e-2 for float16. Integers and bools must be equal, int8
        and uint8 within one step.
    steps : sequence of float, optional
        Of each output whose values are quantized, the step; 0 for others, see :func:`output_steps`. Such a
        one agrees as well if all its elements are within one step but one in 1,000, which may be two steps
        off.

    Returns
    -------
    OutputDifference

    Raises
    ------
    ValueError
        The two have different lengths.
    """
    if len(outputs) != len(reference):
        raise ValueError(f"{len(outputs)} outputs can't be compared with {len(reference)} of the reference")
    given = steps or [0.0] * len(outputs)
    found = [
        _compare_one(np.asarray(a), np.asarray(b), rtol, step)
        for a, b, step in zip(outputs, reference, given, strict=True)
    ]
    if not found:
        return OutputDifference(0.0, 0.0, 0, "", True)
    worst = max(range(len(found)), key=lambda index: (bool(found[index].reason), found[index].max_rel))
    return OutputDifference(
        max_abs=max(one.max_abs for one in found),
        max_rel=max(one.max_rel for one in found),
        worst=worst,
        worst_name=names[worst] if names else f"#{worst}",
        ok=not any(one.reason for one in found),
        reason=found[worst].reason,
        remark=next((one.remark for one in (found[worst], *found) if one.remark), ""),
    )
