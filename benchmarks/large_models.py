"""Models of the size and the shape of those that people export, with random weights.

Written as torch's exporter writes them: a linear layer over several positions is a MatMul with the transposed
weights and an Add, GELU is written out with Erf, DenseNet keeps its batch normalizations.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["MAKERS", "make"]

_OPSET = 17


class _Graph:
    """Nodes and weights in the order in which a network is written down."""

    def __init__(self, folder: pathlib.Path | None = None) -> None:
        self._random = np.random.default_rng(0)
        self._folder, self._written = folder, 0
        self.nodes: list[Any] = []
        self.stored: list[Any] = []

    def weight(self, *shape: int, scale: float = 0.0) -> str:
        name = f"w{len(self.stored)}"
        spread = scale or float(np.prod(shape[1:]) if len(shape) == 4 else shape[0]) ** -0.5
        values = (self._random.random(shape, np.float32) - 0.5) * np.float32(2 * spread)
        if self._folder is None:
            self.stored.append(numpy_helper.from_array(values, name))
            return name
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape)
        tensor.data_location = TensorProto.EXTERNAL
        with (self._folder / "weights.bin").open("ab") as file:
            values.tofile(file)
        for key, value in (
            ("location", "weights.bin"),
            ("offset", self._written),
            ("length", values.nbytes),
        ):
            tensor.external_data.add(key=key, value=str(value))
        self._written += values.nbytes
        self.stored.append(tensor)
        return name

    def constant(self, value: Any, dtype: Any = np.int64) -> str:
        name = f"w{len(self.stored)}"
        self.stored.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def linear(self, value: str, size: int, to: int) -> str:
        product = self.add("MatMul", value, self.weight(size, to))
        return self.add("Add", self.weight(to, scale=0.1), product)

    def normalized(self, value: str, size: int) -> str:
        return self.add(
            "LayerNormalization", value, self.weight(size, scale=1.0), self.weight(size, scale=0.1), axis=-1
        )

    def gelu(self, value: str) -> str:
        error = self.add("Erf", self.add("Div", value, self.constant(2**0.5, np.float32)))
        raised = self.add("Add", error, self.constant(1.0, np.float32))
        return self.add("Mul", self.add("Mul", value, raised), self.constant(0.5, np.float32))

    def attention(self, value: str, length: int, size: int, heads: int, mask: str = "") -> str:
        each = size // heads
        split = self.constant([1, length, heads, each])
        query, key, given = (self.add("Reshape", self.linear(value, size, size), split) for _ in range(3))
        query = self.add("Transpose", query, perm=[0, 2, 1, 3])
        scores = self.add("MatMul", query, self.add("Transpose", key, perm=[0, 2, 3, 1]))
        scores = self.add("Div", scores, self.constant(each**0.5, np.float32))
        if mask:
            scores = self.add("Add", scores, mask)
        weighted = self.add(
            "MatMul",
            self.add("Softmax", scores, axis=-1),
            self.add("Transpose", given, perm=[0, 2, 1, 3]),
        )
        together = self.add(
            "Reshape", self.add("Transpose", weighted, perm=[0, 2, 1, 3]), self.constant([1, length, size])
        )
        return self.linear(together, size, size)

    def model(self, inputs: list[Any], output: str) -> onnx.ModelProto:
        results = [helper.make_empty_tensor_value_info(output)]
        graph = helper.make_graph(self.nodes, "main", inputs, results, self.stored)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=8)
        outputs = onnx.shape_inference.infer_shapes(_small(model)).graph.output
        del model.graph.output[:]
        model.graph.output.extend(outputs)
        return model


def _small(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model with its large weights as inputs, for shapes to be inferred without a copy of them."""
    graph = onnx.GraphProto()
    graph.node.extend(model.graph.node)
    graph.output.extend(model.graph.output)
    graph.input.extend(model.graph.input)
    graph.name = model.graph.name
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.INT64:
            graph.initializer.append(tensor)
        else:
            graph.input.append(
                helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
            )
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=8)


def bert_base(folder: pathlib.Path) -> onnx.ModelProto:
    """BERT-base: 12 layers, 128 tokens; 109 million weights (Devlin and others, 2019)."""
    size, length = 768, 128
    graph = _Graph()
    ids, mask = (
        helper.make_tensor_value_info(name, TensorProto.INT64, [1, length])
        for name in ("input_ids", "attention_mask")
    )
    words = graph.add("Gather", graph.weight(30522, size, scale=0.05), "input_ids")
    positions = graph.add(
        "Slice",
        graph.weight(1, 512, size, scale=0.05),
        graph.constant([0]),
        graph.constant([length]),
        graph.constant([1]),
    )
    value = graph.normalized(graph.add("Add", words, positions), size)
    seen = graph.add("Cast", graph.add("Unsqueeze", "attention_mask", graph.constant([1, 2])), to=1)
    hidden = graph.add("Sub", graph.constant(1.0, np.float32), seen)
    hidden = graph.add("Mul", hidden, graph.constant(-10000.0, np.float32))
    for _ in range(12):
        value = graph.normalized(
            graph.add("Add", graph.attention(value, length, size, 12, hidden), value), size
        )
        between = graph.gelu(graph.linear(value, size, 4 * size))
        value = graph.normalized(graph.add("Add", graph.linear(between, 4 * size, size), value), size)
    return graph.model([ids, mask], value)


def vit_b16(folder: pathlib.Path) -> onnx.ModelProto:
    """ViT-B/16 at 224x224: 86 million weights (Dosovitskiy and others, 2021)."""
    size, length = 768, 197
    graph = _Graph()
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 224, 224])
    patches = graph.add(
        "Conv",
        "image",
        graph.weight(size, 3, 16, 16),
        graph.weight(size, scale=0.1),
        kernel_shape=[16, 16],
        strides=[16, 16],
    )
    rows = graph.add(
        "Transpose", graph.add("Reshape", patches, graph.constant([1, size, 196])), perm=[0, 2, 1]
    )
    value = graph.add("Concat", graph.weight(1, 1, size, scale=0.05), rows, axis=1)
    value = graph.add("Add", value, graph.weight(1, length, size, scale=0.05))
    for _ in range(12):
        value = graph.add("Add", graph.attention(graph.normalized(value, size), length, size, 12), value)
        between = graph.gelu(graph.linear(graph.normalized(value, size), size, 4 * size))
        value = graph.add("Add", graph.linear(between, 4 * size, size), value)
    first = graph.add("Gather", graph.normalized(value, size), graph.constant(0), axis=1)
    return graph.model([image], graph.add("Gemm", first, graph.weight(768, 1000), graph.weight(1000)))


def densenet121(folder: pathlib.Path) -> onnx.ModelProto:
    """DenseNet-121 at 224x224, its normalizations before the convolutions (Huang and others, 2017)."""
    graph = _Graph()
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 224, 224])

    def activated(value: str, channels: int) -> str:
        bias, mean = graph.weight(channels, scale=0.1), graph.weight(channels, scale=0.1)
        scale, variance = (graph.constant(np.full(channels, 1.0), np.float32) for _ in range(2))
        return graph.add("Relu", graph.add("BatchNormalization", value, scale, bias, mean, variance))

    def convolved(value: str, channels: int, to: int, kernel: int, stride: int = 1) -> str:
        return graph.add(
            "Conv",
            value,
            graph.weight(to, channels, kernel, kernel),
            kernel_shape=[kernel, kernel],
            pads=[kernel // 2] * 4,
            strides=[stride, stride],
        )

    value = activated(convolved("image", 3, 64, 7, 2), 64)
    value = graph.add("MaxPool", value, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    channels = 64
    for block, layers in enumerate((6, 12, 24, 16)):
        features = [value]
        for _ in range(layers):
            together = graph.add("Concat", *features, axis=1) if len(features) > 1 else value
            inner = convolved(activated(together, channels), channels, 128, 1)
            features.append(convolved(activated(inner, 128), 128, 32, 3))
            channels += 32
        value = graph.add("Concat", *features, axis=1)
        if block < 3:
            value = convolved(activated(value, channels), channels, channels // 2, 1)
            channels //= 2
            value = graph.add("AveragePool", value, kernel_shape=[2, 2], strides=[2, 2])
    value = graph.add("Flatten", graph.add("GlobalAveragePool", activated(value, channels)))
    return graph.model([image], graph.add("Gemm", value, graph.weight(channels, 1000), graph.weight(1000)))


def beyond_2gib(folder: pathlib.Path) -> onnx.ModelProto:
    """Return 3 GiB of linear layers, their weights in a file beside the model."""
    size = 8192
    graph = _Graph(folder)
    value = "x"
    for _ in range(12):
        value = graph.add("Relu", graph.linear(value, size, size))
    return graph.model([helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, size])], value)


MAKERS: dict[str, Callable[[pathlib.Path], onnx.ModelProto]] = {
    "bert_base": bert_base,
    "vit_b16": vit_b16,
    "densenet121": densenet121,
    "beyond_2gib": beyond_2gib,
}


def make(name: str, folder: pathlib.Path) -> pathlib.Path:
    """Write one of the models into a folder of its own, where it isn't yet; return its path."""
    inside = folder / name
    path = inside / "model.onnx"
    if not path.exists():
        inside.mkdir(parents=True, exist_ok=True)
        (inside / "weights.bin").unlink(missing_ok=True)
        path.write_bytes(MAKERS[name](inside).SerializeToString())
    return path
