"""Quantized networks of several layers, as onnxruntime's quantizer writes them."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["QuantizedNetwork"]


class QuantizedNetwork:
    """Writes nodes between QuantizeLinear and DequantizeLinear.

    Parameters
    ----------
    shape : tuple of int
        Of the input, `x`, in floats.
    kind : {'uint8', 'int8'}
        Of activations.
    weights : {'uint8', 'int8'}

    Attributes
    ----------
    zero : int
        Of the weights, above the least of their type.
    """

    def __init__(self, shape: tuple[int, ...], kind: str, weights: str = "int8") -> None:
        self._shape, self._kind, self._weights = shape, kind, weights
        self.zero = 128
        self._random = np.random.default_rng(5)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def rounded(self, x: str, scale: float = 0.02, zero: int | None = None) -> str:
        """Return a tensor rounded to bytes, as floats."""
        low = 0 if self._kind == "uint8" else -128
        zero = low + 120 if zero is None else low + zero
        pair = [self._constant(np.array(scale, np.float32)), self._constant(np.array(zero, self._kind))]
        return self.node("DequantizeLinear", self.node("QuantizeLinear", x, *pair), *pair)

    def node(self, kind: str, *inputs: str, **attributes: object) -> str:
        """Return the result of an operator."""
        name = f"t{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def conv(self, x: str, out: int, each: int, size: int = 1, zero: int = 120, **attributes: object) -> str:
        """Return a convolution with a scale for each channel, and a bias, rounded."""
        weights = self._bytes((out, each, size, size), 0, 0.2 / (each * size * size) ** 0.5)
        bias = self._constant(self._random.uniform(-0.5, 0.5, out).astype(np.float32))
        return self.rounded(self.node("Conv", x, weights, bias, **attributes), 0.02, zero)

    def product(self, x: str, terms: int, out: int) -> str:
        """Return a product with a matrix, rounded."""
        return self.rounded(self.node("MatMul", x, self._bytes((terms, out), 1, 0.2 / terms**0.5)))

    def model(self, *outputs: str) -> onnx.ModelProto:
        """Return the model."""
        graph = helper.make_graph(
            self._nodes,
            "quantized",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, self._shape)],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            self._constants,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)

    def _bytes(self, shape: tuple[int, ...], axis: int, scale: float) -> str:
        low = 0 if self._weights == "uint8" else -128
        values = self._random.integers(low, low + 256, shape).astype(self._weights)
        scales = self._random.uniform(scale / 255, scale / 64, shape[axis]).astype(np.float32)
        zeros = np.full(shape[axis], low + self.zero, self._weights)
        given = [self._constant(one) for one in (values, scales, zeros)]
        return self.node("DequantizeLinear", *given, axis=axis)

    def _constant(self, value: np.ndarray) -> str:
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name
