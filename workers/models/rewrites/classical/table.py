"""A graph under a rule for classical models: inputs are tables, a row a sample, often of open number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from workers.models import _graphs
from workers.models.rewrites.edit import Edit

__all__ = ["DOMAIN", "Left", "Table", "floats", "text", "texts"]

DOMAIN = "ai.onnx.ml"

# From when on the axes of all reductions are an input; those of ReduceSum are in any version here.
_BY_INPUT = 18


class Left(Exception):  # noqa: N818 - nothing went wrong
    """A node stays as it is, for onnxruntime; the text says why, and follows its name."""


class Table(Edit):
    """A graph under a rule, whose values may have open sizes.

    Parameters
    ----------
    dims : mapping of str to tuple of (int or None)
        Sizes of every value whose rank is known.
    version : int
        Of ai.onnx.ml.
    """

    def __init__(
        self,
        graph: Any,
        dims: Mapping[str, tuple[int | None, ...]],
        types: Mapping[str, int],
        constants: Mapping[str, Any],
        opset: int,
        version: int,
    ) -> None:
        whole = {
            name: tuple(size for size in sizes if size is not None)
            for name, sizes in dims.items()
            if None not in sizes
        }
        super().__init__(graph, whole, types, constants, opset)
        self._dims = dims
        self.version = version

    def dims(self, name: str) -> tuple[int | None, ...] | None:
        """Return the sizes of a value, None for each that is open; None where the rank isn't known."""
        whole = self.shape(name)
        return self._dims.get(name) if whole is None else whole

    def rows(self, name: str) -> str:
        """Return an input as onnxruntime's classical operators take it: a vector is one row."""
        dims = self.dims(name)
        if dims is None or len(dims) > 1:
            return name
        return self.reshape(name, [1, -1])

    def column(self, name: str) -> str:
        """Return a value with one dimension more, of size 1, after the others."""
        return str(self.emit("Unsqueeze", [name, self.integers([-1])]))

    def floats(self, name: str) -> str:
        """Return a value as float32."""
        return self.cast(name, TensorProto.FLOAT)

    def reduce(self, operator: str, name: str, axis: int, *, keep: bool) -> str:
        """Return a value reduced over one axis."""
        if operator == "ReduceSum" or self.opset >= _BY_INPUT:
            return str(self.emit(operator, [name, self.integers([axis])], keepdims=int(keep)))
        return str(self.emit(operator, [name], axes=[axis], keepdims=int(keep)))

    def picked(self, condition: str, yes: str, no: str) -> str:
        """Return one value where a condition holds, another elsewhere."""
        return str(self.emit("Where", [condition, yes, no]))

    def beside(self, values: Sequence[str], axis: int = 1) -> str:
        """Return values as one, beside each other."""
        return values[0] if len(values) == 1 else str(self.emit("Concat", list(values), axis=axis))


def text(node: Any, name: str, default: str) -> str:
    """Return an attribute that is a word."""
    return str(_graphs.attribute(node, name, default.encode()).decode())


def texts(node: Any, name: str) -> list[str]:
    """Return an attribute that is a list of words."""
    return [word.decode() for word in _graphs.attribute(node, name) or []]


def floats(node: Any, name: str) -> npt.NDArray[np.float32]:
    """Return an attribute that is a list of numbers; an empty one where it isn't set."""
    return np.asarray(_graphs.attribute(node, name) or [], np.float32)
