"""What kernels begin with that nobody has measured: the starter pack, what it lends, and the rule."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.kit.layout_graphs import Graph
from tests.kit.tiny_models import save
from workers.actors import SearchActor
from workers.clients import EngineClient
from workers.engines.metaschedule.starter.pack import PACK, Entry, read_pack, written
from workers.engines.metaschedule.starter.sketches import Sketch, sketch_of
from workers.messages import (
    Candidate,
    DeviceInfo,
    Extraction,
    PreparedModel,
    Record,
    RecordChoice,
    SearchOptions,
    Workload,
)
from workers.models import compare, prepare, random_inputs, run_reference

SMALL = SearchOptions(settings={"population": 128})
NOTHING = RecordChoice("untuned")


def convolution(extraction: Extraction) -> Workload:
    return next(task.workload for task in extraction.tasks if "conv2d" in task.name)


def proposed(searcher: SearchActor, workload: Workload, device: DeviceInfo, count: int) -> list[Candidate]:
    searcher.open("starter", workload, device.target, SMALL, (), (), 120)
    found = searcher.propose("starter", count, None, 120, ())
    searcher.close("starter")
    return list(found)


# -- the pack


def test_the_pack_that_ships_is_small_and_says_where_each_schedule_was_measured() -> None:
    data = PACK.read_bytes()
    assert len(data) < 300_000
    entries = read_pack(data)
    assert {"conv2d", "depthwise_conv2d", "matmul"} <= {entry.sketch.does for entry in entries}
    for entry in entries:
        assert entry.where
        assert entry.vector_bits in (128, 256, 512)
        assert entry.seconds > 0
        assert all(min(tiles) > 0 for tiles in entry.sketch.tiles)


def test_a_pack_is_read_as_it_was_written_and_the_same_entries_give_the_same_bytes() -> None:
    of = Sketch("conv2d", "tiles 4 2", ((2, 1, 4, 8), (3, 16)), (2,), (-1,))
    entries = (
        Entry(of, 2e6, 1e-4, 256, "here"),
        Entry(dataclasses.replace(of, does="m"), 1.0, 2e-5, 128, "x"),
    )
    data = written(entries, {"version": 1})
    assert set(read_pack(data)) == set(entries)
    assert written(entries[::-1], {"version": 1}) == data


def test_a_trace_is_read_as_decisions_and_the_structure_they_are_made_in(
    searcher: SearchActor, extraction: Extraction, device: DeviceInfo
) -> None:
    workload = convolution(extraction)
    for candidate in proposed(searcher, workload, device, 4):
        sketch = sketch_of(candidate.trace, workload.name)
        sampled = [line for line in json.loads(candidate.trace)[0] if line[0] == "SamplePerfectTile"]
        assert len(sketch.tiles) == len(sampled) > 0
        assert "conv2d" in sketch.does
        assert sketch.structure.startswith("tiles 4")
        # 8 rows of 4 channels, each of 8 pixels, a vector; 3 channels of 3 x 3 pixels are summed.
        assert np.prod(sketch.loops) == 8 * 4 * 27


# -- what a kernel begins with


def test_a_library_without_a_record_is_right_and_says_which_kernels_have_lent_schedules(
    engine: EngineClient, model: PreparedModel, extraction: Extraction, device: DeviceInfo
) -> None:
    compiled = engine.compile(model, device.target, NOTHING).result()
    tasks = {task.workload.hash for task in extraction.tasks}
    assert compiled.tuned == ()
    assert set(compiled.untuned) == tasks
    assert set(compiled.lent) == tasks
    inputs = random_inputs(model.inputs, 1)
    run = engine.run(compiled, inputs, device.target)
    assert compare(run.outputs, run_reference(model.onnx, inputs, 1)).ok


def test_a_record_goes_before_what_is_lent(
    searcher: SearchActor,
    engine: EngineClient,
    model: PreparedModel,
    extraction: Extraction,
    device: DeviceInfo,
) -> None:
    workload = convolution(extraction)
    candidate = proposed(searcher, workload, device, 4)[-1]
    records = {workload.hash: Record(candidate, (1e-3,))}
    compiled = engine.compile(model, device.target, RecordChoice("these", records)).result()
    assert compiled.tuned == (workload.hash,)
    assert workload.hash not in compiled.lent


def test_a_search_begins_with_the_schedule_that_the_library_has_without_it(
    searcher: SearchActor,
    engine: EngineClient,
    model: PreparedModel,
    extraction: Extraction,
    device: DeviceInfo,
) -> None:
    without = engine.compile(model, device.target, NOTHING).result()
    records = {
        task.workload.hash: Record(proposed(searcher, task.workload, device, 1)[0], (1e-3,))
        for task in extraction.tasks
    }
    assert (
        engine.compile(model, device.target, RecordChoice("these", records)).result().library
        == without.library
    )


@pytest.mark.parametrize("channels", [4, 24, 40])
def test_what_fits_another_size_is_among_the_first_with_its_tiles(
    searcher: SearchActor, engine: EngineClient, device: DeviceInfo, tmp_path: Path, channels: int
) -> None:
    path = save(tmp_path / "model.onnx", channels=channels)
    workload = convolution(engine.extract(prepare(str(path), {}), device.target))
    candidates = proposed(searcher, workload, device, 5)
    alike = [
        (sketch, entry.sketch)
        for sketch in (sketch_of(candidate.trace, workload.name) for candidate in candidates)
        for entry in read_pack(PACK.read_bytes())
        if (entry.sketch.does, entry.sketch.structure) == (sketch.does, sketch.structure)
    ]
    # Of the nearest, each inner tile is kept or the next smaller that divides the loop.
    assert any(
        all(
            new == old or (new < old and extent % old)
            for extent, fitted, tiles in zip(sketch.loops, sketch.tiles, known.tiles, strict=True)
            for new, old in [(fitted[-1], tiles[-1])]
        )
        for sketch, known in alike
    )


def test_a_constant_that_is_read_in_several_places_keeps_all_of_its_elements(
    engine: EngineClient, device: DeviceInfo, tmp_path: Path
) -> None:
    # Each element is found by two numbers of a constant. TVM's rewriting of layouts knew the place of one.
    rng = np.random.default_rng(0)
    places = np.stack([np.zeros(24, "int64"), rng.permutation(24)], axis=1).reshape(1, 1, 1, 24, 2)
    graph = helper.make_graph(
        [helper.make_node("GatherND", ["x", "places"], ["y"])],
        "gathered",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 24])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 1, 24])],
        [numpy_helper.from_array(places, "places")],
    )
    path = tmp_path / "gathered.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    model = prepare(str(path), {})
    compiled = engine.compile(model, device.target, NOTHING).result()
    inputs = random_inputs(model.inputs, 1)
    run = engine.run(compiled, inputs, device.target)
    assert compare(run.outputs, run_reference(model.onnx, inputs, 1)).ok


def test_what_a_convolution_gives_is_padded_in_whole(
    searcher: SearchActor, engine: EngineClient, device: DeviceInfo, tmp_path: Path
) -> None:
    # The padding is joined to the convolution: TVM would write as much of it as there are tiles.
    rng = np.random.default_rng(0)
    weights = {
        "w": rng.standard_normal((24, 16, 1, 1)).astype("float32") / 4,
        "d": rng.standard_normal((24, 1, 3, 3)).astype("float32") / 4,
    }
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["wide"]),
        helper.make_node("Relu", ["wide"], ["positive"]),
        helper.make_node("Pad", ["positive", "pads"], ["padded"]),
        helper.make_node("Conv", ["padded", "d"], ["y"], group=24, strides=[2, 2]),
    ]
    pads = np.array([0, 0, 0, 0, 0, 0, 1, 1], "int64")
    graph = helper.make_graph(
        nodes,
        "padded",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 16, 16, 16])],
        # Given out as well, or else it would become part of the convolution that reads it.
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 24, 8, 8]),
            helper.make_tensor_value_info("padded", TensorProto.FLOAT, [1, 24, 17, 17]),
        ],
        [numpy_helper.from_array(array, name) for name, array in {**weights, "pads": pads}.items()],
    )
    path = tmp_path / "padded.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    model = prepare(str(path), {})
    tasks = engine.extract(model, device.target).tasks
    (padding,) = [task.workload for task in tasks if "pad" in task.name]
    candidates = proposed(searcher, padding, device, 4)
    assert candidates
    inputs = random_inputs(model.inputs, 1)
    expected = run_reference(model.onnx, inputs, 1)
    for candidate in candidates:
        records = {padding.hash: Record(candidate, (1e-3,))}
        compiled = engine.compile(model, device.target, RecordChoice("these", records)).result()
        assert padding.hash in compiled.tuned
        assert compare(engine.run(compiled, inputs, device.target).outputs, expected).ok


def test_what_is_lent_to_a_softmax_sums_nothing_up_again_for_each_number(
    engine: EngineClient, device: DeviceInfo, tmp_path: Path
) -> None:
    scores = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 6, 197, 197])
    graph = helper.make_graph(
        [helper.make_node("Softmax", ["x"], ["y"], axis=-1)],
        "attention",
        [scores],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 6, 197, 197])],
    )
    path = tmp_path / "softmax.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    model = prepare(str(path), {})
    inputs = random_inputs(model.inputs, 3)
    lent, plain = (
        engine.compile(model, device.target, RecordChoice("untuned", lend=lend)).result()
        for lend in (True, False)
    )
    assert lent.lent
    # It took over ten times as long where each of 197 numbers summed all of them up again.
    seconds = [min(engine.run(made, inputs, device.target, repeats=5).times) for made in (lent, plain)]
    assert seconds[0] < 2 * seconds[1]


def test_a_kernel_that_no_postprocessor_takes_has_no_schedule_and_its_model_a_library(
    engine: EngineClient, device: DeviceInfo, tmp_path: Path
) -> None:
    """A scatter whose constant indices are turned in the same kernel, as a Longformer has it."""
    graph = Graph((4, 6, 4, 9))
    # The first of the second axis, and five columns.
    where = np.stack(np.broadcast_arrays(*np.ogrid[:4, :1, :4, :5]), axis=-1)
    graph.node("ScatterND", "x", graph.constant(where, "int64"), graph.weight(4, 1, 4, 5))
    model = graph.save(tmp_path / "scatter.onnx")
    compiled = engine.compile(model, device.target, NOTHING).result()
    inputs = random_inputs(model.inputs, 1)
    found = compare(
        engine.run(compiled, inputs, device.target).outputs, run_reference(model.onnx, inputs, threads=1)
    )
    assert found.ok, found.reason
    assert not compiled.lent
