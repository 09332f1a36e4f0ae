"""A kernel that is the same everywhere and always, by whose time a slow minute of the machine is known."""

from __future__ import annotations

import itertools
import statistics

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from workers.models._reference import time_reference

__all__ = ["known_kernel_s"]

# Products of what is in the caches, so many one after the other, and one whose weights of 16 MiB come from
# memory or the last cache: what a machine is short of may be either.
_SIZE, _PRODUCTS = 256, 8
_ROWS, _IN, _OUT = 4, 1024, 4096
_SETTLE_SECONDS, _LEAST_SECONDS = 0.3, 0.1
_OPSET, _IR = 17, 8


def known_kernel_s(threads: int) -> float:
    """Time matrix products in onnxruntime.

    Parameters
    ----------
    threads : int

    Returns
    -------
    float
        Median seconds of one run; some 2 ms on two cores of 2023.
    """
    inputs = {
        "near": np.ones((_SIZE, _SIZE), np.float32),
        "far": np.ones((_ROWS, _IN), np.float32),
    }
    timing = time_reference(
        _model().SerializeToString(),
        inputs,
        threads,
        1,
        settle_s=_SETTLE_SECONDS,
        least_s=_LEAST_SECONDS,
    )
    return statistics.median(timing.times)


def _model() -> onnx.ModelProto:
    random = np.random.default_rng(0)

    def weights(name: str, rows: int, columns: int) -> onnx.TensorProto:
        values = random.random((rows, columns), np.float32) - np.float32(0.5)
        # So that values stay about as large from product to product.
        return numpy_helper.from_array(values * np.float32((12 / rows) ** 0.5), name)

    names = ["near", *(f"near{i}" for i in range(1, _PRODUCTS)), "near_end"]
    nodes = [helper.make_node("MatMul", [one, "small"], [other]) for one, other in itertools.pairwise(names)]
    nodes.append(helper.make_node("MatMul", ["far", "large"], ["far_end"]))
    graph = helper.make_graph(
        nodes,
        "known_kernel",
        [
            helper.make_tensor_value_info("near", TensorProto.FLOAT, (_SIZE, _SIZE)),
            helper.make_tensor_value_info("far", TensorProto.FLOAT, (_ROWS, _IN)),
        ],
        [
            helper.make_tensor_value_info("near_end", TensorProto.FLOAT, (_SIZE, _SIZE)),
            helper.make_tensor_value_info("far_end", TensorProto.FLOAT, (_ROWS, _OUT)),
        ],
        [weights("small", _SIZE, _SIZE), weights("large", _IN, _OUT)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
