"""Large tensors stay where they are: mapped, not read, and what comes out is what onnxslim alone makes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxslim
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import convert_model_to_external_data

from tests.kit.model_builders import Save, constant, model_of, tensor, weight
from workers.errors import ModelError
from workers.messages import PreparedModel
from workers.models import _mapped, _settle, prepare
from workers.models._slim import slim
from workers.models._wire import HERE, without_large_tensors

# 64 x 128 floats are 32 KiB, twice what is large.
WIDE = (64, 128)


def two_layers() -> onnx.ModelProto:
    """x @ w + b, then times the transposed v: one weight is merged, one is folded."""
    return model_of(
        [
            helper.make_node("MatMul", ["x", "w"], ["a"], name="first"),
            helper.make_node("Add", ["a", "b"], ["c"], name="bias"),
            helper.make_node("Transpose", ["v"], ["vt"], name="turn", perm=[1, 0]),
            helper.make_node("MatMul", ["c", "vt"], ["y"], name="second"),
        ],
        [tensor("x", [1, 4, 64])],
        [tensor("y", [1, 4, 96])],
        [weight("w", *WIDE), weight("b", 128), weight("v", 96, 128)],
    )


def positions() -> onnx.ModelProto:
    """A table of positions, cut to a length that is the shape of another value."""
    return model_of(
        [
            helper.make_node("Shape", ["x"], ["shape"], name="shape"),
            helper.make_node("Gather", ["shape", "one"], ["length"], name="length"),
            helper.make_node("Slice", ["table", "zero", "length", "one"], ["rows"], name="rows"),
            helper.make_node("Add", ["x", "rows"], ["sum"], name="sum"),
            helper.make_node("MatMul", ["sum", "w"], ["y"], name="product"),
        ],
        [tensor("x", [1, 6, 64])],
        [tensor("y", [1, 6, 128])],
        [weight("table", 1, 512, 64), weight("w", *WIDE), constant("one", 1), constant("zero", 0)],
    )


def tied() -> onnx.ModelProto:
    """A table that is looked up and, transposed, multiplied with."""
    return model_of(
        [
            helper.make_node("Gather", ["table", "ids"], ["rows"], name="look up"),
            helper.make_node("Transpose", ["table"], ["turned"], name="turn", perm=[1, 0]),
            helper.make_node("MatMul", ["rows", "turned"], ["y"], name="product"),
        ],
        [tensor("ids", [5], TensorProto.INT64)],
        [tensor("y", [5, 256])],
        [weight("table", 256, 64)],
    )


def normalized() -> onnx.ModelProto:
    """A convolution whose weights take in the normalization behind it."""
    return model_of(
        [
            helper.make_node("Conv", ["x", "w"], ["c"], name="convolution"),
            helper.make_node("BatchNormalization", ["c", "s", "b", "m", "v"], ["y"], name="norm"),
        ],
        [tensor("x", [1, 64, 8, 8])],
        [tensor("y", [1, 128, 8, 8])],
        [
            weight("w", 128, 64, 1, 1),
            *(weight(name, 128) for name in "sbm"),
            numpy_helper.from_array(np.full(128, 1.5, np.float32), "v"),
        ],
    )


def in_a_node() -> onnx.ModelProto:
    """A weight that a Constant holds, and one that is added to a weight."""
    return model_of(
        [
            helper.make_node("Constant", [], ["w"], name="holder", value=weight("", *WIDE)),
            helper.make_node("Add", ["w", "more"], ["sum"], name="sum"),
            helper.make_node("MatMul", ["x", "sum"], ["y"], name="product"),
        ],
        [tensor("x", [4, 64])],
        [tensor("y", [4, 128])],
        [weight("more", *WIDE)],
    )


def quantized() -> onnx.ModelProto:
    """A weight of bytes, which is to stay one."""
    return model_of(
        [
            helper.make_node("DequantizeLinear", ["w", "scale", "zero"], ["wide"], name="scaled"),
            helper.make_node("MatMul", ["x", "wide"], ["y"], name="product"),
        ],
        [tensor("x", [4, 128])],
        [tensor("y", [4, 256])],
        [
            numpy_helper.from_array(
                np.random.default_rng(0).integers(-99, 99, (128, 256)).astype(np.int8), "w"
            ),
            numpy_helper.from_array(np.float32(0.01), "scale"),
            numpy_helper.from_array(np.int8(3), "zero"),
        ],
    )


MODELS = [two_layers, positions, tied, normalized, in_a_node, quantized]


def read(path: Path) -> onnx.ModelProto:
    from workers.models._files import read_model

    return read_model(path)[0]


def values_of(model: onnx.ModelProto) -> dict[str, bytes]:
    return {one.name: _mapped.array(one).tobytes() for one in model.graph.initializer}


@pytest.mark.parametrize("made", MODELS)
def test_what_is_slimmed_outside_is_what_onnxslim_slims(
    save: Save, tmp_path: Path, made: Callable[[], onnx.ModelProto]
) -> None:
    model = read(save(made()))
    assert list(_mapped.outside(model)), "nothing in it is large"
    with _mapped.Store(tmp_path) as store:
        ours = slim(model, store)
        whole = onnxslim.slim(made())
        assert list(ours.graph.node) == list(whole.graph.node)
        assert values_of(ours) == values_of(whole)
        large = [one for one in ours.graph.initializer if _mapped.is_large(one.data_type, one.dims)]
        assert large
        assert all(_mapped.place_of(one) for one in large)


@pytest.mark.parametrize("made", MODELS)
def test_weights_in_a_file_are_those_that_were_inside(
    save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Callable[[], onnx.ModelProto]
) -> None:
    path = save(made())
    inside = prepare(path)
    monkeypatch.setattr(_settle, "_INSIDE_BYTES", 0)
    beside = prepare(path, {}, tmp_path)
    assert Path(beside.weights).parent == tmp_path
    assert len(beside.onnx) < len(inside.onnx)
    model = onnx.load_from_string(beside.onnx)
    _mapped.fill(model.graph.initializer)
    assert model == onnx.load_from_string(inside.onnx)
    # What it was made with is gone.
    assert [entry.name for entry in tmp_path.iterdir() if entry.is_dir()] == []


def test_a_large_tensor_names_its_place_in_the_file_of_its_model(save: Save) -> None:
    data = save(two_layers()).read_bytes()
    left = without_large_tensors(memoryview(data))
    assert len(left) < len(data) / 10
    model = onnx.load_from_string(left)
    places = {one.name: _mapped.place_of(one) for one in model.graph.initializer}
    assert places["b"] is None
    file, start, length = places["w"] or ("", 0, 0)
    assert file == HERE
    assert data[start : start + length] == weight("w", *WIDE).raw_data


def test_a_tensor_of_another_length_than_its_shape_is_left_to_onnxruntime(save: Save) -> None:
    model = two_layers()
    model.graph.initializer[0].raw_data += b"\0" * 4
    assert not list(_mapped.outside(read(save(model))))[1:]
    with pytest.raises(ModelError):
        prepare(save(model))


def test_a_message_that_is_cut_anywhere_is_refused_by_name(save: Save) -> None:
    path = save(two_layers())
    data = path.read_bytes()
    for length in range(1, len(data), len(data) // 40):
        path.write_bytes(data[:length])
        with pytest.raises(ModelError, match=r"damaged or cut off|no operators|not a valid|not an ONNX"):
            prepare(path)


def shared_shard(folder: Path, gib: int) -> tuple[Path, Path]:
    """Write a model of 4 KB whose weights lie at the end of a file of holes."""
    model = model_of(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [tensor("x", [2, 32])],
        [tensor("y", [2, 32])],
        [weight("w", 32, 32)],
    )
    data = model.graph.initializer[0].raw_data
    convert_model_to_external_data(model, location="shard.bin", size_threshold=0)
    path, shard = folder / "model.onnx", folder / "shard.bin"
    start = gib * 2**30 - len(data)
    with shard.open("wb") as file:
        file.seek(start)
        file.write(data)
    (stored,) = model.graph.initializer
    stored.ClearField("raw_data")
    stored.external_data.add(key="offset", value=str(start))
    stored.external_data.add(key="length", value=str(len(data)))
    path.write_bytes(model.SerializeToString())
    return path, shard


def bytes_read() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["rchar"])


def test_of_a_shard_only_the_tensor_is_read(tmp_path: Path) -> None:
    path, _ = shared_shard(tmp_path, 3)
    before = bytes_read()
    prepared = prepare(path)
    assert bytes_read() - before < 2**20
    (stored,) = onnx.load_from_string(prepared.onnx).graph.initializer
    assert stored.raw_data == weight("w", 32, 32).raw_data


def test_a_shard_counts_with_the_part_that_the_model_has(tmp_path: Path) -> None:
    path, shard = shared_shard(tmp_path, 1)
    first = prepare(path).sha256
    with shard.open("r+b") as file:
        file.write(b"another model's")
    assert prepare(path).sha256 == first
    with shard.open("r+b") as file:
        file.seek(-4, 2)
        file.write(np.float32(7.0).tobytes())
    assert prepare(path).sha256 != first


def layers_of_holes(folder: Path, count: int, size: int) -> Path:
    """Write a model of square layers whose weights are all holes but for a diagonal block."""
    nodes: list[Any] = []
    stored = []
    value = "x"
    with (folder / "weights.bin").open("wb") as file:
        for number in range(count):
            start = number * size * size * 4
            for row in range(64):
                file.seek(start + row * size * 4)
                file.write(np.eye(1, 64, row, dtype=np.float32).tobytes())
            one = TensorProto(name=f"w{number}", data_type=TensorProto.FLOAT, dims=[size, size])
            one.data_location = TensorProto.EXTERNAL
            for key, entry in (
                ("location", "weights.bin"),
                ("offset", start),
                ("length", size * size * 4),
            ):
                one.external_data.add(key=key, value=str(entry))
            stored.append(one)
            nodes.append(helper.make_node("MatMul", [value, one.name], [f"v{number}"]))
            value = f"v{number}"
        file.truncate(count * size * size * 4)
    model = model_of(nodes, [tensor("x", [1, size])], [tensor(value, [1, size])], stored)
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.slow
def test_a_model_beyond_2_gib_is_prepared_where_there_is_a_folder(tmp_path: Path) -> None:
    path = layers_of_holes(tmp_path, 9, 8192)
    prepared: PreparedModel = prepare(path, {}, tmp_path)
    assert Path(prepared.weights).stat().st_size == 9 * 8192 * 8192 * 4
    assert len(prepared.onnx) < 2**16
    with pytest.raises(ModelError, match=r"holds 2\.\d GiB of weights: above 2 GiB a folder is needed"):
        prepare(path)
