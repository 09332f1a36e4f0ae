"""Quantized products and convolutions are computed as integers, by the target's own instructions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
import tvm
from tvm import relax
from tvm.s_tir import SBlock
from tvm_ffi import structural_walk

from tests.kit.compiled_models import unhurried
from tests.kit.quantized_models import QUANTIZED
from tests.kit.quantized_networks import QuantizedNetwork
from workers.clients import EngineClient
from workers.engines.metaschedule import model as engine_model
from workers.engines.metaschedule.dot_products import dot_products_of
from workers.engines.metaschedule.integers import with_integer_products
from workers.engines.metaschedule.layouts import with_layout
from workers.engines.metaschedule.records import replayed
from workers.engines.metaschedule.starter.begin import begun_record
from workers.engines.metaschedule.targets import parse_target, resolve_target
from workers.engines.metaschedule.workload import load_module, only_function
from workers.messages import Array, DeviceInfo, PreparedModel, RecordChoice, Workload
from workers.models import compare, output_steps, prepare, random_inputs, run_reference

_X86 = "llvm -mtriple=x86_64-linux-gnu -num-cores=2 -mcpu="
NONE, WORDS, WIDE_WORDS, BYTES, NARROW_BYTES = (
    f"{_X86}{name}" for name in ("x86-64", "haswell", "skylake-avx512", "cascadelake", "alderlake")
)
NEON = "llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a76 -num-cores=2"
#: Models of one operator each: bytes less computed zero points, sums that float32 doesn't hold.
OPERATORS = (
    "a convolution of integers",
    "a product of integers",
    "a product, each column by itself",
    "a product of two computed matrices of integers",
    "quantized as it comes",
    "integers, to floats",
)


def network(kind: str) -> onnx.ModelProto:
    """Write layers of each kind that read what other layers read too, with zero points at 0 and elsewhere."""
    net = QuantizedNetwork((1, 3, 9, 8), kind, kind)
    x = net.rounded("x", 0.01, 0)
    first = net.conv(x, 16, 3, 3, pads=[1, 1, 1, 1], zero=0)
    each = net.conv(first, 16, 1, 3, group=16, strides=[2, 2], pads=[1, 1, 1, 1])
    inner = net.conv(each, 24, 16, 3, pads=[0, 1, 2, 1])
    both = net.rounded(net.node("Add", net.conv(inner, 16, 24), net.conv(each, 16, 16)))
    parts = net.conv(both, 32, 8, 3, group=2, pads=[1, 1, 1, 1])
    mean = net.rounded(net.node("Flatten", net.node("GlobalAveragePool", parts)))
    return net.model(net.conv(parts, 5, 32), net.product(mean, 32, 24), net.product(mean, 32, 10))


def prepared(model: onnx.ModelProto, folder: Path) -> PreparedModel:
    onnx.save(model, folder / "model.onnx")
    return replace(prepare(str(folder / "model.onnx")), layout="blocked")


def in_integers(model: PreparedModel, target: str) -> tvm.IRModule:
    """Return a model in blocks, and in the integers of a target, as it is before it is made kernels."""
    parsed = parse_target(target)
    return with_layout(
        with_integer_products(engine_model.in_nchw(model, parsed), parsed), "blocked", parsed
    ).module


def computed(module: tvm.IRModule, device: DeviceInfo, inputs: dict[str, Array]) -> list[Array]:
    """Compute a model here, whatever it was made for, without any schedule."""
    machine = relax.VirtualMachine(tvm.compile(module, parse_target(unhurried(device.target))), tvm.cpu())
    result = machine["main"](*(tvm.runtime.tensor(value) for value in inputs.values()))
    return [one.numpy() for one in (result if isinstance(result, tvm.ir.Array) else [result])]


def differs(model: onnx.ModelProto, got: list[Array], inputs: dict[str, Array]) -> str:
    """Say how outputs differ from what the model says, by more than quantized values may."""
    want = run_reference(model.SerializeToString(), inputs, 1, optimize=False)
    assert all(len(set(one.ravel())) > 3 for one in want), "outputs that show nothing"
    found = compare(got, want, steps=output_steps(model))
    return "" if found.ok else str(found.reason)


def workloads(model: PreparedModel, target: str) -> list[Workload]:
    """Return the tasks that are products or convolutions."""
    tasks = engine_model.extract_tasks(model, parse_target(target), "metaschedule", "1").tasks
    return [task.workload for task in tasks if "conv2d" in task.name or "matmul" in task.name]


def sums(work: Workload) -> Iterator[SBlock]:
    """Yield the blocks of a kernel that sum products up."""
    blocks: list[Any] = []
    structural_walk(only_function(load_module(work.module)).body, (SBlock, blocks.append))
    yield from (block for block in blocks if "conv2d" in block.name_hint or "matmul" in block.name_hint)


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        (WORDS, "uint8"),
        (BYTES, "int8"),
        pytest.param(NEON, "uint8", marks=pytest.mark.slow),
        pytest.param(WORDS, "int8", marks=pytest.mark.slow),
        pytest.param(BYTES, "uint8", marks=pytest.mark.slow),
        pytest.param(NEON, "int8", marks=pytest.mark.slow),
    ],
)
def test_a_network_of_integers_computes_what_it_did(
    target: str, kind: str, tmp_path: Path, device: DeviceInfo
) -> None:
    model = network(kind)
    ready = prepared(model, tmp_path)
    inputs = random_inputs(ready.inputs, 3)
    assert not differs(model, computed(in_integers(ready, target), device, inputs), inputs)


def attention(kind: str, tokens: int) -> onnx.ModelProto:
    """Write attention over so many tokens, every step of which is rounded."""
    net = QuantizedNetwork((2, tokens, 24), kind, "int8")
    x = net.rounded("x", 0.01)
    query, key, value = (net.product(x, 24, out) for out in (20, 20, 12))
    turned = net.rounded(net.node("Transpose", key, perm=[0, 2, 1]))
    scores = net.rounded(net.node("MatMul", query, turned), 0.01)
    shares = net.rounded(net.node("Softmax", scores), 1 / 255, 0)
    return net.model(scores, net.rounded(net.node("MatMul", shares, value), 0.005))


@pytest.mark.parametrize("tokens", [32, 9])
@pytest.mark.parametrize("kind", ["uint8", "int8"])
@pytest.mark.parametrize("target", [WORDS, BYTES, NEON])
def test_products_of_two_computed_matrices_are_of_integers(
    target: str, kind: str, tokens: int, tmp_path: Path, device: DeviceInfo
) -> None:
    model = attention(kind, tokens)
    ready = replace(prepared(model, tmp_path), layout="nchw")
    found = [block for work in workloads(ready, target) for block in sums(work)]
    assert len(found) == 5
    assert {str(block.writes[0].source.dtype) for block in found} == {"int32"}
    parsed = parse_target(target)
    module = with_integer_products(engine_model.in_nchw(ready, parsed), parsed)
    assert str(module).count("def lay_out") == 2
    if tokens == 32 and kind == "uint8":
        (first, *_) = dot_products_of(parsed)
        for work in workloads(ready, target):
            record = begun_record(load_module(work.module), work.name, work.flops, parse_target(target))
            assert record is not None
            assert first.name in record.candidate.trace
    inputs = random_inputs(ready.inputs, 3)
    assert not differs(model, computed(module, device, inputs), inputs)


@pytest.mark.parametrize("target", [WORDS, BYTES])
def test_products_of_an_odd_number_of_terms_are_of_integers(
    target: str, tmp_path: Path, device: DeviceInfo
) -> None:
    net = QuantizedNetwork((3, 7, 33), "uint8", "int8")
    model = net.model(net.product(net.product(net.rounded("x", 0.01), 33, 5), 5, 24))
    ready = replace(prepared(model, tmp_path), layout="nchw")
    found = [block for work in workloads(ready, target) for block in sums(work)]
    assert [str(block.writes[0].source.dtype) for block in found] == ["int32"] * 2
    inputs = random_inputs(ready.inputs, 3)
    parsed = parse_target(target)
    module = with_integer_products(engine_model.in_nchw(ready, parsed), parsed)
    assert not differs(model, computed(module, device, inputs), inputs)


def test_two_computed_matrices_less_computed_zero_points_are_multiplied_in_words(tmp_path: Path) -> None:
    ready = prepared(QUANTIZED["a product of two computed matrices of integers"].model(), tmp_path)
    for target in (WORDS, BYTES):
        (block,) = (block for work in workloads(ready, target) for block in sums(work))
        assert {str(one.source.dtype) for one in block.reads} <= {"int16", "int32"}
        assert any(str(one.source.dtype) == "int16" for one in block.reads)


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("target", [WORDS, pytest.param(BYTES, marks=pytest.mark.slow)])
def test_an_operator_of_integers_computes_what_it_did(
    target: str, name: str, tmp_path: Path, device: DeviceInfo
) -> None:
    model = QUANTIZED[name].model()
    ready = prepared(model, tmp_path)
    inputs = random_inputs(ready.inputs, 3)
    assert not differs(model, computed(in_integers(ready, target), device, inputs), inputs)


@pytest.mark.parametrize(("target", "dtype"), [(WORDS, "int16"), (BYTES, "uint8"), (NEON, "int8")])
def test_all_sums_are_of_integers(target: str, dtype: str, tmp_path: Path) -> None:
    found = workloads(prepared(network("uint8"), tmp_path), target)
    assert len(found) == 9
    for block in (block for work in found for block in sums(work)):
        read = {str(one.source.dtype) for one in block.reads}
        assert dtype in read
        assert read <= {dtype, "int8", "int32"}
        assert str(block.writes[0].source.dtype) == "int32"


def test_without_an_instruction_for_it_sums_are_of_floats(tmp_path: Path) -> None:
    found = workloads(prepared(network("uint8"), tmp_path), NONE)
    assert {str(block.writes[0].source.dtype) for work in found for block in sums(work)} == {"float32"}


def test_weights_that_are_no_signed_bytes_are_multiplied_in_words(tmp_path: Path) -> None:
    net = QuantizedNetwork((1, 16), "uint8", "uint8")
    net.zero = 3  # -3 to 252
    (work,) = workloads(prepared(net.model(net.product(net.rounded("x"), 16, 16)), tmp_path), BYTES)
    (block,) = sums(work)
    assert {str(one.source.dtype) for one in block.reads} <= {"int16", "int32"}


def test_bytes_that_several_read_are_stored_once(tmp_path: Path) -> None:
    lines = str(in_integers(prepared(network("uint8"), tmp_path), WORDS)["main"]).splitlines()
    # Seven are read by a product or a convolution, two of them by two; the residual sum reads what one does.
    assert sum('dtype="int16"' in line and "R.astype" in line for line in lines) == 7


def test_bytes_of_the_other_sign_are_rounded_at_once(tmp_path: Path) -> None:
    lines = str(in_integers(prepared(network("int8"), tmp_path), BYTES)["main"]).splitlines()
    assert not [line for line in lines if 'dtype="int16"' in line and "R.astype" in line]
    assert sum("R.quantize" in line and 'out_dtype="uint8"' in line for line in lines) == 7


def test_nothing_is_divided_where_numbers_are_rounded(tmp_path: Path) -> None:
    found = [
        work for work in workloads(prepared(network("uint8"), tmp_path), BYTES) if "quantize" in work.name
    ]
    assert len(found) > 5
    for work in found:
        assert " / " not in load_module(work.module).script(), work.name


@pytest.mark.parametrize(
    ("target", "instruction"),
    [
        (WORDS, "vpmaddwd"),
        (WIDE_WORDS, "vpmaddwd"),
        (BYTES, "vpdpbusd"),
        (NARROW_BYTES, "vpdpbusd"),
        (NEON, "sdot"),
    ],
)
@pytest.mark.parametrize("operator", ["conv2d", pytest.param("matmul", marks=pytest.mark.slow)])
def test_a_kernel_begins_with_the_target_s_own_instruction(
    operator: str, target: str, instruction: str, tmp_path: Path
) -> None:
    net = QuantizedNetwork((1, 16, 8, 16), "uint8")
    x = net.rounded("x")
    out = net.conv(x, 32, 16, 3, pads=[1, 1, 1, 1]) if operator == "conv2d" else net.product(x, 16, 80)
    (work,) = workloads(prepared(net.model(out), tmp_path), target)
    parsed = parse_target(target)
    module = load_module(work.module)
    record = begun_record(module, work.name, work.flops, parsed)
    assert record is not None
    assert dot_products_of(parsed)[0].name in record.candidate.trace
    schedule = replayed(module, json.loads(record.candidate.trace))
    kernel = tvm.tirx.build(schedule.mod, target=parsed).inspect_source("asm")
    assert instruction in kernel


@pytest.mark.parametrize("kind", ["uint8", pytest.param("int8", marks=pytest.mark.slow)])
def test_for_a_gpu_bytes_are_multiplied_as_tensor_cores_take_them(
    kind: str, tmp_path: Path, device: DeviceInfo
) -> None:
    """Signed ones alone, laid out as the model has them; computed here, where there is no GPU."""
    model = network(kind)
    ready = prepared(model, tmp_path)
    inputs = random_inputs(ready.inputs, 3)
    parsed = parse_target("cuda -arch=sm_80")
    module = with_integer_products(engine_model.in_nchw(ready, parsed), parsed)
    sums = [line for line in str(module["main"]).splitlines() if "nn.conv2d" in line or "R.matmul" in line]
    assert len(sums) == 9
    assert all('dtype="int32"' in line for line in sums)
    assert "int16" not in "".join(sums)
    assert not differs(model, computed(module, device, inputs), inputs)


def test_a_device_says_by_which_instruction_its_integers_are_multiplied() -> None:
    assert resolve_target(WORDS).integers == "llvm.x86.avx2.pmadd.wd"
    assert resolve_target(NONE).integers == ""
    assert resolve_target("cuda -arch=sm_80").integers == "wmma (int8)"
    assert resolve_target("cuda -arch=sm_70").integers == ""


def test_kernels_with_the_instruction_compute_what_those_without_do(
    tmp_path: Path, engine: EngineClient, device: DeviceInfo
) -> None:
    if not dot_products_of(parse_target(device.target)):
        pytest.skip("this CPU has no instruction for integers")
    model = network("uint8")
    ready = prepared(model, tmp_path)
    inputs = random_inputs(ready.inputs, 3)
    compiled = engine.compile(ready, device.target, RecordChoice("tuned")).result()
    assert compiled.lent
    assert not differs(model, list(engine.run(compiled, inputs, device.target).outputs), inputs)
