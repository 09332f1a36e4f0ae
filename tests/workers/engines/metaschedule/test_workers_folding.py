"""Constants folded by numpy, weights mapped: the kernels are those that TVM alone makes."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import onnx
import pytest
import tvm
from onnx import helper, numpy_helper
from tvm.relax.frontend.onnx import from_onnx
from tvm_ffi import structural_equal

from tests.kit.model_builders import model_of, tensor, weight
from workers.enginekit import archives
from workers.engines.metaschedule import folding, frontend, model
from workers.engines.metaschedule.targets import parse_target
from workers.messages import PreparedModel, RecordChoice
from workers.models import _settle, prepare

TARGET = "llvm -num-cores=2"


def biased() -> onnx.ModelProto:
    """Convolutions whose biases the importer reshapes, one after the other."""
    names = ["x", *"abcd", "y"]
    return model_of(
        [
            helper.make_node("Conv", [one, f"w{n}", f"b{n}"], [two], name=f"convolution{n}")
            for n, (one, two) in enumerate(itertools.pairwise(names))
        ],
        [tensor("x", [1, 32, 6, 6])],
        [tensor("y", [1, 32, 6, 6])],
        [made for n in range(5) for made in (weight(f"w{n}", 32, 32, 1, 1), weight(f"b{n}", 32))],
    )


def saved(made: onnx.ModelProto, folder: Path) -> Path:
    onnx.save(made, folder / "model.onnx")
    return folder / "model.onnx"


def tasks_of(prepared: PreparedModel) -> dict[str, int]:
    found = model.extract_tasks(prepared, parse_target(TARGET), "metaschedule", "1")
    return {task.workload.hash: task.weight for task in found.tasks}


def between_constants(module: tvm.ir.IRModule) -> int:
    """Count the operators whose arguments are constants, or made of such."""
    made: set[object] = set()
    for block in module["main"].body.blocks:
        for binding in block.bindings:
            if not isinstance(binding.value, tvm.relax.Call):
                continue
            arguments = [arg for arg in binding.value.args if not isinstance(arg, tvm.relax.ShapeExpr)]
            if all(isinstance(arg, tvm.ir.GenericConst) or arg in made for arg in arguments):
                made.add(binding.var)
    return len(made)


def quantized() -> onnx.ModelProto:
    """Layers alike but for their scales and zero points, as a quantizer writes them."""
    nodes, stored, names = [], [], ["x", *"abc", "y"]
    for n, (one, two) in enumerate(itertools.pairwise(names)):
        scales = {
            f"s{n}": np.float32(0.02 + n / 100),
            f"z{n}": np.uint8(100 + n),
            f"t{n}": np.float32(0.01 + n / 200),
            f"v{n}": np.int8(0),
            f"w{n}": np.random.default_rng(n).integers(-99, 99, (16, 16)).astype(np.int8),
        }
        stored += [numpy_helper.from_array(np.asarray(value), name) for name, value in scales.items()]
        nodes += [
            helper.make_node("QuantizeLinear", [one, f"s{n}", f"z{n}"], [f"q{n}"]),
            helper.make_node("DequantizeLinear", [f"q{n}", f"s{n}", f"z{n}"], [f"d{n}"]),
            helper.make_node("DequantizeLinear", [f"w{n}", f"t{n}", f"v{n}"], [f"f{n}"]),
            helper.make_node("MatMul", [f"d{n}", f"f{n}"], [two]),
        ]
    return model_of(nodes, [tensor("x", [4, 16])], [tensor("y", [4, 16])], stored)


def test_layers_alike_but_for_their_scales_are_one_task(tmp_path: Path) -> None:
    prepared = prepare(saved(quantized(), tmp_path))
    # What quantizes the input; three products whose results are quantized again; the last.
    assert sorted(tasks_of(prepared).values()) == [1, 1, 3]


def test_constants_are_folded_before_a_kernel_is_made_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = dataclasses.replace(prepare(saved(biased(), tmp_path)), layout="nchw")
    seen: list[tuple[int, int]] = []

    def watched(module: tvm.ir.IRModule) -> tvm.ir.IRModule:
        folded = folding.with_constants_folded(module)
        seen.append((between_constants(module), between_constants(folded)))
        return folded

    monkeypatch.setattr(model, "with_constants_folded", watched)
    ours = tasks_of(prepared)
    assert seen
    assert all(before > 4 and after == 0 for before, after in seen)
    monkeypatch.setattr(model, "with_constants_folded", lambda module: module)
    assert tasks_of(prepared) == ours


def test_a_scalar_stays_what_it_is() -> None:
    bb = tvm.relax.BlockBuilder()
    x = tvm.relax.Var("x", tvm.relax.TensorType((4,), "float32"))
    with bb.function("main", [x]):
        with bb.dataflow():
            half = bb.emit(tvm.relax.op.multiply(tvm.relax.const(0.5), tvm.relax.const(3.0)))
            row = bb.emit(tvm.relax.op.add(tvm.relax.const(np.ones(4, np.float32)), tvm.relax.const(1.0)))
            out = bb.emit_output(tvm.relax.op.add(tvm.relax.op.multiply(x, half), row))
        bb.emit_func_output(out)
    folded = folding.with_constants_folded(bb.get())["main"]
    calls: list[str] = []
    tvm.relax.analysis.post_order_visit(
        folded, lambda expr: calls.append(expr.op.name) if isinstance(expr, tvm.relax.Call) else None
    )
    assert sorted(calls) == ["relax.add", "relax.multiply", "relax.multiply"]


def test_mapped_weights_are_imported_as_those_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wide = model_of(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="product")],
        [tensor("x", [2, 64])],
        [tensor("y", [2, 128])],
        [weight("w", 64, 128)],
    )
    inside = prepare(saved(wide, tmp_path))
    monkeypatch.setattr(_settle, "_INSIDE_BYTES", 0)
    beside = prepare(saved(wide, tmp_path), {}, tmp_path)
    assert beside.weights
    assert dataclasses.replace(beside, weights="", onnx=b"") == dataclasses.replace(inside, onnx=b"")
    stock = from_onnx(onnx.load_from_string(inside.onnx), keep_params_in_input=False)
    for prepared in (inside, beside):
        ours = frontend.imported(onnx.load_from_string(prepared.onnx))
        assert structural_equal(ours, stock, map_free_vars=True)


def test_weights_that_no_library_holds_are_beside_it_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = model_of(
        [
            helper.make_node("MatMul", ["x", "w"], ["p"], name="product"),
            helper.make_node("Add", ["p", "b"], ["y"], name="sum"),
        ],
        [tensor("x", [2, 64])],
        [tensor("y", [2, 128])],
        [weight("w", 64, 128), weight("b", 128)],
    )
    monkeypatch.setattr(_settle, "_INSIDE_BYTES", 0)
    monkeypatch.setattr(archives, "_LIBRARY_BYTES", 1024)
    monkeypatch.setattr(archives, "_IN_A_FILE", 1024)
    prepared = prepare(saved(wide, tmp_path), {}, tmp_path)
    engine = model.MetaScheduleModel()
    compiled = engine.compile(prepared, TARGET, RecordChoice("untuned"))
    assert compiled.params is None
    assert Path(compiled.params_file).parent == tmp_path
    x = np.random.default_rng(0).random((2, 64), np.float32)
    (found,) = engine.run(compiled, {"x": x}, TARGET).outputs
    w, b = (numpy_helper.to_array(one) for one in wide.graph.initializer)
    np.testing.assert_allclose(found, x @ w + b, rtol=1e-4, atol=1e-4)
