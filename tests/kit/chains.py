"""A model that every engine takes: a chain of matrix products with constant weights."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["save_chain"]


def save_chain(
    path: Path, *, sizes: tuple[int, ...] = (48, 64, 40, 16), rows: int = 32, seed: int = 0
) -> Path:
    """Write ``y = x @ w0 @ w1 ...``, with a bias after each product but the first.

    Parameters
    ----------
    sizes : tuple of int
        Columns of the input, and of each product.
    rows : int
        Of the input.
    """
    rng = np.random.default_rng(seed)

    def weights(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(rng.standard_normal(shape).astype("float32") / 4, name)

    nodes, constants, last = [], [], "x"
    for number, (depth, columns) in enumerate(pairwise(sizes)):
        result = "y" if number == len(sizes) - 2 else f"h{number}"
        constants.append(weights(f"w{number}", depth, columns))
        if number == 0:
            nodes.append(helper.make_node("MatMul", [last, "w0"], [result]))
        else:
            constants.append(weights(f"b{number}", columns))
            nodes.append(helper.make_node("Gemm", [last, f"w{number}", f"b{number}"], [result]))
        last = result
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, sizes[0]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [rows, sizes[-1]])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path
