"""Pieces of ONNX models, and models written for one test each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

#: Writes a model to a file and gives its path.
Save = Callable[[onnx.ModelProto], Path]


def tensor(name: str, shape: Sequence[int | str | None] | None, kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def weight(name: str, *shape: int, seed: int = 0, dtype: Any = np.float32) -> Any:
    values = np.random.default_rng([seed, *name.encode()]).normal(0.0, 0.5, shape)
    return numpy_helper.from_array(np.asarray(values).astype(dtype), name)


def constant(name: str, *values: int, dtype: Any = np.int64) -> Any:
    return numpy_helper.from_array(np.array(values, dtype), name)


def model_of(
    nodes: Sequence[Any],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    initializers: Sequence[Any] = (),
    *,
    opset: int = 17,
    domains: Sequence[str] = (),
    functions: Sequence[Any] = (),
) -> onnx.ModelProto:
    graph = helper.make_graph(list(nodes), "test", list(inputs), list(outputs), list(initializers))
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=list(functions))


def dense_model(batch: int | str | None = "batch") -> onnx.ModelProto:
    """relu(x @ w + b) over 8 features."""
    return model_of(
        [
            helper.make_node("MatMul", ["x", "w"], ["xw"]),
            helper.make_node("Add", ["xw", "b"], ["sum"]),
            helper.make_node("Relu", ["sum"], ["y"]),
        ],
        [tensor("x", [batch, 8])],
        [tensor("y", [batch, 4])],
        [weight("w", 8, 4), weight("b", 4)],
    )
