"""By how much an output changes where one quantized number is rounded the other way."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx

from workers.models import _graphs, _mapped

__all__ = ["output_steps", "rounds"]

# What makes whole numbers of others.
_ROUNDING = {"DynamicQuantizeLinear", "QuantizeLinear"}
_OF_NUMBERS = {"QGemm": 7}  # where its scale stands, without which its result is of floats
# What moves, selects or limits numbers: by the places of the inputs that hold them, None for all.
_MOVING: dict[str, tuple[int, ...] | None] = {
    **dict.fromkeys(
        (
            *("Cast", "Clip", "DepthToSpace", "Dropout", "Expand", "Flatten", "Gather", "GatherElements"),
            *("GatherND", "Identity", "MaxPool", "GlobalMaxPool", "Pad", "ReduceMax", "ReduceMin", "Relu"),
            *(
                "Reshape",
                "Slice",
                "SpaceToDepth",
                "Split",
                "Squeeze",
                "Tile",
                "TopK",
                "Transpose",
                "Unsqueeze",
            ),
            *("Abs", "Neg", "LeakyRelu"),
        ),
        (0,),
    ),
    "Where": (1, 2),
    **dict.fromkeys(("Add", "Sub", "Sum", "Concat", "Max", "Min"), None),
}


def output_steps(model: onnx.ModelProto) -> tuple[float, ...]:
    """Return the scale of each output of a model whose values are quantized ones; 0 for the others.

    From an output back over what moves numbers and adds them up, through DequantizeLinear and factors, to
    what was rounded; where several come together, the largest counts. Of whole numbers it is 1.
    """
    return _Steps(model).of(value.name for value in model.graph.output)


def rounds(model: onnx.ModelProto) -> bool:
    """Say whether a model rounds numbers to steps anywhere on its way."""
    return any(
        node.op_type in _ROUNDING or node.op_type.startswith("QLinear") or node.op_type == "Round"
        for node in _graphs.nodes(model)
    )


class _Steps:
    def __init__(self, model: onnx.ModelProto) -> None:
        self._makers = {name: node for node in model.graph.node for name in node.output if name}
        self._constants = _graphs.constants(model)
        self._found: dict[str, float] = {}

    def of(self, names: Iterable[str]) -> tuple[float, ...]:
        return tuple(self._step(name) for name in names)

    def _step(self, name: str) -> float:
        # A model may be deeper than Python's stack.
        waiting = [name]
        while waiting:
            value = waiting[-1]
            missing = [one for one in self._reads(value) if one not in self._found]
            if value in self._found or not missing:
                waiting.pop()
                self._found.setdefault(value, self._made(value))
            else:
                waiting.extend(missing)
        return self._found[name]

    def _reads(self, name: str) -> list[str]:
        node = self._makers.get(name)
        if node is None or name in self._constants or self._rounds(node):
            return []
        if node.op_type == "DequantizeLinear":
            return [node.input[0]]
        if node.op_type in ("Mul", "Div"):
            return [one for one in node.input if one not in self._constants]
        if node.op_type not in _MOVING:
            return []
        places = _MOVING[node.op_type]
        inputs = [one for i, one in enumerate(node.input) if one and (places is None or i in places)]
        return [one for one in inputs if one not in self._constants]

    def _rounds(self, node: Any) -> bool:
        if node.op_type in _ROUNDING or node.op_type.startswith("QLinear"):
            return True
        if node.op_type == "Clip":
            # QuantizeLinear written out, of what the standard has no type for.
            made = self._makers.get(node.input[0])
            if made is not None and made.op_type == "Add":
                made = self._makers.get(made.input[0])
            return made is not None and made.op_type == "Round"
        place = _OF_NUMBERS.get(node.op_type)
        return place is not None and len(node.input) > place and bool(node.input[place])

    def _made(self, name: str) -> float:
        node = self._makers.get(name)
        if node is None or name in self._constants:
            return 0.0
        if self._rounds(node):
            # The scale and the zero point of what is quantized as it comes are no steps themselves.
            return 1.0 if name == node.output[0] else 0.0
        steps = [self._found.get(one, 0.0) for one in self._reads(name)]
        step = max(steps, default=0.0)
        if node.op_type == "DequantizeLinear":
            return step * self._largest(node.input[1])
        if node.op_type in ("Mul", "Div"):
            constant = next((one for one in node.input if one in self._constants), None)
            if constant is None or (node.op_type == "Div" and constant == node.input[0]):
                return 0.0
            return step * self._largest(constant, inverse=node.op_type == "Div")
        return step

    def _largest(self, name: str, *, inverse: bool = False) -> float:
        tensor = self._constants.get(name)
        if tensor is None:
            return 0.0
        values = np.abs(_mapped.array(tensor).astype(np.float64))
        if inverse:
            values = 1.0 / values[values > 0]
        return float(np.max(values, initial=0.0))
