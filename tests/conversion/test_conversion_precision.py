"""A float32 model in another precision: within its error, kept, and all that samples may be instead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from orchestrator.cli.models.convert import _files
from orchestrator.conversion import Precise, PrecisionSettings
from orchestrator.conversion.kept import kept_folder
from orchestrator.conversion.precision import _key_of
from orchestrator.errors import DisagreementError, ModelError, UsageError
from orchestrator.toolbox import Toolbox
from tests.kit.float_networks import WIDE, float_network, samples
from workers.messages import Metric, Precision

Convert = Callable[..., Precise]


def operators(path: Path) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load(path).graph.node)


def left() -> list[str]:
    """Whatever is in the folder of what is kept, the entries apart."""
    folder = kept_folder()
    return sorted(one.name for one in folder.iterdir() if one.name != "sources") if folder.exists() else []


def test_int8_says_in_the_model_what_became_of_it_and_is_found_again(
    made: Convert, tools: Toolbox, tmp_path: Path
) -> None:
    net, data = float_network(tmp_path / "net.onnx"), samples(tmp_path / "data.npz")
    done = made(net, calibration=data, max_error=0.05)
    found = done.found
    assert (found.precision, found.layers, found.kept, found.share) == (Precision.INT8, 3, (), 1.0)
    assert (found.calibrated, found.compared, found.held_back) == (18, 2, True)
    assert found.error is not None
    assert 1e-4 < found.error < 0.05
    counts = operators(done.path)
    # What a layer reads and its weights; what it writes is rounded where the next one reads it.
    assert (counts["QuantizeLinear"], counts["Conv"]) == (3, 2)
    origin = tools.prepare(str(done.path), {}).origin
    assert origin == found.origin
    assert origin is not None
    assert (origin.source, origin.framework) == ("net.onnx", "ONNX opset 17")
    begins = f"int8 by onnxruntime {onnxruntime.__version__}'s static quantizer, calibrated on 18 samples of "
    assert origin.exporter.startswith(f"{begins}data.npz (sha256 {found.calibration_sha256[:12]}), off by ")

    again = made(net, calibration=data, max_error=0.05)
    assert (again.remembered, again.path, again.found) == (True, done.path, found)
    samples(data, 5)
    other = made(net, calibration=data, max_error=0.05)
    assert (other.remembered, other.found.calibrated, other.found.held_back) == (False, 5, False)


def test_the_layer_that_costs_the_accuracy_stays_in_float32(made: Convert, tmp_path: Path) -> None:
    net, data = float_network(tmp_path / "net.onnx", wide=True), samples(tmp_path / "data.npz")
    done = made(net, calibration=data, max_error=0.04)
    assert done.found.kept == (WIDE,)
    assert done.found.error is not None
    assert done.found.error <= 0.04
    assert "1 of 3 layers stay in float32" in done.found.reason
    assert WIDE in done.found.reason
    assert operators(done.path)["QuantizeLinear"] == 2
    # Most of the work is in that layer, so that the others gain little.
    auto = made(net, "auto", calibration=data, max_error=0.04)
    assert (auto.found.precision, auto.path) == (Precision.FLOAT32, net)
    assert "of the multiplications could be int8" in auto.found.reason


def test_what_is_beyond_the_error_is_refused_and_auto_stays_in_float32(made: Convert, tmp_path: Path) -> None:
    net, data = float_network(tmp_path / "net.onnx"), samples(tmp_path / "data.npz")
    with pytest.raises(DisagreementError, match=r"in int8 it is off by .*%.* and --max-error is 1e-05%"):
        made(net, calibration=data, max_error=1e-7)
    with pytest.raises(DisagreementError, match=r"in float16 it is off by .*%"):
        made(net, "fp16", max_error=1e-7)
    assert left() == []
    auto = made(net, "auto", calibration=data, max_error=1e-7)
    assert (auto.found.precision, auto.path, left()) == (Precision.FLOAT32, net, [])
    assert auto.found.reason.startswith("in int8 it is off by ")
    assert made(net, "auto", calibration=data, max_error=1e-7).remembered
    assert "samples of its inputs; add --calibration" in made(net, "auto").found.reason
    assert made(net, "auto", calibration=data, max_error=0.05).found.precision is Precision.INT8


def test_float16_takes_and_returns_what_the_model_did(made: Convert, tmp_path: Path) -> None:
    net = float_network(tmp_path / "net.onnx")
    done = made(net, "fp16")
    model = onnx.load(done.path)
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    assert set(kinds.values()) == {onnx.TensorProto.FLOAT16}
    (taken,), (given,) = model.graph.input, model.graph.output
    assert taken.type.tensor_type.elem_type == given.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert done.found.error is not None
    assert 0 < done.found.error < 0.01
    assert done.found.origin is not None
    assert "fp16 by onnxruntime" in done.found.origin.exporter


def test_weights_beside_a_model_are_those_of_its_own_folder(made: Convert, tmp_path: Path) -> None:
    nets = []
    for place, seed in (("one", 3), ("other", 5), ("copy", 3)):
        (tmp_path / place).mkdir()
        nets.append(float_network(tmp_path / place / "net.onnx", seed=seed, beside="net.data"))
    one, other, copy = nets
    assert one.read_bytes() == other.read_bytes()
    first, second = made(one, "fp16"), made(other, "fp16")
    assert not second.remembered
    assert first.path.read_bytes() != second.path.read_bytes()
    stays = made(one, "auto"), made(copy, "auto")
    assert [done.remembered for done in stays] == [False, True]
    # `convert` copies them from where the model lies that it was given.
    assert _files(None, stays[1]) == [(copy.parent / "net.data", Path("net.data")), (copy, Path())]


def test_float16_is_compared_on_integers_that_the_model_takes(made: Convert, tmp_path: Path) -> None:
    path, helper = tmp_path / "net.onnx", onnx.helper
    # A table of one row, as of the types of tokens where there is one.
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "types"], ["y"])],
        "network",
        [helper.make_tensor_value_info("types", onnx.TensorProto.INT64, [1, 6])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 6, 4])],
        [onnx.numpy_helper.from_array(np.full((1, 4), 0.3, np.float32), "table")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    assert made(path, "fp16").found.precision is Precision.FP16


def test_a_conversion_is_of_all_the_sources_that_read_and_compare_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, settings = float_network(tmp_path / "net.onnx"), PrecisionSettings(Precision.FP16)
    source = tmp_path / "workers" / "models" / "rewrites" / "steps.py"
    source.parent.mkdir(parents=True)
    monkeypatch.setattr("workers.__file__", str(tmp_path / "workers" / "__init__.py"))
    keys = []
    for text in ("one = 1", "one = 2", "one = 1"):
        source.write_text(text)
        keys.append(_key_of(net, settings, ""))
    assert keys[0] == keys[2] != keys[1]


@pytest.mark.parametrize("metric", list(Metric))
def test_the_error_is_measured_as_asked(made: Convert, tmp_path: Path, metric: Metric) -> None:
    net, data = float_network(tmp_path / "net.onnx"), samples(tmp_path / "data.npz")
    done = made(net, "fp16", calibration=data, metric=metric)
    assert (done.found.metric, done.found.compared) == (metric, 16)
    bound = {Metric.MAX: 1e-2, Metric.COSINE: 1e-5, Metric.TOP1: 0.0}[metric]
    assert done.found.error is not None
    assert done.found.error <= bound


def test_open_sizes_are_given_and_an_old_opset_is_raised(made: Convert, tmp_path: Path) -> None:
    net, data = float_network(tmp_path / "net.onnx", batch="rows", opset=9), samples(tmp_path / "data.npz")
    done = made(net, calibration=data, max_error=0.1, shapes={"x": (2, 3, 16, 16)})
    assert (done.found.calibrated, done.found.compared) == (9, 1)
    assert [spec.shape for spec in (*done.found.inputs, *done.found.outputs)] == [(2, 3, 16, 16), (2, 10)]


@pytest.mark.parametrize(
    ("arrays", "why"),
    [
        ({}, r"there is nothing for input 'x'; its inputs are 'x' 1x3x16x16 float32; with numpy: np.savez"),
        ({"z": np.zeros((2, 3, 16, 16))}, "the model has no input 'z'"),
        ({"x": np.zeros((2, 3, 8, 8))}, "'x' is 2x3x8x8, which is no number of samples of 1x3x16x16"),
        ({"x": np.zeros((2, 3, 16, 16), np.uint8)}, r"'x' is of uint8, and the model takes float32"),
        ({"x": np.full((2, 3, 16, 16), np.nan)}, "'x' holds NaN or infinity"),
        ({"x": np.zeros((0, 3, 16, 16))}, "there are no samples in it"),
        ({"x": np.full((2, 3, 16, 16), 1e300)}, "numbers that float32 has no place for"),
    ],
)
def test_samples_that_are_none_of_the_model_are_refused_in_a_line(
    made: Convert, tmp_path: Path, arrays: dict[str, np.ndarray], why: str
) -> None:
    net, data = float_network(tmp_path / "net.onnx"), tmp_path / "data.npz"
    np.savez(data, **arrays)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=why) as caught:
        made(net, calibration=data)
    assert "\n" not in str(caught.value)
    assert left() == []


def test_samples_may_lie_in_a_folder(made: Convert, tmp_path: Path) -> None:
    net, folder = float_network(tmp_path / "net.onnx"), tmp_path / "data"
    folder.mkdir()
    with pytest.raises(UsageError, match=r"there is no .npz or .npy file in this folder"):
        made(net, calibration=folder)
    draw = np.random.default_rng(1).standard_normal
    np.save(folder / "one.npy", draw((3, 16, 16))[None])
    np.save(folder / "more.npy", draw((3, 1, 3, 16, 16)).astype(np.float32))
    np.savez(folder / "others.npz", x=draw((2, 3, 16, 16)))
    assert made(net, calibration=folder, max_error=0.1).found.calibrated == 6
    (folder / "more.npy").write_text("nothing")
    with pytest.raises(UsageError, match=r"more.npy: numpy can't read it"):
        made(net, calibration=folder)


def test_what_cannot_be_converted_is_refused_in_a_line(made: Convert, tmp_path: Path) -> None:
    net, data = float_network(tmp_path / "net.onnx"), samples(tmp_path / "data.npz")
    quantized = made(net, calibration=data, max_error=0.1).path
    halves = made(net, "fp16").path
    (tmp_path / "notes.txt").write_text("nothing")
    refusals: list[tuple[Callable[[], Precise], str]] = [
        (partial(made, net), r"add --calibration data.npz: its inputs are 'x' 1x3x16x16 float32"),
        (partial(made, net, calibration=tmp_path / "gone.npz"), r"gone.npz: there is no such file or folder"),
        (partial(made, net, calibration=tmp_path / "notes.txt"), r"not a .npz or .npy file of numpy"),
        (partial(made, quantized, calibration=data), r"is quantized already: it holds \w+Linear"),
        (partial(made, halves, calibration=data), r"is of float16 already"),
    ]
    for refused, why in refusals:
        with pytest.raises(UsageError, match=why):
            refused()
    for model, why in ((quantized, "it is quantized already"), (halves, "it is of float16 already")):
        for calibration in (data, None):
            auto = made(model, "auto", calibration=calibration)
            assert (auto.path, auto.found.precision) == (model, Precision.FLOAT32)
            assert auto.found.reason.startswith(why)
    lone = float_network(tmp_path / "open.onnx")
    model = onnx.load(lone)
    del model.graph.node[:]
    model.graph.node.append(onnx.helper.make_node("Sigmoid", ["x"], ["y"]))
    del model.graph.initializer[:]
    model.graph.output[0].CopyFrom(model.graph.input[0])
    model.graph.output[0].name = "y"
    onnx.save(model, lone)
    with pytest.raises(ModelError, match="nothing in it is faster with int8"):
        made(lone, calibration=data)
    assert made(lone, "auto", calibration=data).found.precision is Precision.FLOAT32
    with pytest.raises(UsageError, match=r"--metric top1 counts .*: 'y' 1x3x16x16; take --metric max"):
        made(lone, "fp16", metric=Metric.TOP1)


def test_convolutions_of_signals_are_not_quantized(made: Convert, tmp_path: Path) -> None:
    path = float_network(tmp_path / "net.onnx")
    data = samples(tmp_path / "data.npz", x=np.zeros((2, 1, 4, 8)))
    model = onnx.load(path)
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.append(onnx.helper.make_node("Conv", ["x", "w"], ["y"]))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((2, 4, 3), np.float32), "w"))
    for value, shape in ((model.graph.input[0], (1, 4, 8)), (model.graph.output[0], (1, 2, 6))):
        value.type.CopyFrom(onnx.helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, shape))
    onnx.save(model, path)
    with pytest.raises(ModelError, match="nothing in it is faster with int8: it holds no convolution of"):
        made(path, calibration=data)
    assert made(path, "auto", calibration=data).found.precision is Precision.FLOAT32


def test_an_output_whose_size_depends_on_values_is_named(made: Convert, tmp_path: Path) -> None:
    path, data = float_network(tmp_path / "net.onnx"), samples(tmp_path / "data.npz")
    model = onnx.load(path)
    model.graph.node.append(onnx.helper.make_node("NonZero", ["b"], ["chosen"]))
    model.graph.output.append(onnx.helper.make_tensor_value_info("chosen", onnx.TensorProto.INT64, None))
    onnx.save(model, path)
    with pytest.raises(ModelError, match=r"output 'chosen' is 4x\d+ in float32 and 4x\d+ in int8: its size"):
        made(path, calibration=data)
    auto = made(path, "auto", calibration=data)
    assert (auto.found.precision, auto.found.reason[:15]) == (Precision.FLOAT32, "output 'chosen'")


def test_sizes_that_are_open_are_asked_for(made: Convert, tmp_path: Path) -> None:
    path, data = float_network(tmp_path / "net.onnx"), samples(tmp_path / "data.npz")
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    onnx.save(model, path)
    with pytest.raises(ModelError, match=r"leaves sizes open.*--input-shape 'x:1,3,224,16'"):
        made(path, calibration=data)
