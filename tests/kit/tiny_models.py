"""Models that TVM compiles in seconds: a convolution, a Relu and a Gemm, with random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def tiny(*, seed: int = 0, prefix: str = "", channels: int = 4, outputs: int = 5) -> onnx.ModelProto:
    """Return a model.

    Parameters
    ----------
    seed : int
        Of the weights.
    prefix : str
        Of every name in the graph.
    channels, outputs : int
        Of the convolution, of the Gemm.
    """
    rng = np.random.default_rng(seed)

    def weights(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(rng.standard_normal(shape).astype("float32") / 4, prefix + name)

    def node(kind: str, inputs: list[str], output: str, **attributes: object) -> onnx.NodeProto:
        names = [prefix + name for name in inputs]
        return helper.make_node(kind, names, [prefix + output], name=prefix + kind, **attributes)

    flat = channels * 8 * 8
    graph = helper.make_graph(
        [
            node("Conv", ["x", "w", "b"], "conv", pads=[1, 1, 1, 1]),
            node("Relu", ["conv"], "relu"),
            node("Flatten", ["relu"], "flat"),
            node("Gemm", ["flat", "m", "c"], "y"),
        ],
        prefix + "tiny",
        [helper.make_tensor_value_info(prefix + "x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info(prefix + "y", TensorProto.FLOAT, [1, outputs])],
        [
            weights("w", channels, 3, 3, 3),
            weights("b", channels),
            weights("m", flat, outputs),
            weights("c", outputs),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model


def save(path: Path, **what: object) -> Path:
    """Write a model to a file."""
    path.write_bytes(tiny(**what).SerializeToString())  # type: ignore[arg-type]
    return path
