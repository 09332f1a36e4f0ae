"""Fourier transforms of fixed lengths, as products with the matrix that they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from workers.models import _graphs
from workers.models.rewrites.edit import Edit

__all__ = ["RULES"]


def _matrices(
    length: int, bins: int, window: npt.NDArray[Any] | None, inverse: bool, size: int
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return cosines and sines [size, bins], the window in them; what is beyond `size` counts as zero."""
    angle = 2.0 * np.pi * np.outer(np.arange(size), np.arange(bins)) / length
    scale = np.ones(size) if window is None else window.astype(np.float64)
    if inverse:
        scale = scale / length
    sign = 1.0 if inverse else -1.0
    return scale[:, None] * np.cos(angle), scale[:, None] * sign * np.sin(angle)


def _short_time(node: Any, edit: Edit) -> list[str] | None:
    """Frames [batch, frames, length], times cosines and sines of the window."""
    shape, step = edit.shape(node.input[0]), edit.constant(node.input[1])
    window, length = edit.constant(edit.input(node, 2)), edit.constant(edit.input(node, 3))
    if shape is None or step is None or (edit.input(node, 2) and window is None):
        return None
    if len(shape) == 3 and shape[2] == 2:
        return None  # of complex numbers
    size = int(length.ravel()[0]) if length is not None else 0 if window is None else len(window)
    if not size:
        return None
    hop = int(step.ravel()[0])
    frames = (shape[1] - size) // hop + 1
    bins = size // 2 + 1 if _graphs.attribute(node, "onesided", 1) else size
    signal = edit.reshape(node.input[0], [shape[0], shape[1]])
    places = np.arange(frames)[:, None] * hop + np.arange(size)
    framed = edit.gather(signal, places, axis=1)
    return [_transformed(edit, framed, node.input[0], _matrices(size, bins, window, False, size))]


def _transformed(
    edit: Edit, real: str, like: str, matrices: tuple[npt.NDArray[Any], npt.NDArray[Any]]
) -> str:
    cosines, sines = matrices
    both = np.stack([cosines, sines], axis=-1).reshape(len(cosines), -1)
    product = edit.emit("MatMul", [real, edit.like(both, like)])
    return edit.reshape(product, [0, 0, cosines.shape[1], 2])


def _fourier(node: Any, edit: Edit) -> list[str] | None:
    """A transform along one axis of real numbers, or of complex ones as pairs."""
    shape = edit.shape(node.input[0])
    if shape is None:
        return None
    rank = len(shape)
    axis = _graphs.attribute(node, "axis")
    if edit.input(node, 2):
        given = edit.constant(node.input[2])
        if given is None:
            return None
        axis = int(given.ravel()[0])
    axis = (1 if axis is None and edit.opset < 20 else -2 if axis is None else int(axis)) % rank
    given = edit.constant(edit.input(node, 1))
    if edit.input(node, 1) and given is None:
        return None
    length = int(given.ravel()[0]) if given is not None else shape[axis]
    inverse = bool(_graphs.attribute(node, "inverse", 0))
    onesided = bool(_graphs.attribute(node, "onesided", 0))
    if inverse and onesided:
        return None
    size = min(shape[axis], length)
    bins = length // 2 + 1 if onesided else length
    cosines, sines = _matrices(length, bins, None, inverse, size)
    x = node.input[0] if size == shape[axis] else edit.slice(node.input[0], [0], [size], [axis])
    order = [i for i in range(rank) if i not in (axis, rank - 1)] + [axis, rank - 1]
    moved = x if order == list(range(rank)) else edit.emit("Transpose", [x], perm=order)
    lead = [shape[i] for i in order[:-2]]
    if shape[-1] == 1:
        matrix = np.stack([cosines, sines], axis=-1).reshape(size, -1)
    else:
        # (re + i im)(c + i s) = (re c - im s) + i (re s + im c), over rows of re and im in turns
        rows = np.empty((size, 2, bins, 2))
        rows[:, 0, :, 0], rows[:, 0, :, 1] = cosines, sines
        rows[:, 1, :, 0], rows[:, 1, :, 1] = -sines, cosines
        matrix = rows.reshape(2 * size, 2 * bins)
    flat = edit.reshape(moved, [*lead, size * shape[-1]])
    product = edit.emit("MatMul", [flat, edit.like(matrix, node.input[0])])
    result = edit.reshape(product, [*lead, bins, 2])
    if order != list(range(rank)):
        result = edit.emit("Transpose", [result], perm=[order.index(i) for i in range(rank)])
    return [result]


RULES = {"STFT": _short_time, "DFT": _fourier}
