"""LSTM, GRU and RNN written out step by step, since TVM's frontend has no converter for them.

The formulas and the order of the gates are those of the ONNX operator specification.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from workers.errors import ModelError
from workers.models import _graphs

__all__ = ["unroll_recurrent"]

_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}

_DEFAULT_ACTIVATIONS = {
    "LSTM": ("Sigmoid", "Tanh", "Tanh"),
    "GRU": ("Sigmoid", "Tanh"),
    "RNN": ("Tanh",),
}

# Those that take no parameter.
_ACTIVATIONS = {"sigmoid": "Sigmoid", "tanh": "Tanh", "relu": "Relu"}

_DIRECTIONS = {b"forward": (False,), b"reverse": (True,), b"bidirectional": (False, True)}

# Positions of the optional inputs, which the three operators share up to the initial hidden state.
_BIAS, _LENGTHS, _INITIAL_H, _INITIAL_C, _PEEPHOLES = 3, 4, 5, 6, 7

# Before opset 7 Add and Mul broadcast only when told to.
_MIN_OPSET = 7

# From here on Slice takes its bounds as inputs.
_SLICE_BY_INPUTS = 10


class _Writer:
    """Collects the nodes and constants that take the place of one node."""

    def __init__(self, prefix: str, opset: int) -> None:
        self._prefix = prefix
        self._opset = opset
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []

    def constant(self, values: npt.NDArray[Any]) -> str:
        key = (values.dtype.str, values.shape, values.tobytes())
        if key not in self._constants:
            self._constants[key] = f"{self._prefix}/constant_{len(self._constants)}"
            self.initializers.append(numpy_helper.from_array(values, self._constants[key]))
        return self._constants[key]

    def op(self, op_type: str, *inputs: str, to: str = "", **attributes: Any) -> str:
        output = to or f"{self._prefix}/{op_type}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, list(inputs), [output], name=output, **attributes))
        return output

    def slice(self, data: str, axis: int, start: int, end: int) -> str:
        if self._opset < _SLICE_BY_INPUTS:
            return self.op("Slice", data, axes=[axis], starts=[start], ends=[end])
        bounds = [self.constant(np.array([value], np.int64)) for value in (start, end, axis)]
        return self.op("Slice", data, *bounds)

    def reshape(self, data: str, *shape: int) -> str:
        return self.op("Reshape", data, self.constant(np.array(shape, np.int64)))

    def concat(self, parts: Sequence[str], axis: int) -> str:
        return parts[0] if len(parts) == 1 else self.op("Concat", *parts, axis=axis)


def _given(node: Any, place: int) -> bool:
    return len(node.input) > place and bool(node.input[place])


class _Cell:
    """One direction of a recurrent node: its weights, and how a step is taken. Here RNN's.

    States are names of values of shape (batch, hidden); an empty name is a state of zeros, whose products are
    left out.
    """

    def __init__(
        self,
        writer: _Writer,
        node: Any,
        index: int,
        hidden: int,
        activations: Sequence[str],
        dtype: npt.DTypeLike,
    ) -> None:
        self.writer = writer
        self.hidden = hidden
        self.activations = activations
        self.dtype = dtype
        gates = _GATES[node.op_type]

        def weight(place: int) -> str:
            one = writer.slice(node.input[place], 0, index, index + 1)
            return writer.op("Transpose", writer.reshape(one, gates * hidden, -1), perm=[1, 0])

        self.input_weight = weight(1)
        self.recurrent_weight = weight(2)
        self.input_bias = self.recurrent_bias = ""
        if _given(node, _BIAS):
            both = writer.reshape(writer.slice(node.input[_BIAS], 0, index, index + 1), -1)
            self.input_bias = writer.slice(both, 0, 0, gates * hidden)
            self.recurrent_bias = writer.slice(both, 0, gates * hidden, 2 * gates * hidden)

    def early_bias(self) -> str:
        """The bias that can be added before the steps begin."""
        return self.writer.op("Add", self.input_bias, self.recurrent_bias)

    def project(self, flat: str) -> str:
        """The input's part of all gates and all steps at once; ``flat`` is (steps * batch, features)."""
        gates = self.writer.op("MatMul", flat, self.input_weight)
        return self.writer.op("Add", gates, self.early_bias()) if self.input_bias else gates

    def gate(self, gates: str, number: int, count: int = 1) -> str:
        return self.writer.slice(gates, 1, number * self.hidden, (number + count) * self.hidden)

    def recur(self, gates: str, h: str) -> str:
        if not h:
            return gates
        return self.writer.op("Add", gates, self.writer.op("MatMul", h, self.recurrent_weight))

    def step(self, gates: str, h: str, c: str) -> tuple[str, str]:
        """The next hidden and cell state, ``gates`` being this step's part of :meth:`project`."""
        return self.writer.op(self.activations[0], self.recur(gates, h)), c


class _Lstm(_Cell):
    """Gates in the order input, output, forget, cell."""

    def step(self, gates: str, h: str, c: str) -> tuple[str, str]:
        op = self.writer.op
        gate, cell, output = self.activations
        gates = self.recur(gates, h)
        new = op("Mul", op(gate, self.gate(gates, 0)), op(cell, self.gate(gates, 3)))
        if c:
            new = op("Add", op("Mul", op(gate, self.gate(gates, 2)), c), new)
        return op("Mul", op(gate, self.gate(gates, 1)), op(output, new)), new


class _Gru(_Cell):
    """Gates in the order update, reset, hidden."""

    def __init__(
        self,
        writer: _Writer,
        node: Any,
        index: int,
        hidden: int,
        activations: Sequence[str],
        dtype: npt.DTypeLike,
    ) -> None:
        super().__init__(writer, node, index, hidden, activations, dtype)
        self.reset_last = bool(_graphs.attribute(node, "linear_before_reset", 0))
        self.hidden_bias = ""
        if self.recurrent_bias and self.reset_last:
            self.hidden_bias = writer.slice(self.recurrent_bias, 0, 2 * hidden, 3 * hidden)
        if not self.reset_last:
            self.gates_weight = writer.slice(self.recurrent_weight, 1, 0, 2 * hidden)
            self.hidden_weight = writer.slice(self.recurrent_weight, 1, 2 * hidden, 3 * hidden)

    def early_bias(self) -> str:
        if not self.reset_last:
            return super().early_bias()
        # The hidden gate's recurrent bias is multiplied by the reset gate, so it waits for its step.
        split = 2 * self.hidden
        inputs = [
            self.writer.slice(self.input_bias, 0, *part)
            for part in ((0, split), (split, split + self.hidden))
        ]
        early = self.writer.op("Add", inputs[0], self.writer.slice(self.recurrent_bias, 0, 0, split))
        return self.writer.concat([early, inputs[1]], 0)

    def _hidden_gate(self, gates: str, recurrent: str, reset: str, h: str) -> str:
        op = self.writer.op
        if not self.reset_last:
            return op("Add", gates, op("MatMul", op("Mul", reset, h), self.hidden_weight)) if h else gates
        late = self.gate(recurrent, 2) if h else ""
        if self.hidden_bias:
            late = op("Add", late, self.hidden_bias) if late else self.hidden_bias
        return op("Add", gates, op("Mul", reset, late)) if late else gates

    def step(self, gates: str, h: str, c: str) -> tuple[str, str]:
        op = self.writer.op
        gate, hidden = self.activations
        both = self.gate(gates, 0, 2)
        recurrent = ""
        if h and self.reset_last:
            recurrent = op("MatMul", h, self.recurrent_weight)
            both = op("Add", both, self.gate(recurrent, 0, 2))
        elif h:
            both = op("Add", both, op("MatMul", h, self.gates_weight))
        both = op(gate, both)
        update, reset = self.gate(both, 0), self.gate(both, 1)
        new = op(hidden, self._hidden_gate(self.gate(gates, 2), recurrent, reset, h))
        one = self.writer.constant(np.ones((), self.dtype))
        kept = op("Mul", op("Sub", one, update), new)
        return (op("Add", kept, op("Mul", update, h)) if h else kept), c


_CELLS = {"LSTM": _Lstm, "GRU": _Gru, "RNN": _Cell}


class _Unroller:
    """Unrolls the nodes of one model, whose values' types and shapes it was told."""

    def __init__(self, model: onnx.ModelProto, path: Path) -> None:
        self._path = path
        self._opset = _graphs.opset(model)
        self._types: dict[str, Any] = {}
        self._constants: dict[str, Any] = {}
        inferred = _graphs.infer_shapes(model)
        for graph in _graphs.graphs(inferred):
            for value in (*graph.input, *graph.value_info, *graph.output):
                self._types[value.name] = value.type.tensor_type
            for tensor in graph.initializer:
                self._constants[tensor.name] = tensor
                self._types[tensor.name] = helper.make_tensor_type_proto(
                    tensor.data_type, tensor.dims
                ).tensor_type

    def _refuse(self, node: Any, why: str) -> ModelError:
        return ModelError(
            f"{self._path}: {node.op_type} {_graphs.title(node)} has to be written out step by step, "
            f"and can't be: {why}"
        )

    def _sizes(self, node: Any, place: int) -> tuple[int, ...]:
        name = node.input[place]
        known = self._types.get(name)
        dims = tuple(dim.dim_value for dim in known.shape.dim) if known is not None else ()
        if len(dims) != 3 or min(dims) < 1:
            raise self._refuse(node, f"the shape of '{name}' is not fixed")
        return dims

    def _check(self, node: Any, steps: int) -> None:
        if self._opset < _MIN_OPSET:
            raise self._refuse(
                node, f"opset {self._opset} is too old; export the model with {_MIN_OPSET} or later"
            )
        if _graphs.attribute(node, "layout", 0):
            # onnxruntime runs no such model either, so that nothing could check the outcome.
            raise self._refuse(node, "its batch comes before its steps (layout 1)")
        if _graphs.attribute(node, "clip") is not None:
            raise self._refuse(node, "it clips its gates")
        if _graphs.attribute(node, "input_forget", 0):
            raise self._refuse(node, "its input and forget gates are coupled")
        if _given(node, _PEEPHOLES):
            raise self._refuse(node, "it has peepholes")
        if _given(node, _LENGTHS):
            lengths = self._constants.get(node.input[_LENGTHS])
            if lengths is None or np.any(numpy_helper.to_array(lengths) != steps):
                raise self._refuse(
                    node, f"its sequences have lengths of their own ('{node.input[_LENGTHS]}')"
                )

    def _activations(self, node: Any, directions: int) -> list[tuple[str, ...]]:
        default = _DEFAULT_ACTIVATIONS[node.op_type]
        named = [name.decode() for name in _graphs.attribute(node, "activations", ())]
        known = [_ACTIVATIONS.get(name.lower(), "") for name in named] or list(default) * directions
        if "" in known:
            raise self._refuse(
                node, f"activation {named[known.index('')]} is not among Sigmoid, Tanh and Relu"
            )
        return [tuple(known[index * len(default) :][: len(default)]) for index in range(directions)]

    def unroll(self, node: Any) -> tuple[list[Any], list[Any], int]:
        """The nodes and the constants that replace one node, and over how many steps."""
        steps, batch, features = self._sizes(node, 0)
        hidden = self._sizes(node, 2)[2]
        self._check(node, steps)
        backwards = _DIRECTIONS[_graphs.attribute(node, "direction", b"forward")]
        activations = self._activations(node, len(backwards))
        dtype = helper.tensor_dtype_to_np_dtype(self._types[node.input[0]].elem_type)

        writer = _Writer(next(name for name in node.output if name), self._opset)
        flat = writer.reshape(node.input[0], steps * batch, features)
        states = [node.input[place] if _given(node, place) else "" for place in (_INITIAL_H, _INITIAL_C)]
        sequences, last_h, last_c = [], [], []
        for index, backward in enumerate(backwards):
            cell = _CELLS[node.op_type](writer, node, index, hidden, activations[index], dtype)
            gates = cell.project(flat)
            h, c = (
                writer.reshape(writer.slice(state, 0, index, index + 1), batch, hidden) if state else ""
                for state in states
            )
            made = [""] * steps
            for step in reversed(range(steps)) if backward else range(steps):
                h, c = cell.step(writer.slice(gates, 0, step * batch, (step + 1) * batch), h, c)
                made[step] = h
            sequences.append(writer.reshape(writer.concat(made, 0), steps, 1, batch, hidden))
            last_h.append(writer.reshape(h, 1, batch, hidden))
            if c:
                last_c.append(writer.reshape(c, 1, batch, hidden))

        if node.output[0]:
            writer.op("Identity", writer.concat(sequences, 1), to=node.output[0])
        for name, last in zip(node.output[1:], (last_h, last_c), strict=False):
            if name:
                writer.op("Identity", writer.concat(last, 0), to=name)
        return writer.nodes, writer.initializers, steps


def unroll_recurrent(model: onnx.ModelProto, path: Path) -> list[str]:
    """Replace every LSTM, GRU and RNN by MatMul, Add, Sigmoid and the like, in place.

    Parameters
    ----------
    model : onnx.ModelProto
        With fixed input shapes, and constants folded: the sequences' lengths must be known.
    path : Path
        For messages.

    Returns
    -------
    list of str
        One sentence for each node that was unrolled.

    Raises
    ------
    ModelError
        A node has lengths of its own for each sequence, peepholes, clipping, coupled gates, an activation
        with parameters, or a sequence length that is not fixed.
    """
    if not any(node.op_type in _GATES for node in _graphs.nodes(model)):
        return []
    unroller = _Unroller(model, path)
    changes = []
    for graph in _graphs.graphs(model):
        written: list[Any] = []
        for node in graph.node:
            if node.op_type not in _GATES:
                written.append(node)
                continue
            new_nodes, initializers, steps = unroller.unroll(node)
            written.extend(new_nodes)
            graph.initializer.extend(initializers)
            changes.append(
                f"unrolled {node.op_type} {_graphs.title(node)} over {steps} step{'s' if steps > 1 else ''}"
            )
        kept = copy.deepcopy(written)
        del graph.node[:]
        graph.node.extend(kept)
    return changes
