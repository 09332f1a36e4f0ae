"""Classical models are tensor programs, and compute what onnxruntime does, to the last habit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.kit.classical_models import (
    CLASSICAL,
    FLOAT,
    INT64,
    STRING,
    Classical,
    classifier,
    linear,
    machine,
    ml,
    model_of,
    regressor,
    rows,
)
from tests.kit.compiled_models import unhurried
from workers.clients import EngineClient
from workers.messages import DeviceInfo, RecordChoice
from workers.models import compare, prepare, run_reference
from workers.models.rewrites.classical import apply, write_out_classical

Save = Callable[[onnx.ModelProto], Path]


def outputs(model: onnx.ModelProto, inputs: Mapping[str, Any]) -> list[Any]:
    return run_reference(model.SerializeToString(), inputs, 1, optimize=False)


def assert_same(got: list[Any], want: list[Any]) -> None:
    for one, other in zip(got, want, strict=True):
        if other.dtype.kind in "OU":
            assert one.tolist() == other.tolist()
        else:
            found = compare([one], [other])
            assert found.ok, found.reason


def classical_operators(model: onnx.ModelProto) -> set[str]:
    return {node.op_type for node in model.graph.node if node.domain == "ai.onnx.ml"}


@pytest.mark.parametrize("name", CLASSICAL)
def test_a_classical_model_is_written_as_a_tensor_program(name: str) -> None:
    classical = CLASSICAL[name]()
    before = classical.model.SerializeToString()
    written, changes = write_out_classical(classical.model)
    assert classical.model.SerializeToString() == before
    assert classical_operators(written) == set(classical.left)
    assert any("tensor programs" in change for change in changes)
    domains = {one.domain for one in written.opset_import}
    assert ("ai.onnx.ml" in domains) == bool(classical.left)
    assert_same(outputs(written, classical.inputs), outputs(classical.model, classical.inputs))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("depth", [2, 5, 9])
def test_every_leaf_of_random_trees_says_what_it_said(seed: int, depth: int) -> None:
    modes = ("BRANCH_LEQ", "BRANCH_GT", "BRANCH_EQ", "BRANCH_LT", "BRANCH_NEQ", "BRANCH_GTE")
    classical = regressor(4, depth, modes=modes, missing=True, seed=seed)
    inputs = {"x": rows(4, count=2000, nan=True, seed=seed)}
    inputs["x"][0] = np.inf
    inputs["x"][1] = -np.inf
    written, _ = write_out_classical(classical.model)
    got, want = outputs(written, inputs)[0], outputs(classical.model, inputs)[0]
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)


@pytest.mark.parametrize("infinite", [np.inf, -np.inf, float(np.finfo(np.float32).max)])
@pytest.mark.parametrize("mode", ["BRANCH_LEQ", "BRANCH_GT"])
def test_a_split_between_missing_and_all_others_is_kept(infinite: float, mode: str) -> None:
    node = ml(
        "TreeEnsembleRegressor",
        ["y"],
        nodes_treeids=[0, 0, 0],
        nodes_nodeids=[0, 1, 2],
        nodes_featureids=[1, 0, 0],
        nodes_modes=[mode, "LEAF", "LEAF"],
        nodes_values=[infinite, 0.0, 0.0],
        nodes_truenodeids=[1, 0, 0],
        nodes_falsenodeids=[2, 0, 0],
        target_treeids=[0, 0],
        target_nodeids=[1, 2],
        target_ids=[0, 0],
        target_weights=[1.0, 2.0],
        n_targets=1,
    )
    model = model_of([node], [("y", FLOAT)])
    x = np.zeros((6, 4), np.float32)
    x[:, 1] = [np.nan, 0, np.inf, -np.inf, 3e38, -3e38]
    written, _ = write_out_classical(model)
    assert outputs(written, {"x": x})[0].tolist() == outputs(model, {"x": x})[0].tolist()


def test_categories_written_as_a_chain_of_equalities_are_one_question() -> None:
    """So LightGBM's exporter writes them, with one branch for all."""
    node = ml(
        "TreeEnsembleRegressor",
        ["y"],
        nodes_treeids=[0] * 5,
        nodes_nodeids=[0, 1, 2, 3, 4],
        nodes_featureids=[2, 2, 2, 0, 0],
        nodes_modes=["BRANCH_EQ"] * 3 + ["LEAF", "LEAF"],
        nodes_values=[1.0, 4.0, 7.0, 0.0, 0.0],
        nodes_truenodeids=[3, 3, 3, 0, 0],
        nodes_falsenodeids=[1, 2, 4, 0, 0],
        target_treeids=[0, 0],
        target_nodeids=[3, 4],
        target_ids=[0, 0],
        target_weights=[1.0, 2.0],
        n_targets=1,
    )
    model = model_of([node], [("y", FLOAT)])
    x = np.zeros((5, 4), np.float32)
    x[:, 2] = [1, 4, 7, 2, np.nan]
    written, _ = write_out_classical(model)
    assert outputs(written, {"x": x})[0].ravel().tolist() == [1, 1, 1, 2, 2]
    assert outputs(model, {"x": x})[0].ravel().tolist() == [1, 1, 1, 2, 2]
    assert sum(one.op_type == "GatherElements" for one in written.graph.node) == 0


def test_a_tie_goes_to_the_first_class_however_trees_are_added() -> None:
    classical = classifier(30, 3, equal=True, positive=True, classes=3)
    x = rows(4, count=3000)
    written, _ = write_out_classical(classical.model)
    assert_same(outputs(written, {"x": x}), outputs(classical.model, {"x": x}))


def test_what_of_a_model_names_no_opset_is_written_in_one(save: Save) -> None:
    """XGBoost's exporter names none where all is of ai.onnx.ml."""
    classical = regressor(3, 5)
    del classical.model.opset_import[0]
    written, changes = write_out_classical(classical.model)
    assert any("opset" in change for change in changes)
    assert_same(outputs(written, classical.inputs), outputs(classical.model, classical.inputs))


def test_the_probabilities_of_more_than_two_classes_are_left_without_the_vectors() -> None:
    classical = machine((30, 40, 20), probabilities=True)
    written, _ = write_out_classical(classical.model)
    (left,) = (node for node in written.graph.node if node.domain == "ai.onnx.ml")
    sizes = {one.name: len(one.floats) for one in left.attribute}
    assert sizes["support_vectors"] == 3 * 3
    assert_same(outputs(written, classical.inputs), outputs(classical.model, classical.inputs))


@pytest.mark.parametrize("make", [linear, classifier], ids=["line", "trees"])
def test_what_onnxruntime_leaves_undefined_stays_and_says_so(make: Callable[..., Classical]) -> None:
    if make is linear:
        classical = linear(2, 1, transform="PROBIT")
    else:
        classical = classifier(classes=2, transform="PROBIT", which=lambda tree, leaf: [0])
    written, changes = write_out_classical(classical.model)
    assert written is classical.model
    assert any("undefined" in change for change in changes)


def test_text_stays_behind_the_arithmetic(save: Save) -> None:
    """A model whose labels are words is cut before the words alone."""
    classical = classifier(words=True)
    zipped = helper.make_node(
        "ZipMap",
        ["scores"],
        ["maps"],
        domain="ai.onnx.ml",
        classlabels_strings=["class 0", "class 1", "class 2"],
    )
    model = classical.model
    model.graph.node.append(zipped)
    maps = helper.make_value_info(
        "maps",
        helper.make_sequence_type_proto(
            helper.make_map_type_proto(STRING, helper.make_tensor_type_proto(FLOAT, []))
        ),
    )
    del model.graph.output[:]
    model.graph.output.extend([helper.make_tensor_value_info("label", STRING, ["rows"]), maps])
    prepared = prepare(str(save(model)), {"x": (5, 4)})
    assert prepared.rest is not None
    rest = onnx.load_from_string(prepared.rest.onnx)
    assert {node.op_type for node in rest.graph.node} <= {"Gather", "Identity", "ZipMap"}
    before = onnx.load_from_string(prepared.onnx)
    assert {one.domain for one in before.opset_import} == {""}
    assert {spec.dtype for spec in prepared.outputs} == {"int64", "float32"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "shallow trees",
        "all modes, deep",
        "BRANCH_LEQ to depth 7, missing",
        "BRANCH_LT to depth 3, missing",
        "version 5, sets, missing",
        "doubles, deep",
        "three classes with ties",
        "three classes, softmax, base",
        "two classes, votes for one by the leaf",
        "least of trees",
        "lines between three, probit",
        "machine, probabilities",
        "machine of three",
        "machine, POLY",
        "imputer of NaN",
        "normalizer, L2",
        "codes of NaN",
        "vectorizer",
        "pipeline",
    ],
)
def test_its_library_is_right(name: str, save: Save, engine: EngineClient, device: DeviceInfo) -> None:
    classical = CLASSICAL[name]()
    shapes = {key: value.shape for key, value in classical.inputs.items()}
    prepared = prepare(str(save(classical.model)), shapes)
    target = unhurried(device.target)
    compiled = engine.compile(prepared, target, RecordChoice("untuned", lend=False)).result()
    run = engine.run(compiled, dict(classical.inputs), target)
    assert_same(list(run.outputs), outputs(classical.model, classical.inputs))


def test_labels_of_numbers_stay_in_the_tuned_part(save: Save) -> None:
    classical = classifier(labels=(40, 41, 42))
    prepared = prepare(str(save(classical.model)), {"x": classical.inputs["x"].shape})
    assert prepared.rest is None
    assert [spec.dtype for spec in prepared.outputs] == ["int64", "float32"]
    got = run_reference(prepared.onnx, classical.inputs, 1)
    assert_same(got, outputs(classical.model, classical.inputs))
    assert INT64 in {value.type.tensor_type.elem_type for value in classical.model.graph.output}


def test_a_rule_that_computes_something_else_is_found_and_its_model_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    classical = regressor(5, 3)
    right = apply._RULES["TreeEnsembleRegressor"]

    def wrong(node: Any, edit: Any) -> Any:
        return [edit.emit("Neg", right(node, edit))]

    monkeypatch.setitem(apply._RULES, "TreeEnsembleRegressor", wrong)
    written, changes = write_out_classical(classical.model)
    assert written is classical.model
    assert any("computed something else: output 'y' differs" in change for change in changes)
