"""Resize and Upsample, as what they mean along each axis: entries taken, or weighted sums of them.

TVM's frontend looks at the sizes of the result alone. It drops scales that don't lead to a whole size,
``antialias``, ``axes``, ``keep_aspect_ratio_policy`` and ``exclude_outside``, and knows images only
(apache/tvm 19570, 17795). Where it is right, a node is left to it: its kernels fit into blocked layouts.

What each mode means is the ONNX operator's definition (Resize-19); where that leaves a choice, such as the
precision of a coordinate, it is taken as onnxruntime takes it.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from workers.models import _graphs
from workers.models.rewrites.edit import Edit

__all__ = ["RULES"]

# Rows of a weight matrix with more entries than this are a matrix product, others a sum of entries taken.
_FEW_TAPS = 4
_IMAGE_RANK = 4


class _Settings(NamedTuple):
    mode: str
    coordinates: str
    rounding: str
    a: float
    exclude_outside: bool
    extrapolation: float
    antialias: bool


class _Axis(NamedTuple):
    axis: int
    size: int
    target: int
    scale: float
    start: float
    end: float


def _resize(node: Any, edit: Edit) -> list[str] | None:
    shape = edit.shape(node.input[0])
    axes = None if shape is None else _axes(node, edit, shape)
    if shape is None or axes is None:
        return None
    axes = [axis for axis in axes if axis.size != axis.target or axis.scale != 1.0 or axis.start != 0.0]
    settings = _settings(node, edit)
    if _tvm_is_right(settings, shape, axes, edit, node):
        return _without_empty(node, edit)
    value, dtype = node.input[0], edit.type(node.input[0])
    if settings.mode != "nearest" and dtype != TensorProto.FLOAT:
        value = edit.cast(value, TensorProto.FLOAT)
    current = list(shape)
    for axis in axes:
        value = _along(value, current, axis, settings, edit)
        current[axis.axis] = axis.target
    if settings.mode != "nearest" and dtype != TensorProto.FLOAT:
        value = edit.emit("Cast", [value], to=dtype)
    return [value]


def _settings(node: Any, edit: Edit) -> _Settings:
    def text(name: str, default: str) -> str:
        return str(_graphs.attribute(node, name, default.encode()).decode())

    old = node.op_type == "Upsample" or edit.opset < 11
    return _Settings(
        mode=text("mode", "nearest").replace("bilinear", "linear"),
        coordinates="asymmetric" if old else text("coordinate_transformation_mode", "half_pixel"),
        rounding="simple" if old else text("nearest_mode", "round_prefer_floor"),
        a=float(_graphs.attribute(node, "cubic_coeff_a", -0.75)),
        exclude_outside=bool(_graphs.attribute(node, "exclude_outside", 0)),
        extrapolation=float(_graphs.attribute(node, "extrapolation_value", 0.0)),
        antialias=bool(_graphs.attribute(node, "antialias", 0)),
    )


def _axes(node: Any, edit: Edit, shape: tuple[int, ...]) -> list[_Axis] | None:
    """Return every axis the node names with its sizes and its scale; None where they come from an input."""
    old = node.op_type == "Upsample" or edit.opset < 11
    rank = len(shape)
    named = [int(a) % rank for a in _graphs.attribute(node, "axes", []) or range(rank)]
    scales = edit.constant(edit.input(node, 1 if old else 2))
    if scales is None and _graphs.attribute(node, "scales") is not None:
        scales = np.asarray(_graphs.attribute(node, "scales"), np.float32)
    sizes = None if old else edit.constant(edit.input(node, 3))
    roi = None if old else edit.constant(edit.input(node, 1))
    if sizes is not None and sizes.size:
        targets = [int(size) for size in sizes.ravel()]
        ratios = [target / shape[axis] for target, axis in zip(targets, named, strict=True)]
        policy = _graphs.attribute(node, "keep_aspect_ratio_policy", b"stretch").decode()
        if policy != "stretch":
            ratio = min(ratios) if policy == "not_larger" else max(ratios)
            ratios = [ratio] * len(named)
            targets = [math.floor(ratio * shape[axis] + 0.5) for axis in named]
    elif scales is not None and scales.size:
        ratios = [float(scale) for scale in scales.ravel()]
        targets = [
            math.floor(np.float32(shape[axis]) * np.float32(ratio))
            for axis, ratio in zip(named, ratios, strict=True)
        ]
    else:
        return None
    starts, ends = [0.0] * len(named), [1.0] * len(named)
    if (
        roi is not None
        and roi.size == 2 * len(named)
        and _graphs.attribute(node, "coordinate_transformation_mode") == b"tf_crop_and_resize"
    ):
        starts, ends = [float(x) for x in roi[: len(named)]], [float(x) for x in roi[len(named) :]]
    return [
        _Axis(axis, shape[axis], target, ratio, start, end)
        for axis, target, ratio, start, end in zip(named, targets, ratios, starts, ends, strict=True)
    ]


def _tvm_is_right(
    settings: _Settings, shape: tuple[int, ...], axes: list[_Axis], edit: Edit, node: Any
) -> bool:
    """Say whether TVM's Resize computes the same: an image, scales that lead to whole sizes."""
    if node.op_type == "Upsample" or edit.opset < 11 or len(shape) != _IMAGE_RANK or not axes:
        return False
    if any(axis.axis < 2 or axis.size * axis.scale != axis.target for axis in axes):
        return False
    if settings.antialias or settings.exclude_outside or _graphs.attribute(node, "axes"):
        return False
    if any(axis.target == 1 for axis in axes) or settings.coordinates not in (
        "half_pixel",
        "align_corners",
        "asymmetric",
        "pytorch_half_pixel",
    ):
        return False
    if settings.mode == "nearest":
        return all(_repeats(axis, settings) for axis in axes)
    return bool(edit.type(node.input[0]) == TensorProto.FLOAT)


def _without_empty(node: Any, edit: Edit) -> list[str] | None:
    """Leave out inputs that are there and hold nothing, as exporters write them up to opset 12."""
    given = [edit.constant(name) for name in node.input]
    if all(values is None or values.size for values in given):
        return None
    inputs = [
        "" if values is not None and not values.size else name
        for name, values in zip(node.input, given, strict=True)
    ]
    return [edit.emit("Resize", inputs, **_graphs.attributes(node))]


def _repeats(axis: _Axis, settings: _Settings) -> bool:
    """Say whether each entry is there a whole number of times: that is the same in every reading."""
    if axis.target % axis.size:
        return False
    places = np.clip(_rounded(_coordinates(axis, settings), axis, settings), 0, axis.size - 1)
    return bool((places == np.arange(axis.target) // (axis.target // axis.size)).all())


def _along(value: str, shape: list[int], axis: _Axis, settings: _Settings, edit: Edit) -> str:
    x = _coordinates(axis, settings)
    if settings.mode == "nearest":
        places = np.clip(_rounded(x, axis, settings), 0, axis.size - 1).astype(np.int64)
        return edit.gather(value, places, axis.axis)
    weights = _weights(x, axis, settings)
    outside = np.zeros(axis.target, bool)
    if settings.coordinates == "tf_crop_and_resize":
        outside = (x < 0) | (x > axis.size - 1)
        weights[outside] = 0.0
    taps = int((weights != 0.0).sum(axis=1).max(initial=1))
    broadcast = [axis.target if place == axis.axis else 1 for place in range(len(shape))]
    result = (
        _as_sum(value, weights, max(taps, 1), axis.axis, broadcast, edit)
        if taps <= _FEW_TAPS
        else _as_product(value, weights, axis.axis, len(shape), edit)
    )
    if outside.any() and settings.extrapolation:
        filled = np.where(outside, np.float32(settings.extrapolation), np.float32(0)).reshape(broadcast)
        result = edit.emit("Add", [result, edit.store(filled)])
    return result


def _as_sum(
    value: str, weights: npt.NDArray[np.float32], taps: int, axis: int, broadcast: list[int], edit: Edit
) -> str:
    order = np.argsort(weights == 0.0, axis=1, kind="stable")[:, :taps]
    result = ""
    for tap in range(taps):
        share = np.take_along_axis(weights, order[:, tap : tap + 1], axis=1).reshape(broadcast)
        part = edit.gather(value, order[:, tap], axis)
        if not (share == 1.0).all():
            part = edit.emit("Mul", [part, edit.store(share)])
        result = part if not result else edit.emit("Add", [result, part])
    return result


def _as_product(value: str, weights: npt.NDArray[np.float32], axis: int, rank: int, edit: Edit) -> str:
    if axis == rank - 1:
        return str(edit.emit("MatMul", [value, edit.store(np.ascontiguousarray(weights.T))]))
    if axis == rank - 2:
        return str(edit.emit("MatMul", [edit.store(weights), value]))
    order = [place for place in range(rank) if place != axis] + [axis]
    moved = edit.emit("Transpose", [value], perm=order)
    product = edit.emit("MatMul", [moved, edit.store(np.ascontiguousarray(weights.T))])
    return str(edit.emit("Transpose", [product], perm=[order.index(place) for place in range(rank)]))


def _coordinates(axis: _Axis, settings: _Settings) -> npt.NDArray[Any]:
    """Return where each entry of the result lies in the input, in single precision as onnxruntime."""
    x = np.arange(axis.target, dtype=np.float32)
    scale, half = np.float32(axis.scale), np.float32(0.5)
    last = np.float32(axis.size - 1)
    mode = settings.coordinates
    if mode == "half_pixel" or (mode == "pytorch_half_pixel" and axis.target > 1):
        return (x + half) / scale - half
    if mode == "half_pixel_symmetric":
        adjustment = np.float32(axis.target) / (scale * np.float32(axis.size))
        center = np.float32(axis.size) / np.float32(2)
        return center * (np.float32(1) - adjustment) + (x + half) / scale - half
    if mode == "tf_half_pixel_for_nn":
        return (x + half) / scale
    if mode == "align_corners":
        return x * last / np.float32(axis.target - 1) if axis.target > 1 else np.zeros_like(x)
    if mode == "tf_crop_and_resize":
        start, end = np.float32(axis.start), np.float32(axis.end)
        if axis.target > 1:
            return start * last + x * (end - start) * last / np.float32(axis.target - 1)
        return np.full_like(x, half * (start + end) * last)
    if mode == "pytorch_half_pixel":
        return np.zeros_like(x)
    return x / scale


def _rounded(x: npt.NDArray[Any], axis: _Axis, settings: _Settings) -> npt.NDArray[Any]:
    """Return the entry that a coordinate means."""
    mode = settings.rounding
    if mode == "simple":
        return np.asarray(np.ceil(x) if axis.scale < 1 else np.trunc(x))
    if mode == "round_prefer_floor":
        return np.asarray(np.ceil(x - np.float32(0.5)))
    if mode == "round_prefer_ceil":
        return np.asarray(np.floor(x + np.float32(0.5)))
    return np.asarray(np.floor(x) if mode == "floor" else np.ceil(x))


def _weights(x: npt.NDArray[np.float32], axis: _Axis, settings: _Settings) -> npt.NDArray[np.float32]:
    """Return the share that each entry of the input (columns) has in each of the result (rows)."""
    size = axis.size
    matrix: npt.NDArray[np.float64] = np.zeros((axis.target, size), np.float64)
    if settings.antialias and axis.scale < 1:
        reach = (1.0 if settings.mode == "linear" else 2.0) / axis.scale
        for row, center in enumerate(x.astype(np.float64) + 0.5):
            taps = np.arange(math.floor(center - reach + 0.5), math.floor(center + reach + 0.5))
            if settings.exclude_outside:
                taps = taps[(taps >= 0) & (taps < size)]
            distance = np.abs((taps - center + 0.5) * axis.scale)
            share = _cubic(distance, settings.a)
            if settings.mode == "linear":
                share = np.maximum(0.0, 1.0 - distance)
            np.add.at(matrix[row], np.clip(taps, 0, size - 1), share / share.sum())
        return matrix.astype(np.float32)
    if settings.mode == "linear":
        clipped = np.clip(x.astype(np.float64), 0, size - 1)
        left = np.floor(clipped).astype(np.int64)
        rows, share = np.arange(axis.target), clipped - left
        matrix[rows, left] += 1.0 - share
        matrix[rows, np.minimum(left + 1, size - 1)] += share
        return matrix.astype(np.float32)
    for row, place in enumerate(x.astype(np.float64)):
        base = math.floor(place)
        taps = np.arange(base - 1, base + 3)
        share = _cubic(np.abs(taps - place), settings.a)
        if settings.exclude_outside:
            share = np.where((taps < 0) | (taps >= size), 0.0, share)
            share = share / share.sum()
        np.add.at(matrix[row], np.clip(taps, 0, size - 1), share)
    return matrix.astype(np.float32)


def _cubic(distance: npt.NDArray[np.float64], a: float) -> npt.NDArray[np.float64]:
    """Keys' convolution kernel (IEEE Trans. ASSP 29, 1981), for which ONNX names `a`."""
    near = (a + 2) * distance**3 - (a + 3) * distance**2 + 1
    far = a * distance**3 - 5 * a * distance**2 + 8 * a * distance - 4 * a
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))


RULES = {"Resize": _resize, "Upsample": _resize}
