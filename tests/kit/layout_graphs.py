"""Small graphs of convolutions, written node by node, to be had in several layouts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from workers.messages import PreparedModel
from workers.models import prepare

__all__ = ["Graph"]


class Graph:
    """Writes an ONNX graph of one input, ``x``, node by node."""

    def __init__(self, shape: tuple[int, ...] = (1, 3, 21, 20)) -> None:
        self.shape = shape
        self.opset = 17
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.random = np.random.default_rng(7)

    def weight(self, *shape: int, low: float = -0.5, high: float = 0.5) -> str:
        """Add random weights, evenly spread between `low` and `high`."""
        return self.constant(self.random.uniform(low, high, shape), "float32")

    def constant(self, value: Any, dtype: str) -> str:
        """Add a constant."""
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.array(value, dtype), name))
        return name

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one result."""
        return self.nodes_of(op, 1, *inputs, **attributes)[0]

    def nodes_of(self, op: str, results: int, *inputs: str, **attributes: Any) -> list[str]:
        """Add a node with several results."""
        names = [f"t{len(self.nodes)}_{n}" if n else f"t{len(self.nodes)}" for n in range(results)]
        self.nodes.append(helper.make_node(op, list(inputs), names, **attributes))
        return names

    def conv(self, data: str, out: int, channels: int, kernel: int = 1, **attributes: Any) -> str:
        """Add a convolution, `channels` being those of a group."""
        return self.node(
            "Conv", data, self.weight(out, channels, kernel, kernel), self.weight(out), **attributes
        )

    def save(self, path: Path, rank: int = 4) -> PreparedModel:
        """Save it with the last node's result, of `rank` dimensions, as its output, and prepare it."""
        self.nodes[-1].output[0] = "y"
        return self.save_with(path, {"y": rank})

    def save_with(self, path: Path, outputs: Mapping[str, int]) -> PreparedModel:
        """Save it with the outputs that are named, each with its rank, and prepare it."""
        graph = helper.make_graph(
            self.nodes,
            "g",
            [helper.make_tensor_value_info("x", 1, self.shape)],
            [
                helper.make_tensor_value_info(name, 1, [f"{name}_{axis}" for axis in range(rank)])
                for name, rank in outputs.items()
            ],
            self.weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=10)
        onnx.save(model, path)
        return prepare(str(path), {})
