"""Models of two convolutions with random weights, which classic TVM compiles in a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def save_convolutions(
    path: Path,
    *,
    seed: int = 0,
    channels: tuple[int, int, int] = (3, 8, 16),
    kernel: int = 3,
    pixels: int = 8,
) -> Path:
    """Write a model: a convolution, a Relu, and another convolution.

    Parameters
    ----------
    seed : int
        Of the weights.
    channels : tuple of int
        Of the input, between both, of the output.
    kernel, pixels : int
        Height and width of the kernels, and of all images.
    """
    rng = np.random.default_rng(seed)
    first, middle, last = channels

    def weights(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(rng.standard_normal(shape).astype("float32") / 4, name)

    pads = [kernel // 2] * 4
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w1", "b1"], ["first"], name="first", pads=pads),
            helper.make_node("Relu", ["first"], ["relu"], name="relu"),
            helper.make_node("Conv", ["relu", "w2"], ["y"], name="second", pads=pads),
        ],
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, first, pixels, pixels])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, last, pixels, pixels])],
        [
            weights("w1", middle, first, kernel, kernel),
            weights("b1", middle),
            weights("w2", last, middle, kernel, kernel),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path
