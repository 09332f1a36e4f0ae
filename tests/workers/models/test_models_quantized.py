"""Quantized models come in whatever tool wrote them, and compute what they did."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.kit.model_builders import model_of, tensor
from tests.kit.quantized_models import QUANTIZED
from workers.clients import EngineClient
from workers.errors import ModelError
from workers.messages import Array, DeviceInfo, RecordChoice
from workers.models import OutputDifference, compare, output_steps, prepare, random_inputs, run_reference

Save = Callable[[onnx.ModelProto], Path]

# Of what is in bytes, or of some integers less a zero point.
_OPERATORS = (
    "QLinear",
    "QGemm",
    "Integer",
    "NBits",
    "QAttention",
    "QuantizeLinear",
    "DequantizeLinear",
    "Block",
)


def judged(model: onnx.ModelProto, got: list[Array], inputs: dict[str, Array]) -> OutputDifference:
    want = run_reference(model.SerializeToString(), inputs, 1, optimize=False)
    return compare(got, want, steps=output_steps(model))


@pytest.mark.parametrize("name", QUANTIZED)
def test_a_quantized_model_comes_in_one_form(name: str, save: Save) -> None:
    one = QUANTIZED[name]
    model = one.model()
    prepared = prepare(str(save(model)))
    nodes = onnx.load_from_string(prepared.onnx).graph.node
    left = {node.op_type for node in nodes if any(part in node.op_type for part in _OPERATORS)}
    assert left <= set(one.keeps)
    assert {node.domain for node in nodes} == {""}
    for seed in () if one.unknown else (0, 3):
        inputs = random_inputs(prepared.inputs, seed)
        found = judged(model, run_reference(prepared.onnx, inputs, 1, optimize=False), inputs)
        assert found.ok, found.reason


@pytest.mark.slow
@pytest.mark.parametrize("name", QUANTIZED)
def test_its_library_is_right(name: str, save: Save, engine: EngineClient, device: DeviceInfo) -> None:
    model = QUANTIZED[name].model()
    prepared = prepare(str(save(model)))
    if QUANTIZED[name].unknown:
        model = onnx.load_from_string(prepared.onnx)
    compiled = engine.compile(prepared, device.target, RecordChoice("untuned")).result()
    for seed in (0, 3):
        inputs = random_inputs(prepared.inputs, seed)
        found = judged(model, list(engine.run(compiled, inputs, device.target).outputs), inputs)
        assert found.ok, found.reason


def test_weights_stay_bytes_for_an_engine_to_compute_with(save: Save) -> None:
    prepared = onnx.load_from_string(prepare(str(save(QUANTIZED["between floats"].model()))).onnx)
    kinds = {tuple(one.dims): one.data_type for one in prepared.graph.initializer}
    assert kinds[(8, 4, 3, 3)] == TensorProto.INT8


def test_sums_that_float32_does_not_hold_are_exact(save: Save) -> None:
    # 700 products of 255 and 253, of which the last bit counts: beyond 2^24.
    model = QUANTIZED["a product of integers"].model()
    for stored in model.graph.initializer:
        if stored.name == "w":
            stored.CopyFrom(numpy_helper.from_array(np.full((700, 5), 253, np.uint8), "w"))
    prepared = prepare(str(save(model)))
    x = np.full((3, 700), 10, np.float32)
    x[0, 0] = 0.008  # two steps
    (y,) = run_reference(prepared.onnx, {"x": x}, 1)
    assert y[1, 0] == 700 * (255 - 1) * (253 - 2)
    assert y[0, 0] == 699 * (255 - 1) * (253 - 2) + (3 - 1) * (253 - 2)
    assert y[1, 0] > 2**24


# -- what means nothing


@pytest.mark.parametrize("scale", [0.0, -0.5, float("nan"), float("inf")])
def test_a_scale_that_is_no_positive_number_is_refused_with_its_node(scale: float, save: Save) -> None:
    model = QUANTIZED["between floats"].model()
    model.graph.node[0].name = "first"
    _replace(model, "sa", np.float32(scale))
    with pytest.raises(
        ModelError, match=r"QuantizeLinear \(node 'first'\): the scale of its result \('sa'\) is"
    ):
        prepare(str(save(model)))


def test_of_many_scales_it_is_said_how_many_are_wrong(save: Save) -> None:
    model = QUANTIZED["a convolution, each channel by itself"].model()
    _replace(model, "ws", np.array([0.1, 0, 0.1, 0, 0.1, 0.1, 0.1, 0.1], np.float32))
    with pytest.raises(
        ModelError, match=r"QLinearConv .* its weights \('ws'\) is 2 of 8 entries, the first 0"
    ):
        prepare(str(save(model)))


def test_a_zero_point_of_another_type_is_refused_with_its_node(save: Save) -> None:
    model = QUANTIZED["a convolution"].model()
    _replace(model, "za", np.int32(300))
    with pytest.raises(
        ModelError, match=r"QLinearConv .* is uint8 and the zero point of that \('za'\) int32, at 300 out of"
    ):
        prepare(str(save(_as_given(model))))


def test_types_that_are_mixed_are_refused_with_their_node(save: Save) -> None:
    model = QUANTIZED["a sum"].model()
    _replace(model, "zb", np.int8(1))
    with pytest.raises(ModelError, match=r"QLinearAdd .* mixes int8 and uint8"):
        prepare(str(save(model)))


def test_a_zero_point_of_32_bits_is_refused_with_its_node(save: Save) -> None:
    nodes = [helper.make_node("DequantizeLinear", ["w", "s", "z"], ["f"], name="wide"),
             helper.make_node("Add", ["x", "f"], ["y"])]  # fmt: skip
    values = {"s": np.float32(0.1), "w": np.array([1, 2], np.int32), "z": np.int32(3)}
    stored = [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()]
    model = model_of(nodes, [tensor("x", [2])], [tensor("y", [2])], stored)
    with pytest.raises(ModelError, match=r"DequantizeLinear \(node 'wide'\).* is int32, .* \('z'\) not 0"):
        prepare(str(save(model)))


@pytest.mark.parametrize(
    ("name", "stored", "values", "reason"),
    [
        (
            "packed in 4 bits, with zero points of a float",
            "wz",
            np.full(24, 17, np.float32),
            r"MatMulNBits .*zero points \('wz'\) reach from 17 to 17, and 4 bits from 0 to 15",
        ),
        (
            "packed in 4 bits, in groups",
            "wg",
            np.full(64, 4, np.int32),
            r"MatMulNBits node. Name:'packed'.* is 4, which is out of valid range",
        ),
        ("packed in 4 bits", "ws", np.full(24, np.nan, np.float32), r"MatMulNBits .*24 of 24 entries"),
    ],
)
def test_packed_weights_that_mean_nothing_are_refused(
    name: str, stored: str, values: Array, reason: str, save: Save
) -> None:
    model = QUANTIZED[name].model()
    model.graph.node[0].name = "packed"
    _replace(model, stored, values)
    with pytest.raises(ModelError, match=reason):
        prepare(str(save(model)))


def _replace(model: onnx.ModelProto, name: str, values: npt.ArrayLike) -> None:
    one = next(stored for stored in model.graph.initializer if stored.name == name)
    one.CopyFrom(numpy_helper.from_array(np.asarray(values), name))


def _as_given(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model in which only what convolves has the zero point that is wrong."""
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear" and node.input[2] == "za":
            del node.input[2:]
    return model
