"""What a library computes is held against onnxruntime before it is written, and before a trial is spent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import orchestrator as tf
from orchestrator.builds import agreement
from orchestrator.builds.agreement import agreeing, require_agreement
from orchestrator.errors import DisagreementError
from orchestrator.models.request import ModelRequest
from orchestrator.storage import CampaignState, Storage
from orchestrator.toolbox import Toolbox
from tests.kit.hard_models import Hard
from tests.kit.tiny_models import save
from workers.messages import CompiledModel, RecordChoice


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Storage]:
    with Storage.open(f"sqlite:///{tmp_path / 'records.db'}") as opened:
        yield opened


@pytest.fixture
def wrong(tmp_path: Path) -> ModelRequest:
    """A model that TVM gets wrong: Relu(NaN) is NaN in onnxruntime, and 0 there, behind a product."""
    text = "(float[4,4] x) => (float[4,4] y) { m = MatMul (x, x) r = Sqrt (m) s = Relu (r) y = Neg (s) }"
    path = tmp_path / "wrong.onnx"
    path.write_bytes(Hard(text, opset=15).model().SerializeToString())
    return ModelRequest(path=str(path))


def test_a_library_that_computes_something_else_is_not_written_and_its_node_is_named(
    store: Storage, tools: Toolbox, wrong: ModelRequest, tmp_path: Path
) -> None:
    library = tmp_path / "lib.so"
    with pytest.raises(
        DisagreementError, match=r"output 'y' has NaN .* the first that differs is Relu \(node"
    ):
        tf.build_model(store, tools, wrong, library)
    assert not library.exists()
    assert tf.build_model(store, tools, wrong, library, unchecked=True).library == library


@pytest.mark.slow
def test_a_campaign_of_it_fails_before_its_first_trial(store: Storage, wrong: ModelRequest) -> None:
    campaign = tf.submit(store, tf.CampaignSpec(models=(wrong,), trials=8), hold=True).id
    with pytest.raises(DisagreementError, match="the first that differs is Relu"):
        tf.follow(store, campaign)
    row = store.campaigns.get(campaign)
    assert row.state is CampaignState.FAILED
    assert store.trials.of_campaign(campaign) == []


def test_where_all_nodes_agree_a_record_is_at_fault(tools: Toolbox, tmp_path: Path) -> None:
    device = tools.resolve_target("auto")
    one = tools.prepare(str(save(tmp_path / "one.onnx", seed=1)), {})
    other = tools.prepare(str(save(tmp_path / "other.onnx", seed=2)), {})
    # A library of the same inputs and outputs with other weights.
    compiled = tools.compile(other, device.target, RecordChoice("untuned")).result()
    with pytest.raises(DisagreementError, match="every node agrees, so that a record is at fault"):
        require_agreement(tools, one, device.target, compiled, threads=1)


def test_a_lent_schedule_that_is_wrong_does_not_keep_a_model_from_being_built(
    tools: Toolbox, tmp_path: Path
) -> None:
    device = tools.resolve_target("auto")
    one = tools.prepare(str(save(tmp_path / "one.onnx", seed=1)), {})
    other = tools.prepare(str(save(tmp_path / "other.onnx", seed=2)), {})
    plan, said = RecordChoice("untuned"), list[str]()
    right = tools.compile(one, device.target, plan).result()
    assert right.lent
    assert agreeing(tools, one, device.target, right, plan, threads=1) is right
    # A library of other weights stands in for one whose lent schedules compute something else.
    wrong = replace(tools.compile(other, device.target, plan).result(), lent=right.lent)
    plain = agreeing(tools, one, device.target, wrong, plan, threads=1, say=said.append)
    assert (plain.lent, plain.untuned) == ({}, right.untuned)
    assert any("a schedule lent to one computes something else" in line for line in said)


@pytest.mark.parametrize(
    ("faulty", "kept"),
    [
        ({"c"}, "abde"),
        ({"a", "e"}, "bcd"),
        # All of them, or what no single one explains: none is lent.
        (set("abcde"), ""),
    ],
)
def test_of_lent_schedules_those_alone_are_left_out_that_are_wrong(
    faulty: set[str], kept: str, tools: Toolbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a compiler that says what it lent, in the place of a schedule that computes something else."""
    device = tools.resolve_target("auto")
    model = tools.prepare(str(save(tmp_path / "one.onnx", seed=1)), {})

    class Build:
        def __init__(self, plan: RecordChoice) -> None:
            self.lent = sorted(set("abcde") - plan.unlent) if plan.lend else []

        def result(self) -> CompiledModel:
            return CompiledModel(b"", None, (), (), "", dict.fromkeys(self.lent, "its schedule"))

    def held(*given: Any, **_: Any) -> None:
        if faulty & set(given[3].lent):
            raise DisagreementError("it differs")

    monkeypatch.setattr(agreement, "require_agreement", held)
    monkeypatch.setattr(tools, "compile", lambda _, __, plan, **___: Build(plan))
    plan = RecordChoice("untuned")
    compiled = Build(plan).result()
    said: list[str] = []
    right = agreeing(tools, model, device.target, compiled, plan, threads=1, say=said.append)
    assert list(right.lent) == list(kept)
    assert any("looking for the lent schedule that is wrong" in line for line in said)


def test_a_kernel_that_is_to_have_no_lent_schedule_has_none(tools: Toolbox, tmp_path: Path) -> None:
    device = tools.resolve_target("auto")
    model = tools.prepare(str(save(tmp_path / "one.onnx", seed=1)), {})
    first, *others = tools.compile(model, device.target, RecordChoice("all")).result().lent
    plan = RecordChoice("others", unlent=frozenset([first]))
    compiled = tools.compile(model, device.target, plan).result()
    assert list(compiled.lent) == others
    assert first in compiled.untuned
