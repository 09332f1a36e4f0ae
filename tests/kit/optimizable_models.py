"""Models as exporters write them, of the patterns that onnxruntime's optimizers look for."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.kit.model_builders import model_of, tensor, weight

__all__ = ["small_convolutions", "small_transformer"]


def small_transformer(layers: int = 2) -> onnx.ModelProto:
    """A transformer's encoder as torch exports one, of 6 words and 16 features, with two heads."""
    nodes: list[Any] = []
    weights: list[Any] = []

    def made(operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"{operator.lower()}_{len(nodes)}"
        nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name

    def stored(array: Any, name: str) -> str:
        weights.append(onnx.numpy_helper.from_array(np.asarray(array), name))
        return name

    def drawn(name: str, *shape: int) -> str:
        weights.append(weight(name, *shape))
        return name

    two = stored(np.float32(2), "two")
    half, one = stored(np.float32(0.5), "half"), stored(np.float32(1), "one")
    root, scale = stored(np.float32(2**0.5), "root"), stored(np.float32(8**0.5), "scale")
    epsilon = stored(np.float32(1e-5), "epsilon")
    apart, together = stored(np.array([0, 0, 2, 8]), "apart"), stored(np.array([0, 0, 16]), "together")
    first, second = stored(np.array([1]), "first"), stored(np.array([2]), "second")
    lowest = stored(np.float32(-10000), "lowest")

    def normalized(x: str, name: str) -> str:
        centered = made("Sub", x, made("ReduceMean", x, axes=[-1]))
        variance = made("ReduceMean", made("Pow", centered, two), axes=[-1])
        ratio = made("Div", centered, made("Sqrt", made("Add", variance, epsilon)))
        return made("Add", made("Mul", ratio, drawn(f"{name}.g", 16)), drawn(f"{name}.b", 16))

    def dense(x: str, name: str, rows: int, columns: int) -> str:
        return made("Add", made("MatMul", x, drawn(f"{name}.w", rows, columns)), drawn(f"{name}.c", columns))

    hidden = made("Unsqueeze", made("Unsqueeze", "mask", first), second)
    hidden = made("Cast", hidden, to=TensorProto.FLOAT)
    hidden = made("Mul", made("Sub", one, hidden), lowest)
    words = made("Gather", drawn("words", 30, 16), "ids")
    x = normalized(made("Add", words, drawn("places", 6, 16)), "embedded")
    for i in range(layers):
        heads = [
            made("Reshape", dense(x, f"{i}.{part}", 16, 16), apart) for part in ("query", "key", "value")
        ]
        query, key, value = (
            made("Transpose", name, perm=perm)
            for name, perm in zip(heads, ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]), strict=True)
        )
        fits = made("Add", made("Div", made("MatMul", query, key), scale), hidden)
        mixed = made("MatMul", made("Softmax", fits, axis=-1), value)
        mixed = made("Reshape", made("Transpose", mixed, perm=[0, 2, 1, 3]), together)
        x = normalized(made("Add", dense(mixed, f"{i}.out", 16, 16), x), f"{i}.one")
        wide = dense(x, f"{i}.wide", 16, 32)
        share = made("Add", made("Erf", made("Div", wide, root)), one)
        gelu = made("Mul", made("Mul", wide, share), half)
        x = normalized(made("Add", dense(gelu, f"{i}.narrow", 32, 16), x), f"{i}.two")
    nodes.append(helper.make_node("Identity", [x], ["y"], name="last"))
    return model_of(
        nodes,
        [tensor("ids", ["batch", 6], TensorProto.INT64), tensor("mask", ["batch", 6], TensorProto.INT64)],
        [tensor("y", ["batch", 6, 16])],
        weights,
        opset=14,
    )


def small_convolutions() -> onnx.ModelProto:
    """Convolutions with activations and a residual, a pool, and a classifier."""
    nodes = [
        helper.make_node("Conv", ["x", "w0", "b0"], ["c0"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c0"], ["r0"]),
        helper.make_node("Conv", ["r0", "w1", "b1"], ["c1"], pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["c1", "r0"], ["a1"]),
        helper.make_node("Relu", ["a1"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("LeakyRelu", ["c2"], ["r2"], alpha=0.1),
        helper.make_node("GlobalAveragePool", ["r2"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "w3", "b3"], ["g"], transB=1),
        helper.make_node("Relu", ["g"], ["y"]),
    ]
    shapes = {"w0": (16, 3, 3, 3), "w1": (16, 16, 3, 3), "w2": (32, 16, 3, 3), "w3": (5, 32)}
    weights = [weight(name, *shape) for name, shape in shapes.items()]
    weights += [weight(f"b{i}", size) for i, size in enumerate((16, 16, 32, 5))]
    return model_of(nodes, [tensor("x", [1, 3, 12, 12])], [tensor("y", [1, 5])], weights, opset=13)
