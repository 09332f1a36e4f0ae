"""Kernels that go through their rows one by one: which do, that they are right, and what they begin with."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tvm
from onnx import TensorProto, helper, numpy_helper
from tvm import te, topi

from tests.kit.compiled_models import unhurried
from workers.clients import EngineClient
from workers.engines.metaschedule import model as engine_model
from workers.engines.metaschedule.records import candidate_of, replayed
from workers.engines.metaschedule.rowwise import by_rows
from workers.engines.metaschedule.starter.begin import begun_record
from workers.engines.metaschedule.starter.sketches import ROWS, sketch_of
from workers.engines.metaschedule.targets import parse_target
from workers.engines.metaschedule.workload import load_module
from workers.messages import DeviceInfo, RecordChoice, Workload
from workers.models import compare, prepare, random_inputs, run_reference

_X86 = "llvm -mtriple=x86_64-linux-gnu -num-cores=2 -mcpu="
WIDE, NARROW = f"{_X86}skylake-avx512", f"{_X86}nehalem"

Nodes = list[onnx.NodeProto]
Shape = tuple[int, ...]


def _masked_softmax() -> Nodes:
    return [
        helper.make_node("Softmax", ["x"], ["s"], axis=-1),
        helper.make_node("IsNaN", ["s"], ["nan"]),
        helper.make_node("Where", ["nan", "zero", "s"], ["y"]),
    ]


def _node(kind: str, *inputs: str, **attributes: Any) -> Nodes:
    return [helper.make_node(kind, ["x", *inputs], ["y"], **attributes)]


#: What goes row by row: what it is made of, and its shape.
ROWWISE: dict[str, tuple[Nodes, Shape]] = {
    "softmax": (_node("Softmax", axis=-1), (2, 3, 32, 64)),
    "softmax of what no vector divides": (_node("Softmax", axis=-1), (2, 3, 37, 37)),
    "masked softmax": (_masked_softmax(), (1, 2, 32, 32)),
    "layer norm": (_node("LayerNormalization", "scale", "bias", axis=-1), (1, 40, 48)),
}
#: What doesn't.
OTHERS: dict[str, tuple[Nodes, Shape]] = {
    "softmax over channels": (_node("Softmax", axis=1), (2, 64, 8, 8)),
    "softmax of rows of three": (_node("Softmax", axis=-1), (40, 3)),
    "a mean": (_node("ReduceMean", axes=[2], keepdims=0), (1, 40, 48)),
    "elements": (_node("Sigmoid"), (1, 40, 48)),
}


def path_of(nodes: Nodes, shape: Shape, folder: Path) -> str:
    out = None if nodes[-1].op_type == "ReduceMean" else shape
    random = np.random.default_rng(0)
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, out)],
        [
            numpy_helper.from_array(np.zeros(1, "float32"), "zero"),
            numpy_helper.from_array(random.standard_normal(shape[-1]).astype("float32"), "scale"),
            numpy_helper.from_array(random.standard_normal(shape[-1]).astype("float32"), "bias"),
        ],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8),
        folder / "rows.onnx",
    )
    return str(folder / "rows.onnx")


def workload(path: str, target: str) -> Workload:
    (task,) = engine_model.extract_tasks(prepare(path), parse_target(target), "metaschedule", "1").tasks
    return task.workload


@pytest.mark.parametrize("target", [WIDE, NARROW])
@pytest.mark.parametrize("name", ROWWISE)
def test_each_row_is_read_from_memory_once_and_computed_in_vectors(
    name: str, target: str, tmp_path: Path
) -> None:
    module = load_module(workload(path_of(*ROWWISE[name], tmp_path), target).module)
    schedule = by_rows(module, parse_target(target))
    assert schedule is not None
    text = schedule.mod.script()
    assert loops(text, "parallel") == {np.prod(ROWWISE[name][1][:-1])}
    assert loops(text, "vectorized") == {16 if target == WIDE else 4, 4}
    kernel = tvm.tirx.build(schedule.mod, target=parse_target(target)).inspect_source("asm")
    assert not [name for name in ("expf", "vucomiss", "ucomiss") if name in kernel]


def loops(text: str, kind: str) -> set[int]:
    return {int(extent) for extent in re.findall(rf"T\.{kind}\(T\.int64\((\d+)\)", text)}


@pytest.mark.parametrize("name", OTHERS)
def test_what_has_no_rows_to_go_over_again_is_left_to_the_rules(name: str, tmp_path: Path) -> None:
    module = load_module(workload(path_of(*OTHERS[name], tmp_path), WIDE).module)
    assert by_rows(module, parse_target(WIDE)) is None


@pytest.mark.parametrize("name", ROWWISE)
def test_a_library_begins_with_it_and_is_right(
    name: str, tmp_path: Path, engine: EngineClient, device: DeviceInfo
) -> None:
    path = path_of(*ROWWISE[name], tmp_path)
    model = prepare(path)
    compiled = engine.compile(model, unhurried(device.target), RecordChoice("untuned")).result()
    assert compiled.lent
    inputs = random_inputs(model.inputs, 3)
    inputs["x"] *= 10
    (got,) = engine.run(compiled, inputs, device.target).outputs
    found = compare([got], run_reference(onnx.load(path).SerializeToString(), inputs, 1), rtol=1e-5)
    assert found.ok, found.reason


@pytest.mark.parametrize(("shape", "threads"), [((1, 2, 32), False), ((8, 64, 64), True)])
def test_a_small_one_begins_without_threads(shape: Shape, threads: bool, tmp_path: Path) -> None:
    work = workload(path_of(_node("Softmax", axis=-1), shape, tmp_path), WIDE)
    record = begun_record(load_module(work.module), work.name, work.flops, parse_target(WIDE))
    assert record is not None
    structure = sketch_of(record.candidate.trace, work.name).structure
    assert ROWS in structure
    assert ("alone" not in structure) == threads


def test_its_trace_is_one_that_can_be_stored(tmp_path: Path) -> None:
    module = load_module(workload(path_of(*ROWWISE["softmax"], tmp_path), WIDE).module)
    schedule = by_rows(module, parse_target(WIDE))
    assert schedule is not None

    again = replayed(module, json.loads(candidate_of(schedule.trace).trace))
    tvm.ir.assert_structural_equal(again.mod, schedule.mod)


def test_rows_that_are_read_across_are_not_computed_again_for_each(tmp_path: Path) -> None:
    x = te.placeholder((32, 32), "float32", name="x")
    made = topi.nn.softmax(x, 1)
    across = te.compute((32, 32), lambda i, j: made[j, i] + made[i, j], name="across")
    module = tvm.IRModule({"main": te.create_prim_func([x, across])})
    assert by_rows(module, parse_target(WIDE)) is None
