"""PyTorch itself: each kind of source to ONNX, compared, and refused where there is none."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import onnx
import pytest

from orchestrator.conversion import ConversionSettings, convert, find_source
from orchestrator.conversion.convert import Conversion
from orchestrator.errors import DisagreementError, ModelError
from orchestrator.toolbox import Toolbox

SOURCES = Path(__file__).parents[3] / "kit" / "torch_sources"
IMAGE = {"image": (1, 3, 16, 16)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, converter_python: Callable[[str], str]) -> Path:
    """Files of each kind, and the code that wrote them."""
    found = tmp_path_factory.mktemp("torch") / "sources"
    python = converter_python("torch")
    shutil.copytree(SOURCES, found)
    done = subprocess.run([python, "write.py"], cwd=found, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return found


@pytest.fixture(scope="module")
def converted(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Conversion]]:
    """Converts a source of that folder."""
    kept = tmp_path_factory.mktemp("kept")
    with pytest.MonkeyPatch.context() as patch, Toolbox("metaschedule") as tools:
        patch.setenv("TUNEFLEET_CONVERTED", str(kept))
        patch.chdir(folder)

        def run(named: str, **settings: object) -> Conversion:
            source = find_source(named)
            assert source is not None
            return convert(tools, source, ConversionSettings(**{"trust": True, **settings}))  # type: ignore[arg-type]

        yield run


def sizes(path: Path) -> dict[str, list[str | int]]:
    graph = onnx.load(path).graph
    return {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }


def test_a_program_of_torch_export_keeps_names_and_open_sizes(converted: Callable[..., Conversion]) -> None:
    found = converted("open.pt2")
    assert found.kept.origin.source == "open.pt2"
    assert found.kept.origin.framework.startswith("PyTorch 2.")
    assert [one.exporter.partition(",")[0] for one in found.judged] == [
        "torch.onnx.export(dynamo=True)",
        "torch.onnx.export(dynamo=False)",
    ]
    assert not any(one.wrong or one.refusal for one in found.judged)
    known = sizes(found.path)
    assert list(known) == ["image", "logits", "features"]
    assert isinstance(known["image"][0], str)
    assert known["image"][1:] == [3, 16, 16]
    assert [one["shape"][0] for one in found.kept.outputs] == [-1, -1]


def test_a_program_of_training_is_said_to_be_one(converted: Callable[..., Conversion]) -> None:
    with pytest.raises(ModelError) as told:
        converted("training.pt2")
    assert "training" in str(told.value)


def test_torchscript_asks_for_shapes_with_a_flag_to_copy(converted: Callable[..., Conversion]) -> None:
    with pytest.raises(
        ModelError, match=r"script\.pt: .*image; name them, as in --input-shape image:1,3,224,224"
    ):
        converted("script.pt")
    found = converted("script.pt", shapes=IMAGE)
    assert sizes(found.path) == {"image": [1, 3, 16, 16], "output": [1, 4]}
    with pytest.raises(ModelError, match="there is no input x; its inputs are image"):
        converted("script.pt", shapes={"x": (1, 3, 16, 16)})


def test_a_function_s_module_is_set_to_eval_mode_and_that_is_said(
    converted: Callable[..., Conversion],
) -> None:
    found = converted("zoo.py:small")
    assert "the module was in training mode, and was converted in eval mode" in found.kept.notes
    assert list(sizes(found.path)) == ["image", "logits", "features"]
    operators = {node.op_type for node in onnx.load(found.path).graph.node}
    assert "Dropout" not in operators
    assert converted("zoo.py:small").remembered


def test_a_module_alone_takes_its_shapes_from_the_flag(converted: Callable[..., Conversion]) -> None:
    with pytest.raises(ModelError, match=r"--input-shape image:1,3,224,224"):
        converted("zoo.py:alone")
    assert sizes(converted("zoo.py:alone", shapes=IMAGE).path)["image"] == [1, 3, 16, 16]


def test_inputs_that_may_be_left_out_are_those_that_have_a_shape(
    converted: Callable[..., Conversion],
) -> None:
    with pytest.raises(ModelError, match=r"it may take ids, vectors; .*--input-shape ids:1,16"):
        converted("zoo.py:optional")
    assert list(sizes(converted("zoo.py:optional", shapes={"vectors": (1, 4)}).path)) == ["vectors", "output"]


def test_sizes_that_a_function_leaves_open_stay_open(converted: Callable[..., Conversion]) -> None:
    assert sizes(converted("zoo.py:dynamic").path)["image"] == ["batch", 3, 16, 16]


def test_inputs_by_name_keep_their_names_and_types(converted: Callable[..., Conversion]) -> None:
    found = converted("zoo.py:tokens")
    assert [(one["name"], one["dtype"]) for one in found.kept.inputs] == [
        ("ids", "int64"),
        ("mask", "float32"),
    ]
    assert list(sizes(found.path)) == ["ids", "mask", "output"]


def test_random_weights_are_the_same_each_time(converted: Callable[..., Conversion]) -> None:
    first = converted("zoo.py:small", exporter="dynamo")
    assert converted("zoo.py:small", exporter="dynamo", anew=True).path == first.path
    assert converted("zoo.py:small", exporter="dynamo", seed=1).path != first.path


def test_a_function_is_run_again_when_a_file_that_it_opened_changed(
    converted: Callable[..., Conversion], folder: Path
) -> None:
    first = converted("zoo.py:loaded", exporter="dynamo")
    assert str(folder / "weights.pth") in first.kept.files
    assert str(folder / "zoo.py") in first.kept.files
    assert not any("site-packages/torch/" in name for name in first.kept.files)
    assert converted("zoo.py:loaded", exporter="dynamo").remembered
    os.utime(folder / "weights.pth")
    assert converted("zoo.py:loaded", exporter="dynamo").remembered
    shutil.copyfile(folder / "old.pth", folder / "weights.pth")
    assert not converted("zoo.py:loaded", exporter="dynamo").remembered


def test_a_pickled_module_is_read_where_its_classes_are(converted: Callable[..., Conversion]) -> None:
    found = converted("module.pth", shapes=IMAGE, exporter="torchscript")
    assert list(sizes(found.path)) == ["image", "logits", "features"]


@pytest.mark.parametrize("name", ["weights.pth", "checkpoint.pth", "old.pth"])
def test_weights_alone_are_refused_without_running_anything(folder: Path, name: str) -> None:
    with pytest.raises(ModelError, match=r"holds weights without a model \(a state_dict\)"):
        find_source(str(folder / name))


@pytest.mark.parametrize(
    ("function", "why"),
    [
        ("eigen", r"no ONNX form of the operator aten\S*eig\S*, called at .*zoo\.py, line 58"),
        ("raises", r"raises\(\) raised ValueError: no such checkpoint, at .*zoo\.py, line \d+"),
        ("raises_inside", r"running the model .* raised ValueError: half a model, at .*zoo\.py, line \d+"),
        ("needs", r"needs takes arguments \(width\), and is called without any"),
        ("weights", r"gives weights without a model \(a state_dict\)"),
        ("text", r"gives a str, no torch\.nn\.Module"),
        ("missing", r"has no missing; it has .*Small"),
    ],
)
def test_a_function_that_gives_no_model_is_refused_with_its_place(
    converted: Callable[..., Conversion], function: str, why: str
) -> None:
    with pytest.raises(ModelError, match=rf"^zoo\.py:{function}: .*{why}"):
        converted(f"zoo.py:{function}")


def test_a_trace_that_took_one_of_two_branches_is_found_out_or_named(
    converted: Callable[..., Conversion],
) -> None:
    with pytest.raises(DisagreementError, match=r"no export of zoo\.py:branches computes what PyTorch"):
        converted("zoo.py:branches")
    # Where no values that are like the example's take the other.
    notes = converted("zoo.py:branches_alike").kept.notes
    assert any(re.search(r"depends on values that it computes.*zoo\.py, line 95", one) for one in notes)


def test_code_that_cannot_be_imported_says_where_else_it_may_run(
    converted: Callable[..., Conversion], folder: Path
) -> None:
    (folder / "other.py").write_text("import torch\nimport a_package_of_the_project\n")
    with pytest.raises(
        ModelError,
        match=r"No module named 'a_package_of_the_project'.* line 2; .*converters use torch --python",
    ):
        converted("other.py:net")
    with pytest.raises(ModelError, match=r"there is no module nowhere, neither here nor for .*python"):
        converted("nowhere.zoo:net")


def test_a_damaged_file_is_named_with_what_reads_it(
    converted: Callable[..., Conversion], folder: Path
) -> None:
    whole = (folder / "open.pt2").read_bytes()
    place = whole.index(b"graph_module")
    (folder / "damaged.pt2").write_bytes(whole[:place] + b"x" * 12 + whole[place + 12 :])
    with pytest.raises(
        ModelError, match=r"damaged\.pt2: PyTorch \S+ can't read it: .*; .*converters use torch"
    ):
        converted("damaged.pt2")
    (folder / "cut.pt2").write_bytes(whole[:-100])
    with pytest.raises(ModelError, match=r"cut\.pt2 is damaged or cut off"):
        find_source("cut.pt2")
