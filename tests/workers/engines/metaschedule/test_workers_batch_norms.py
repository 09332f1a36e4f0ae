"""Batch normalizations become part of the convolution before them, or a product and a sum."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tvm
from tvm import relax
from tvm.ir import IRModule

from workers.engines.metaschedule.batch_norms import with_batch_norms_folded

RANDOM = np.random.default_rng(5)
DATA = RANDOM.uniform(-1, 1, (1, 6, 5, 5)).astype("float32")


def const(*shape: int, low: float = -1.0) -> relax.Expr:
    return relax.const(RANDOM.uniform(low, 1, shape).astype("float32"))


def module_of(
    *, convolved: bool, bias: bool = False, groups: int = 1, read_twice: bool = False, **attributes: Any
) -> IRModule:
    """A normalization, of six channels or of eight that a convolution makes."""
    x = relax.Var("x", relax.TensorType(DATA.shape, "float32"))
    builder, outputs = relax.BlockBuilder(), []
    with builder.function("main", [x]):
        with builder.dataflow():
            data: relax.Expr = x
            if convolved:
                weights = const(8, 6 // groups, 3, 3)
                data = builder.emit(relax.op.nn.conv2d(x, weights, padding=1, groups=groups))
            if bias:
                laid = builder.emit(relax.op.reshape(const(8), (1, 8, 1, 1)))
                data = builder.emit(relax.op.add(data, laid))
            channels = 8 if convolved else 6
            statistics = [const(channels), const(channels), const(channels), const(channels, low=0.1)]
            made = builder.emit(
                relax.op.nn.batch_norm(data, *statistics, axis=1, training=False, **attributes)
            )
            outputs.append(builder.emit(made[0]))
            if read_twice:
                outputs.append(builder.emit(relax.op.nn.relu(data)))
            result = builder.emit_output(relax.Tuple(outputs))
        builder.emit_func_output(result)
    return builder.get()


def operators(module: IRModule) -> list[str]:
    found = [one.value for block in module["main"].body.blocks for one in block.bindings]
    return [value.op.name.split(".")[-1] for value in found if isinstance(value, relax.Call)]


def outputs_of(module: IRModule) -> list[np.ndarray]:
    built = tvm.compile(relax.transform.DecomposeOpsForInference()(module), "llvm")
    machine = relax.VirtualMachine(built, tvm.cpu())
    return [one.numpy() for one in machine["main"](tvm.runtime.tensor(DATA))]


@pytest.mark.parametrize(
    ("made", "left"),
    [
        ({"convolved": True}, ["conv2d", "add"]),
        ({"convolved": True, "bias": True}, ["conv2d", "add"]),
        ({"convolved": True, "bias": True, "groups": 2}, ["conv2d", "add"]),
        ({"convolved": True, "read_twice": True}, ["conv2d", "multiply", "add", "relu"]),
        ({"convolved": False}, ["multiply", "add"]),
        ({"convolved": False, "scale": False, "epsilon": 0.1}, ["multiply", "add"]),
        ({"convolved": False, "center": False}, ["multiply", "add"]),
    ],
)
def test_normalizations_are_folded_and_give_what_they_gave(made: dict[str, Any], left: list[str]) -> None:
    module = module_of(**made)
    folded = with_batch_norms_folded(module)
    assert operators(folded) == left
    for found, expected in zip(outputs_of(folded), outputs_of(module), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_statistics_that_are_an_output_keep_the_normalization() -> None:
    x = relax.Var("x", relax.TensorType(DATA.shape, "float32"))
    builder = relax.BlockBuilder()
    with builder.function("main", [x]):
        with builder.dataflow():
            made = builder.emit(relax.op.nn.batch_norm(x, *(const(6) for _ in "abcd"), axis=1))
            both = relax.Tuple([builder.emit(made[0]), builder.emit(made[1])])
            result = builder.emit_output(both)
        builder.emit_func_output(result)
    assert operators(with_batch_norms_folded(builder.get())) == ["batch_norm"]


def test_statistics_that_are_no_constants_keep_the_normalization() -> None:
    x = relax.Var("x", relax.TensorType(DATA.shape, "float32"))
    mean = relax.Var("mean", relax.TensorType((6,), "float32"))
    builder = relax.BlockBuilder()
    with builder.function("main", [x, mean]):
        with builder.dataflow():
            made = builder.emit(
                relax.op.nn.batch_norm(x, const(6), const(6), mean, const(6), axis=1, training=False)
            )
            result = builder.emit_output(made[0])
        builder.emit_func_output(result)
    assert operators(with_batch_norms_folded(builder.get())) == ["batch_norm"]
