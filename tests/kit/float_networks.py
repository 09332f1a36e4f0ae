"""A float32 network to quantize, and samples of its input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save_model
from onnx.external_data_helper import convert_model_to_external_data

__all__ = ["WIDE", "float_network", "samples"]

#: The layer that integers of 8 bits are too few for.
WIDE = "wide"
_LARGE = 3000.0


def float_network(
    path: Path,
    *,
    wide: bool = False,
    batch: int | str = 1,
    opset: int = 17,
    seed: int = 3,
    beside: str | None = None,
) -> Path:
    """Write a network of two convolutions and a product.

    Parameters
    ----------
    wide : bool
        What the second convolution reads has one channel with numbers thousands of times as large as the
        others, and with weights as small: of the others nothing is left where all have one scale.
    batch : int or str
        First size of the input.
    seed : int
        Of the weights.
    beside : str, optional
        A file for the weights, in the same folder.
    """
    rng = np.random.default_rng(seed)
    factors = np.ones((1, 8, 1, 1), np.float32)
    second = rng.standard_normal((8, 8, 3, 3)).astype(np.float32) / 8
    if wide:
        factors[:, 0] *= _LARGE
        second[:, 0] /= _LARGE
    constants = {
        "w1": rng.standard_normal((8, 3, 3, 3)).astype(np.float32) / 4,
        "factors": factors,
        "w2": second,
        "w3": rng.standard_normal((8, 10)).astype(np.float32),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w1"], ["a"], "first", pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["a"], ["b"]),
            helper.make_node("Mul", ["b", "factors"], ["c"]),
            helper.make_node("Conv", ["c", "w2"], ["d"], WIDE, pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["d"], ["e"]),
            helper.make_node("GlobalAveragePool", ["e"], ["f"]),
            helper.make_node("Flatten", ["f"], ["g"]),
            helper.make_node("MatMul", ["g", "w3"], ["y"], "last"),
        ],
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 10])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    if beside is not None:
        convert_model_to_external_data(model, location=beside, size_threshold=0)
    save_model(model, path)
    return path


def samples(path: Path, count: int = 20, **arrays: np.ndarray) -> Path:
    """Write samples of its input, or the arrays that are given."""
    given = arrays or {"x": np.random.default_rng(4).standard_normal((count, 3, 16, 16)).astype(np.float32)}
    np.savez(path, **given)  # type: ignore[arg-type]
    return path
