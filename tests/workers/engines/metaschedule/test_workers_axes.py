"""Axes, whatever way they are written, come out as positions from the front."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tvm import relax
from tvm.ir import IRModule

from workers.engines.metaschedule.axes import with_plain_axes

OP = relax.op


def module_of(*values: Callable[[relax.Var], relax.Expr]) -> IRModule:
    x = relax.Var("x", relax.TensorType((1, 16, 4, 1), "float32"))
    builder = relax.BlockBuilder()
    with builder.function("main", [x]):
        with builder.dataflow():
            made = builder.emit_output(relax.Tuple([builder.emit(value(x)) for value in values]))
        builder.emit_func_output(made)
    return builder.get()


def calls(module: IRModule) -> list[Any]:
    found = [one.value for block in module["main"].body.blocks for one in block.bindings]
    return [value for value in found if isinstance(value, relax.Call)]


def ones() -> relax.Expr:
    return relax.const(np.ones(1, "float32"))


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        (lambda x: OP.mean(x, [-1, -2], True), lambda x: OP.mean(x, [2, 3], True)),
        (lambda x: OP.sum(x), lambda x: OP.sum(x, [0, 1, 2, 3])),
        (lambda x: OP.max(x, [3, 2]), lambda x: OP.max(x, [2, 3])),
        (lambda x: OP.variance(x, [-1]), lambda x: OP.variance(x, [3])),
        (lambda x: OP.squeeze(x), lambda x: OP.squeeze(x, [0, 3])),
        (lambda x: OP.squeeze(x, [-1]), lambda x: OP.squeeze(x, [3])),
        (lambda x: OP.expand_dims(x, [-1, 0]), lambda x: OP.expand_dims(x, [0, 5])),
        (lambda x: OP.permute_dims(x), lambda x: OP.permute_dims(x, [3, 2, 1, 0])),
        (lambda x: OP.permute_dims(x, [0, -1, 1, 2]), lambda x: OP.permute_dims(x, [0, 3, 1, 2])),
        (lambda x: OP.concat([x, x], -3), lambda x: OP.concat([x, x], 1)),
        (lambda x: OP.split(x, 2, -3), lambda x: OP.split(x, 2, 1)),
        (lambda x: OP.nn.softmax(x, -2), lambda x: OP.nn.softmax(x, 2)),
        (lambda x: OP.argmax(x, -3), lambda x: OP.argmax(x, 1)),
        (lambda x: OP.cumsum(x, -2), lambda x: OP.cumsum(x, 2)),
        (lambda x: OP.topk(x, 1, -3), lambda x: OP.topk(x, 1, 1)),
        (
            lambda x: OP.nn.layer_norm(x, ones(), ones(), [-1]),
            lambda x: OP.nn.layer_norm(x, ones(), ones(), [3]),
        ),
        (
            lambda x: OP.strided_slice(x, [-1, -3], [0, 1], [1, 5], [1, 2]),
            lambda x: OP.strided_slice(x, [1, 3], [1, 0], [5, 1], [2, 1]),
        ),
    ],
)
def test_axes_are_counted_from_the_front_and_in_order(written: Any, plain: Any) -> None:
    (found,), (expected,) = calls(with_plain_axes(module_of(written))), calls(module_of(plain))
    assert str(found) == str(expected)
    assert found.ty == expected.ty


@pytest.mark.parametrize(
    "flat",
    [lambda x: OP.argmax(x), lambda x: OP.cumsum(x), lambda x: OP.squeeze(x, []), lambda x: OP.nn.relu(x)],
)
def test_what_has_no_axis_keeps_none(flat: Any) -> None:
    assert str(calls(with_plain_axes(module_of(flat)))) == str(calls(module_of(flat)))
