"""A float32 model whose layers multiply bfloat16, within its error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from orchestrator.conversion import Precise
from orchestrator.errors import DisagreementError, ModelError
from orchestrator.toolbox import Toolbox
from tests.kit.float_networks import WIDE, float_network, samples
from workers.messages import Metric, Precision
from workers.models import random_inputs, run_reference

Convert = Callable[..., Precise]


def read_by(model: onnx.ModelProto, name: str) -> list[onnx.NodeProto]:
    return [node for node in model.graph.node if name in node.output]


def rounded(model: onnx.ModelProto, layer: onnx.NodeProto) -> bool:
    """Say whether a layer reads what a pair of Casts rounded, and weights that are bfloat16."""
    (weights,) = (tensor for tensor in model.graph.initializer if tensor.name == layer.input[1])
    values = numpy_helper.to_array(weights)
    of_bfloats = np.array_equal(values, values.astype(ml_dtypes.bfloat16).astype(np.float32))
    back = read_by(model, layer.input[0])
    there = read_by(model, back[0].input[0]) if back else []
    kinds = [node.attribute[0].i for node in (*there, *back) if node.op_type == "Cast"]
    return of_bfloats and kinds == [TensorProto.BFLOAT16, TensorProto.FLOAT]


def layers_in_bfloats(path: Path) -> set[str]:
    model = onnx.load(path)
    onnx.checker.check_model(model)
    layers = [node for node in model.graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    return {layer.name for layer in layers if rounded(model, layer)}


def test_layers_read_rounded_numbers_and_the_model_says_so(
    made: Convert, tools: Toolbox, tmp_path: Path
) -> None:
    net = float_network(tmp_path / "net.onnx")
    done = made(net, "bf16")
    found = done.found
    assert (found.precision, found.layers, found.kept, found.share) == (Precision.BF16, 3, (), 1.0)
    assert (found.calibrated, found.compared) == (0, 2)
    assert len(layers_in_bfloats(done.path)) == 3
    prepared = tools.prepare(str(done.path), {})
    assert prepared.origin == found.origin
    assert found.origin is not None
    assert found.origin.exporter.startswith("bf16 by Casts around its layers, off by ")
    # What was told of it is what onnxruntime computes.
    inputs = random_inputs(prepared.inputs, 0)
    got, want = (run_reference(path.read_bytes(), inputs, 1) for path in (done.path, net))
    off = float(np.max(np.abs(got[0] - want[0])) / np.max(np.abs(want[0])))
    assert found.error is not None
    # Of two samples, the difference is of the larger output.
    assert 1e-5 < off < 2 * found.error < 0.02
    assert made(net, "bf16").remembered


def test_the_layer_that_costs_the_accuracy_stays_in_float32(made: Convert, tmp_path: Path) -> None:
    net = float_network(tmp_path / "net.onnx")
    whole = made(net, "bf16").found.error
    assert whole is not None
    done = made(net, "bf16", max_error=0.9 * whole)
    assert done.found.kept
    assert done.found.error is not None
    assert done.found.error <= 0.9 * whole
    assert layers_in_bfloats(done.path).isdisjoint(done.found.kept)
    assert len(layers_in_bfloats(done.path)) == 3 - len(done.found.kept)
    with pytest.raises(DisagreementError, match=r"in bf16 it is off by .*% .* and --max-error is 1e-07%"):
        made(net, "bf16", max_error=1e-9)


def test_numbers_of_any_size_keep_their_accuracy(made: Convert, tmp_path: Path) -> None:
    """Unlike with integers, for which one layer of this network is too wide."""
    net = float_network(tmp_path / "net.onnx", wide=True)
    data = samples(tmp_path / "data.npz")
    assert made(net, "int8", calibration=data, max_error=0.04).found.kept == (WIDE,)
    done = made(net, "bf16", calibration=data, metric=Metric.COSINE, max_error=0.001)
    assert (done.found.kept, done.found.compared) == ((), 16)


def test_auto_is_the_first_that_the_devices_have_and_the_error_allows(made: Convert, tmp_path: Path) -> None:
    net, data = float_network(tmp_path / "net.onnx", wide=True), samples(tmp_path / "data.npz")
    both = (Precision.INT8, Precision.BF16)
    # Of integers too few would be left, and without samples there are none.
    for calibration in (data, None):
        auto = made(net, "auto", among=both, calibration=calibration, max_error=0.04)
        assert auto.found.precision is Precision.BF16
        assert auto.path.name == "net.bf16.onnx"
    plain = float_network(tmp_path / "plain.onnx")
    assert made(plain, "auto", among=both, calibration=data, max_error=0.05).found.precision is Precision.INT8
    stays = made(net, "auto", among=both, calibration=data, max_error=1e-9)
    assert (stays.found.precision, stays.path) == (Precision.FLOAT32, net)
    assert "in int8 it is off by " in stays.found.reason
    assert "in bf16 it is off by " in stays.found.reason


def test_what_is_of_bfloat16_already_is_refused_and_grouped_convolutions_stay(
    made: Convert, tmp_path: Path
) -> None:
    net = float_network(tmp_path / "net.onnx")
    with pytest.raises(ModelError, match="is of bfloat16 already"):
        made(made(net, "bf16").path, "bf16")
    model = onnx.load(net)
    second = next(node for node in model.graph.node if node.name == WIDE)
    second.attribute.append(onnx.helper.make_attribute("group", 8))
    kernel = next(tensor for tensor in model.graph.initializer if tensor.name == second.input[1])
    kernel.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(kernel)[:, :1].copy(), kernel.name))
    onnx.save(model, net)
    done = made(net, "bf16")
    assert done.found.layers == 2
    assert len(layers_in_bfloats(done.path)) == 2
