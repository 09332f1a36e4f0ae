"""Products of numbers rounded to bfloat16 are computed of bfloat16, by the target's own instruction."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import tvm
from onnx import TensorProto, helper, numpy_helper
from tvm import relax

from tests.kit.compiled_models import unhurried
from workers.actors import BuildActor, MeasureActor
from workers.clients import EngineClient
from workers.enginekit.comparison import require_same
from workers.engines.metaschedule import model as engine_model
from workers.engines.metaschedule.bfloats import LEGALIZED, with_bfloat_products
from workers.engines.metaschedule.dot_products import bfloat_products_of
from workers.engines.metaschedule.layouts import with_layout
from workers.engines.metaschedule.records import replayed
from workers.engines.metaschedule.rounding import rounded
from workers.engines.metaschedule.starter.begin import begun_record
from workers.engines.metaschedule.targets import parse_target, resolve_target
from workers.engines.metaschedule.workload import load_module
from workers.errors import WrongOutputError
from workers.messages import (
    Array,
    DeviceInfo,
    EvaluatorConfig,
    PreparedModel,
    RecordChoice,
    Station,
    TrialState,
    Workload,
)
from workers.models import compare, prepare, random_inputs, run_reference, tolerance
from workers.models.precision.bfloats import dense_layers, in_bfloats
from workers.models.precision.layers import name_nodes

_X86 = "llvm -mtriple=x86_64-linux-gnu -num-cores=2 -mcpu="
NONE, WIDE = f"{_X86}haswell", f"{_X86}cooperlake"
NEON = "llvm -mtriple=aarch64-linux-gnu -mcpu=neoverse-v1 -num-cores=2"


def network() -> onnx.ModelProto:
    """Write layers of each kind in bfloat16: padded, strided, of few channels, depthwise, and products."""
    random = np.random.default_rng(0)
    constants: list[onnx.TensorProto] = []

    def weights(name: str, *shape: int) -> str:
        values = random.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
        constants.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    pads = {"pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Conv", ["x", weights("w0", 32, 3, 3, 3), weights("b0", 32)], ["c0"], **pads),
        helper.make_node("Relu", ["c0"], ["r0"]),
        helper.make_node("Conv", ["r0", weights("w1", 32, 32, 3, 3)], ["c1"], strides=[2, 2], **pads),
        helper.make_node("Conv", ["c1", weights("w2", 32, 1, 3, 3)], ["c2"], group=32, **pads),
        helper.make_node("Add", ["c2", "c1"], ["a"]),
        helper.make_node("Conv", ["a", weights("w3", 40, 32, 1, 1)], ["c3"]),
        helper.make_node("GlobalAveragePool", ["c3"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("MatMul", ["f", weights("w4", 40, 24)], ["m"]),
        helper.make_node("Gemm", ["m", weights("w5", 10, 24), weights("b5", 10)], ["y"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 9, 8))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 10))],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    name_nodes(model)
    layers = dense_layers(onnx.shape_inference.infer_shapes(model))
    assert len(layers) == 5
    return in_bfloats(model, [layer.name for layer in layers])


def prepared(model: onnx.ModelProto, folder: Path, layout: str = "blocked") -> PreparedModel:
    onnx.save(model, folder / "model.onnx")
    return replace(prepare(str(folder / "model.onnx")), layout=layout)


def differs(model: onnx.ModelProto, got: list[Array], inputs: dict[str, Array]) -> str:
    """Say how outputs differ from what onnxruntime computes, if by more than other sums make of it."""
    want = run_reference(model.SerializeToString(), inputs, 1)
    found = compare(got, want, rtol=2e-3)
    return "" if found.ok else str(found.reason)


def workloads(model: PreparedModel, target: str) -> list[Workload]:
    """Return the tasks that multiply bfloat16."""
    tasks = engine_model.extract_tasks(model, parse_target(target), "metaschedule", "1").tasks
    found = [task.workload for task in tasks if "conv2d" in task.name or "matmul" in task.name]
    return [one for one in found if "depthwise" not in one.name]


@pytest.mark.parametrize("layout", ["blocked", "nchw"])
@pytest.mark.parametrize("target", [WIDE, pytest.param(NEON, marks=pytest.mark.slow)])
def test_a_network_of_bfloats_computes_what_it_did(
    target: str, layout: str, tmp_path: Path, device: DeviceInfo
) -> None:
    """What was made for an instruction, computed here without it."""
    model = network()
    ready = prepared(model, tmp_path, layout)
    inputs = random_inputs(ready.inputs, 3)
    parsed = parse_target(target)
    module = with_layout(
        with_bfloat_products(engine_model.in_nchw(ready, parsed), parsed), layout, parsed
    ).module
    assert str(module).count("round_to_bfloats") >= 5
    lowered = relax.transform.LegalizeOps(LEGALIZED)(module)
    machine = relax.VirtualMachine(tvm.compile(lowered, parse_target(unhurried(device.target))), tvm.cpu())
    got = machine["main"](*(tvm.runtime.tensor(value) for value in inputs.values()))
    assert not differs(model, [got.numpy()], inputs)


def test_what_is_rounded_may_have_another_shape_where_it_is_multiplied(tmp_path: Path) -> None:
    """As a product of three dimensions and its sum become one of two (Gemm) when a model is prepared."""
    values = np.random.default_rng(0).standard_normal((32, 48)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["m"], name="m"), helper.make_node("Add", ["m", "b"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 6, 32))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 6, 48))],
        [numpy_helper.from_array(values, "w"), numpy_helper.from_array(values[0], "b")],
    )
    model = in_bfloats(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), ["m"]
    )
    ready = prepared(model, tmp_path)
    kinds = [node.op_type for node in onnx.load_from_string(ready.onnx).graph.node]
    assert kinds[:4] == ["Cast", "Cast", "Reshape", "Gemm"], "or this test shows nothing"
    (found,) = workloads(ready, WIDE)
    assert "uint16" in load_module(found.module).script()


def attention(tokens: int) -> onnx.ModelProto:
    """Write attention of two heads of 24 channels, without its weights, in bfloat16."""
    parts = [f"x{place}" for place in range(3)]
    turned = [(0, 2, 1, 3), (0, 2, 3, 1), (0, 2, 1, 3)]
    shape = numpy_helper.from_array(np.array([1, tokens, 2, 24], np.int64), "heads")
    nodes = [helper.make_node("Split", ["x"], parts, axis=2)]
    for part, perm in zip(parts, turned, strict=True):
        nodes.append(helper.make_node("Reshape", [part, "heads"], [f"{part}_h"]))
        nodes.append(helper.make_node("Transpose", [f"{part}_h"], [f"{part}_t"], perm=perm))
    nodes += [
        helper.make_node("MatMul", ["x0_t", "x1_t"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["shares"]),
        helper.make_node("MatMul", ["shares", "x2_t"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, tokens, 144))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 2, tokens, 24))],
        [shape],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    name_nodes(model)
    layers = dense_layers(onnx.shape_inference.infer_shapes(model))
    assert [layer.work for layer in layers] == [2 * tokens * 24 * tokens] * 2
    return in_bfloats(model, [layer.name for layer in layers])


# Whole vectors, fewer numbers than a vector has, and an odd number of them.
@pytest.mark.parametrize("tokens", [32, 10, 7, 17])
def test_products_of_two_computed_matrices_are_of_bfloats(
    tokens: int, tmp_path: Path, device: DeviceInfo
) -> None:
    model = attention(tokens)
    ready = prepared(model, tmp_path, "nchw")
    parsed = parse_target(WIDE)
    found = [work for work in workloads(ready, WIDE) if "uint16" in load_module(work.module).script()]
    assert len(found) == 2
    (dot,) = bfloat_products_of(parsed)
    for work in found:
        record = begun_record(load_module(work.module), work.name, work.flops, parsed)
        assert record is not None
        assert dot.name in record.candidate.trace
    inputs = random_inputs(ready.inputs, 3)
    lowered = relax.transform.LegalizeOps(LEGALIZED)(
        with_bfloat_products(engine_model.in_nchw(ready, parsed), parsed)
    )
    assert str(lowered).count("def lay_out") == 2
    machine = relax.VirtualMachine(tvm.compile(lowered, parse_target(unhurried(device.target))), tvm.cpu())
    got = machine["main"](*(tvm.runtime.tensor(value) for value in inputs.values()))
    assert not differs(model, [got.numpy()], inputs)


def test_bits_are_those_of_the_nearest_number(device: DeviceInfo) -> None:
    import ml_dtypes

    random = np.random.default_rng(1)
    values = random.integers(0, 2**32, 4096, dtype=np.uint64).astype(np.uint32).view(np.float32)
    # Halfway between two: to the even one, up and down. Then what is no number, and the largest.
    values[:4] = np.array([0x3F808000, 0x3F818000, 0xBF808000, 0xBF818000], np.uint32).view(np.float32)
    values[4:9] = np.array([0.0, -0.0, np.inf, -np.inf, np.finfo(np.float32).max], np.float32)
    values = values[~np.isnan(values)]
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType(values.shape, "float32"))
    with builder.function("main", [x]):
        builder.emit_func_output(builder.emit(rounded(builder, x)))
    machine = relax.VirtualMachine(
        tvm.compile(builder.finalize(), parse_target(unhurried(device.target))), tvm.cpu()
    )
    got = machine["main"](tvm.runtime.tensor(values)).numpy()
    np.testing.assert_array_equal(got, values.astype(ml_dtypes.bfloat16).view(np.uint16))


@pytest.mark.parametrize(("target", "instruction"), [(WIDE, "vdpbf16ps"), (NEON, "bfdot")])
def test_kernels_begin_with_the_target_s_own_instruction(
    target: str, instruction: str, tmp_path: Path
) -> None:
    parsed = parse_target(target)
    (dot,) = bfloat_products_of(parsed)
    found = workloads(prepared(network(), tmp_path), target)
    assert len(found) == 5
    for work in found:
        module = load_module(work.module)
        record = begun_record(module, work.name, work.flops, parsed)
        assert record is not None
        assert dot.name in record.candidate.trace, work.name
        schedule = replayed(module, json.loads(record.candidate.trace))
        assert instruction in tvm.tirx.build(schedule.mod, target=parsed).inspect_source("asm"), work.name


def test_without_an_instruction_numbers_are_rounded_and_multiplied_as_floats(
    tmp_path: Path, engine: EngineClient, device: DeviceInfo
) -> None:
    found = workloads(prepared(network(), tmp_path), NONE)
    assert len(found) == 5
    assert not any("uint16" in load_module(work.module).script() for work in found)
    model = network()
    ready = prepared(model, tmp_path)
    inputs = random_inputs(ready.inputs, 3)
    compiled = engine.compile(ready, device.target, RecordChoice("untuned")).result()
    assert not differs(model, list(engine.run(compiled, inputs, device.target).outputs), inputs)


def test_candidates_of_bfloats_are_compared_as_what_their_bits_stand_for(
    builder: BuildActor, measurer: MeasureActor, tmp_path: Path, device: DeviceInfo
) -> None:
    """Made for an instruction, scheduled for this machine, which may have none."""
    here = parse_target(device.target)
    found = [work for work in workloads(prepared(network(), tmp_path), WIDE) if "round_to" in work.name]
    assert found
    work = found[0]
    record = begun_record(load_module(work.module), work.name, work.flops, here)
    assert record is not None
    _, artifact = builder.build(work, device.target, record.candidate, 60, checked=True)
    assert artifact is not None
    kinds = [dtype for dtype, _ in json.loads(artifact.check_args)]
    assert kinds.count("bfloat16") == 3
    assert "uint16" not in kinds
    station = Station(device.device_class, device)
    measured = measurer.measure(artifact, station, EvaluatorConfig(min_repeat_ms=5, timeout_s=20.0))
    assert measured.state is TrialState.OK, measured.message
    # One of the last bit is rounding, the next power of two is not.
    bits = np.array([0x3F80, 0x4000], np.uint16)
    for off, wrong in ((1, ""), (0x80, "is off by 2, and 0.04 is allowed")):
        got, want = Results(bits + np.array([0, off], np.uint16)), Results(bits)
        library = {"plain": lambda *_: None, "scheduled": lambda *_: None}
        with pytest.raises(WrongOutputError, match=wrong) if wrong else nullcontext():
            require_same(library, [got], [want], ["bfloat16"])


class Results:
    """A tensor on a device that nothing writes to."""

    def __init__(self, values: Array) -> None:
        self._values, self.shape, self.dtype = values, values.shape, values.dtype

    def numpy(self) -> Array:
        return self._values

    def copyfrom(self, _: Array) -> None:
        """Keep what is there."""


def test_a_device_says_by_which_instruction_its_bfloats_are_multiplied() -> None:
    assert resolve_target(WIDE).bfloats == "llvm.x86.avx512bf16.dpbf16ps.512"
    assert resolve_target(NEON).bfloats == "llvm.aarch64.neon.bfdot.v4f32.v8bf16"
    assert resolve_target(NONE).bfloats == ""
    assert resolve_target("cuda -arch=sm_80").bfloats == ""


def test_more_may_differ_where_numbers_are_rounded() -> None:
    model = network()
    plain = onnx.ModelProto()
    plain.CopyFrom(model)
    for node in plain.graph.node:
        if node.op_type == "Cast":
            node.attribute[0].i = TensorProto.FLOAT
    assert tolerance(plain) < tolerance(model)
