"""Operators that onnxruntime's optimizers write come in, and compute what they did."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from tests.kit.compiled_models import unhurried
from tests.kit.microsoft_models import FUSED, Fused
from tests.kit.model_builders import constant, model_of, tensor
from tests.kit.optimizable_models import small_convolutions, small_transformer
from workers.clients import EngineClient
from workers.errors import ModelError
from workers.messages import DeviceInfo, PreparedModel, RecordChoice
from workers.models import compare, prepare, random_inputs, run_reference, tolerance

Save = Callable[[onnx.ModelProto], Path]

_HALVES = [name for name, fused in FUSED.items() if fused.halves]


def check(fused: Fused, save: Save, *, half: bool) -> None:
    prepared = prepare(str(save(fused.model(half=half))))
    nodes = onnx.load_from_string(prepared.onnx).graph.node
    assert {node.domain for node in nodes} == {""}
    assert any("wrote out operators of onnxruntime's own" in change for change in prepared.changes)
    standard = fused.standard(half=half).SerializeToString()
    for seed in (0, 3):
        inputs = {**random_inputs(prepared.inputs, seed), **(fused.inputs if seed else {})}
        found = compare(
            run_reference(prepared.onnx, inputs, 1, optimize=False),
            run_reference(standard, inputs, 1, optimize=False),
        )
        assert found.ok, found.reason
        if not half:
            assert found.max_rel < 1e-5


@pytest.mark.parametrize("name", FUSED)
def test_an_operator_of_onnxruntime_is_written_out(name: str, save: Save) -> None:
    check(FUSED[name], save, half=False)


@pytest.mark.parametrize("name", _HALVES)
def test_an_operator_of_halves_is_written_out(name: str, save: Save) -> None:
    check(FUSED[name], save, half=True)


def extended(model: onnx.ModelProto, folder: Path, level: str = "ORT_ENABLE_EXTENDED") -> onnx.ModelProto:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return onnx.load(options.optimized_model_filepath)


def as_transformer(model: onnx.ModelProto, folder: Path, *, half: bool = False) -> onnx.ModelProto:
    from onnxruntime.transformers.optimizer import optimize_model

    path = folder / "transformer.onnx"
    path.write_bytes(model.SerializeToString())
    # What its own levels do first, `extended` does here: without torch it can't.
    optimized = optimize_model(str(path), "bert", num_heads=2, hidden_size=16, opt_level=0)
    if half:
        optimized.convert_float_to_float16(keep_io_types=True)
    return onnx.ModelProto.FromString(optimized.model.SerializeToString())


OPTIMIZED: dict[str, tuple[Callable[[Path], onnx.ModelProto], set[str]]] = {
    "a transformer, basic": (
        lambda folder: extended(small_transformer(), folder, "ORT_ENABLE_BASIC"),
        set(),
    ),
    "a transformer, extended": (
        lambda folder: extended(small_transformer(), folder),
        {"BiasGelu", "SkipLayerNormalization", "FusedMatMul"},
    ),
    "convolutions, extended": (
        lambda folder: extended(small_convolutions(), folder),
        {"FusedConv", "FusedGemm"},
    ),
    "a transformer, as one": (
        lambda folder: as_transformer(small_transformer(), folder),
        {"BiasGelu", "SkipLayerNormalization", "Attention"},
    ),
    "a transformer, halves": (
        lambda folder: as_transformer(
            extended(small_transformer(), folder, "ORT_ENABLE_BASIC"), folder, half=True
        ),
        {"BiasGelu", "SkipLayerNormalization", "Attention"},
    ),
}
_SHAPES = {"ids": (2, 6), "mask": (2, 6)}


def optimized(name: str, folder: Path, save: Save) -> tuple[onnx.ModelProto, PreparedModel]:
    make, fused = OPTIMIZED[name]
    model = make(folder)
    assert fused <= {node.op_type for node in model.graph.node}
    shapes = _SHAPES if "transformer" in name else {}
    return model, prepare(str(save(model)), shapes)


@pytest.mark.parametrize("name", OPTIMIZED)
def test_what_onnxruntime_optimized_comes_in(name: str, save: Save, tmp_path: Path) -> None:
    model, prepared = optimized(name, tmp_path, save)
    graph = onnx.load_from_string(prepared.onnx).graph
    assert {node.domain for node in graph.node} == {""}
    inputs = random_inputs(prepared.inputs, 5)
    found = compare(
        run_reference(prepared.onnx, inputs, 1, optimize=False),
        run_reference(model.SerializeToString(), inputs, 1, optimize=False),
    )
    assert found.ok, found.reason


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a transformer, as one", "a transformer, halves", "convolutions, extended"])
def test_its_library_is_right(
    name: str, save: Save, tmp_path: Path, engine: EngineClient, device: DeviceInfo
) -> None:
    model, prepared = optimized(name, tmp_path, save)
    target = unhurried(device.target)
    compiled = engine.compile(prepared, target, RecordChoice("untuned", lend=False)).result()
    inputs = random_inputs(prepared.inputs, 5)
    run = engine.run(compiled, inputs, target)
    expected = run_reference(model.SerializeToString(), inputs, 1, optimize=False)
    # As a campaign compares it: what halves have computed and floats are given out.
    found = compare(run.outputs, expected, rtol=tolerance(model))
    assert found.ok, found.reason


def test_rows_are_normalized_by_the_standards_own_operator_where_the_opset_may_be_raised(save: Save) -> None:
    # Of opset 14; the standard has LayerNormalization since 17.
    prepared = prepare(str(save(FUSED["rows before there were any"].model())))
    assert [node.op_type for node in onnx.load_from_string(prepared.onnx).graph.node] == [
        "LayerNormalization"
    ]


def test_an_opset_whose_operators_mean_something_else_is_not_raised(save: Save) -> None:
    # RoiAlign's coordinates are shifted by half a pixel from opset 16 on.
    model = FUSED["rows before there were any"].model()
    region = helper.make_node(
        "RoiAlign", ["image", "roi", "batch"], ["part"], output_height=2, output_width=2
    )
    model.graph.node.append(region)
    model.graph.input.append(tensor("image", [1, 1, 6, 6]))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([[0, 0, 3, 5]], np.float32), "roi"))
    model.graph.initializer.append(constant("batch", 0))
    model.graph.output.append(tensor("part", [1, 1, 2, 2]))
    prepared = onnx.load_from_string(prepare(str(save(model))).onnx)
    assert prepared.opset_import[0].version == 14
    assert "ReduceMean" in {node.op_type for node in prepared.graph.node}


def test_what_the_layout_optimizer_wrote_is_refused_with_the_level_to_save_with(
    save: Save, tmp_path: Path
) -> None:
    model = extended(small_convolutions(), tmp_path, "ORT_ENABLE_ALL")
    if "com.microsoft.nchwc" not in {node.domain for node in model.graph.node}:
        pytest.skip("onnxruntime has no layout of its own for this CPU")
    with pytest.raises(
        ModelError, match=r"Conv of domain 'com.microsoft.nchwc'.* ORT_ENABLE_EXTENDED instead"
    ):
        prepare(str(save(model)))


@pytest.mark.parametrize(
    ("operator", "reason"),
    [
        ("MatMulBnb4", r"MatMulBnb4 .*QDQ format"),
        ("QOrderedMatMul", r"QOrderedMatMul .*QDQ format"),
        ("Inverse", r"Inverse of domain 'com.microsoft'.*export the model without"),
    ],
)
def test_what_is_not_known_is_refused_by_its_name(operator: str, reason: str, save: Save) -> None:
    node = helper.make_node(operator, ["x"], ["y"], domain="com.microsoft")
    shape = [3, 3]
    model = model_of([node], [tensor("x", shape)], [tensor("y", shape)], domains=["com.microsoft"])
    with pytest.raises(ModelError, match=reason):
        prepare(str(save(model)))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "(float[1,4,8] x, float[8,24] w, float[24] wb) => (float[1,4,8] y)"
            "{ y = com.microsoft.Attention <num_heads = 2, do_rotary = 1> (x, w, wb) }",
            r"Attention .*do_rotary can't be imported; export the model with RotaryEmbedding",
        ),
        (
            "(float[1,4,32] q, float[1,4,32] k, float[1,4,32] v, float[1,2,3,16] a, float[1,2,3,16] b)"
            " => (float[1,4,32] y, float[1,2,7,16] c, float[1,2,7,16] d) <int32[1] n = {6}, int32 t = {7}>"
            "{ y, c, d = com.microsoft.GroupQueryAttention <num_heads = 2, kv_num_heads = 2>"
            " (q, k, v, a, b, n, t) }",
            r"GroupQueryAttention .*a past can't be imported.*use_cache=False",
        ),
    ],
)
def test_what_cannot_be_written_out_is_refused_by_its_name(text: str, reason: str, save: Save) -> None:
    with pytest.raises(ModelError, match=reason):
        prepare(str(save(Fused(text).model())))


def test_it_is_said_where_onnxruntime_cant_run_what_was_given(save: Save) -> None:
    prepared = prepare(str(save(FUSED["a bias and a residual"].model())))
    assert any("BiasAdd" in change and "compared with this form" in change for change in prepared.changes)


def test_an_operator_within_a_branch_is_written_out(save: Save) -> None:
    text = (
        "(bool c, float[2,5,8] x, float[8] w) => (float[2,5,8] y)"
        "{ y = If (c) <then_branch = t () => (float[2,5,8] a) { a = com.microsoft.BiasGelu (x, w) },"
        " else_branch = e () => (float[2,5,8] b) { b = com.microsoft.QuickGelu (x) }> }"
    )
    check(Fused(text), save, half=False)


def test_sizes_that_the_model_computes_are_followed(save: Save) -> None:
    # As torch's exporter writes a table that is cut to the length of the words.
    text = (
        "(int64[1,6] ids, float[9,8] w, float[3,8] wk, float[8,24] wq, float[24] wb, int32[1] n)"
        " => (float[1,6,8] y) <int64[1,9] zeros = {0, 0, 0, 0, 0, 0, 0, 0, 0}, int64 i = {1},"
        " int64[1] first = {0}, int64[2] ones = {1, 1}, int64[2] no = {-1, -1}, int64[1] one = {1}>"
        "{ s = Shape (ids) l = Gather (s, i) e = Unsqueeze (l, first) part = Slice (zeros, first, e, one)"
        " q = Equal (s, no) z = Where (q, ones, s) kinds = Expand (part, z) a = Gather (w, ids)"
        " b = Gather (wk, kinds) x = Add (a, b)"
        " y = com.microsoft.Attention <num_heads = 2> (x, wq, wb, n) }"
    )
    check(Fused(text), save, half=False)


def test_what_onnxruntime_refuses_has_its_reason(save: Save) -> None:
    text = "(float[2,8] x, float16[8] w) => (float[2,8] y) { a = com.microsoft.Gelu (x) y = Add (a, w) }"
    with pytest.raises(ModelError, match=r"onnxruntime can't load the model: .*Type"):
        prepare(str(save(Fused(text).model())))
