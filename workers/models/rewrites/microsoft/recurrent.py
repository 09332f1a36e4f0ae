"""DynamicQuantizeLSTM, step by step: what goes in, and each state, is quantized by its own range."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from onnx import TensorProto

from workers.models import _graphs
from workers.models.rewrites.edit import Edit
from workers.models.rewrites.microsoft.writing import add, part, refusal, unsqueezed
from workers.models.rewrites.steps import product

__all__ = ["RULES"]

_DIRECTIONS = {b"forward": (False,), b"reverse": (True,), b"bidirectional": (False, True)}
_ACTIVATIONS = ("sigmoid", "tanh", "tanh")
_GATES = 4


class _Weights(NamedTuple):
    """Of one direction: a matrix of bytes, its scale and its zero point."""

    values: str
    scale: str
    zero: str

    def times(self, edit: Edit, x: str) -> str:
        """Return the product with what is quantized by its own range, in floats."""
        steps, step, place = edit.emit("DynamicQuantizeLinear", [x], 3)
        whole = edit.emit("MatMulInteger", [steps, self.values, place, self.zero])
        number = edit.emit("Cast", [whole], to=TensorProto.FLOAT)
        return str(edit.emit("Mul", [number, product(edit, step, self.scale)]))


def _refuse(node: Any, edit: Edit, directions: int) -> None:
    attributes = _graphs.attributes(node)
    given = [name.decode().lower() for name in attributes.get("activations", [])]
    asked = {
        "lengths of its sequences (sequence_lens)": edit.input(node, 4),
        "peepholes (P)": edit.input(node, 7),
        "clipping": "clip" in attributes,
        "coupled gates (input_forget)": attributes.get("input_forget", 0),
        "other activations than Sigmoid, Tanh and Tanh": given not in ([], [*_ACTIVATIONS] * directions),
    }
    for what, there in asked.items():
        if there:
            raise refusal(node, f"{what} can't be imported; export the model without them")


def _lstm(node: Any, edit: Edit) -> Sequence[str] | None:
    shape = edit.shape(node.input[0])
    if shape is None:
        return None
    turns = _DIRECTIONS[_graphs.attribute(node, "direction", b"forward")]
    _refuse(node, edit, len(turns))
    length, batch, _ = shape
    hidden = int(_graphs.attribute(node, "hidden_size", 0))
    flat = edit.reshape(node.input[0], [length * batch, -1])
    outputs, states, cells = [], [], []
    for place, backwards in enumerate(turns):

        def of(index: int, place: int = place) -> str:
            return _of_direction(edit, edit.input(node, index), place)

        weights, recurrent = _Weights(of(1), of(8), of(9)), _Weights(of(2), of(10), of(11))
        made = weights.times(edit, flat)
        bias = of(3)
        if bias:
            width = _GATES * hidden
            made = add(edit, made, part(edit, bias, 0, 0, width), part(edit, bias, 0, width, 2 * width))
        given = edit.reshape(made, [length, batch, _GATES * hidden])
        state, cell = of(5), of(6)
        steps = {}
        for step in range(length)[:: -1 if backwards else 1]:
            x = edit.emit("Gather", [given, edit.store(np.int64(step))], axis=0)
            state, cell = _step(edit, x, recurrent, state, cell, hidden)
            steps[step] = unsqueezed(edit, unsqueezed(edit, state, 0), 0)
        outputs.append(edit.emit("Concat", [steps[step] for step in range(length)], axis=0))
        states.append(unsqueezed(edit, state, 0))
        cells.append(unsqueezed(edit, cell, 0))
    return [
        names[0] if len(names) == 1 else edit.emit("Concat", names, axis=axis)
        for names, axis in ((outputs, 1), (states, 0), (cells, 0))
    ]


def _of_direction(edit: Edit, name: str, place: int) -> str:
    values = edit.constant(name)
    if values is not None:
        return edit.store(np.ascontiguousarray(values[place]))
    return str(edit.emit("Gather", [name, edit.store(np.int64(place))], axis=0)) if name else ""


def _step(edit: Edit, x: str, recurrent: _Weights, state: str, cell: str, hidden: int) -> tuple[str, str]:
    """Return the next state and cell; the gates are input, output, forget and cell, in this order."""
    whole = add(edit, x, recurrent.times(edit, state)) if state else x
    gates = [part(edit, whole, 1, place * hidden, (place + 1) * hidden) for place in range(_GATES)]
    let_in, let_out, keep = (edit.emit("Sigmoid", [gate]) for gate in gates[:3])
    new = edit.emit("Mul", [let_in, edit.emit("Tanh", [gates[3]])])
    if cell:
        new = edit.emit("Add", [edit.emit("Mul", [keep, cell]), new])
    return str(edit.emit("Mul", [let_out, edit.emit("Tanh", [new])])), str(new)


RULES = {"DynamicQuantizeLSTM": _lstm}
