"""One graph of a model under a rule: what is known of its values, and new nodes for old."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import helper, numpy_helper

from workers.models import _graphs, _mapped

__all__ = ["Edit"]


class Edit:
    """What a rule sees of a graph, and where it writes.

    Parameters
    ----------
    graph : onnx.GraphProto
    shapes : mapping of str to tuple of int
        Of every value whose sizes are all known.
    types : mapping of str to int
        Element types, as ``onnx.TensorProto`` numbers them.
    constants : mapping of str to onnx.TensorProto
        Of this graph and those around it.
    opset : int
        Of the standard operators.
    """

    def __init__(
        self,
        graph: Any,
        shapes: Mapping[str, tuple[int, ...]],
        types: Mapping[str, int],
        constants: Mapping[str, Any],
        opset: int,
    ) -> None:
        self._graph, self._shapes, self._types = graph, shapes, types
        self._constants = dict(constants)
        self.opset = opset
        self.made: list[Any] = []
        # Nodes' own names too: a simplifier gives outputs other names, and leaves those of earlier nodes.
        self._taken = {name for node in graph.node for name in (node.name, *node.input, *node.output)}
        # A rule may have stored one before it found that it couldn't go on.
        self._taken |= {tensor.name for tensor in graph.initializer}
        self._makers = {name: node for node in graph.node for name in node.output}
        self._count = 0

    # -- what is known

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Return the sizes of a value; None where one of them isn't known."""
        if name in self._constants:
            return tuple(int(size) for size in self._constants[name].dims)
        return self._shapes.get(name)

    def type(self, name: str) -> int:
        """Return the element type of a value; 0 where it isn't known."""
        if name in self._constants:
            return int(self._constants[name].data_type)
        return self._types.get(name, 0)

    def constant(self, name: str) -> npt.NDArray[Any] | None:
        """Return a value that depends on no input, or None. An input that is left out is None as well."""
        tensor = self._constants.get(name) if name else None
        return None if tensor is None else _mapped.array(tensor)

    def input(self, node: Any, place: int) -> str:
        """Return the name of a node's input; empty where it is left out."""
        return str(node.input[place]) if len(node.input) > place else ""

    def used(self, node: Any, place: int) -> bool:
        """Say whether anything reads one of a node's outputs."""
        if len(node.output) <= place or not node.output[place]:
            return False
        name = node.output[place]
        inner = (other for graph in _graphs.nested(self._graph) for other in graph.node)
        return any(name in other.input for other in inner) or any(
            name == value.name for graph in _graphs.nested(self._graph) for value in graph.output
        )

    def maker(self, name: str) -> Any | None:
        """Return the node that makes a value, or None where it is an input or a constant."""
        return self._makers.get(name)

    # -- what is written

    def emit(self, operator: str, inputs: Sequence[str], count: int = 1, **attributes: Any) -> Any:
        """Add a node; return the name of its output, or a list of names where it has several."""
        names = [self.fresh(operator) for _ in range(count)]
        self.made.append(helper.make_node(operator, list(inputs), names, name=names[0], **attributes))
        return names[0] if count == 1 else names

    def store(self, values: npt.ArrayLike, dtype: npt.DTypeLike | None = None) -> str:
        """Add a constant; return its name."""
        array = np.asarray(values, dtype)
        name = self.fresh("constant")
        tensor = numpy_helper.from_array(array, name)
        self._graph.initializer.append(tensor)
        self._constants[name] = tensor
        return name

    def shared(self, values: npt.NDArray[Any], label: str) -> str:
        """Add a constant that several nodes read; the same label gives the one that is there."""
        name = f"{self._graph.name or 'graph'}/rewritten/{label}"
        if all(tensor.name != name for tensor in self._graph.initializer):
            self._graph.initializer.append(numpy_helper.from_array(values, name))
            self._constants[name] = self._graph.initializer[-1]
        return name

    def like(self, values: npt.ArrayLike, name: str) -> str:
        """Add a constant of the element type of another value."""
        return self.store(values, helper.tensor_dtype_to_np_dtype(self.type(name)))

    def integers(self, values: Sequence[int]) -> str:
        """Add a list of int64, as shapes and axes are."""
        return self.store(np.asarray(values, np.int64))

    def instead_of(self, node: Any, names: Sequence[str]) -> list[Any]:
        """Return what takes a node's place: what was written for it, under the names of its outputs."""
        return self.made + [
            helper.make_node("Identity", [name], [output], name=f"{output}/rewritten")
            for name, output in zip(names, node.output, strict=False)
            if output and name
        ]

    # -- what is often wanted

    def cast(self, name: str, to: int) -> str:
        """Return a value as another element type."""
        return name if self.type(name) == to else str(self.emit("Cast", [name], to=to))

    def reshape(self, name: str, shape: Sequence[int]) -> str:
        """Return a value with other sizes."""
        return str(self.emit("Reshape", [name, self.integers(shape)]))

    def slice(self, name: str, starts: Sequence[int], ends: Sequence[int], axes: Sequence[int]) -> str:
        """Return a part of a value."""
        limits = (self.integers(values) for values in (starts, ends, axes))
        return str(self.emit("Slice", [name, *limits]))

    def gather(self, name: str, indices: Sequence[int] | npt.NDArray[Any], axis: int) -> str:
        """Return a value's entries at constant places of one axis."""
        return str(self.emit("Gather", [name, self.store(np.asarray(indices, np.int64))], axis=axis))

    def fresh(self, operator: str) -> str:
        """Return a name that nothing has yet."""
        while True:
            self._count += 1
            name = f"{self._graph.name or 'graph'}/rewritten/{operator}_{self._count}"
            if name not in self._taken:
                self._taken.add(name)
                return name
