"""The cost model of a campaign: what it begins with, when it is trained, what it leaves to the next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.campaigns.scheduling.alone import tune_alone
from orchestrator.campaigns.spec import CampaignSpec
from orchestrator.campaigns.tuning.cost_model import CostModel
from orchestrator.campaigns.tuning.lessons import Lessons
from orchestrator.campaigns.tuning.subjects import Subject
from orchestrator.campaigns.tuning.tuner import Tuning
from orchestrator.errors import EngineLostError, StorageError
from orchestrator.fleet.work import OpenWork
from orchestrator.storage import Experience, NewSamples, Storage
from tests.kit.planned_campaigns import CPU, OWNER, plan, workload
from tests.kit.stand_in_fleet import Simulated

KIND = "features of 256 bits"
HERE = replace(CPU, samples=KIND)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Storage]:
    with Storage.open(f"sqlite:///{tmp_path / 'records.db'}") as opened:
        yield opened


def test_without_experience_it_is_trained_on_a_handful_and_then_on_a_fifth_more() -> None:
    model = CostModel()
    assert not model.due
    model.add(b"a", 31)
    assert not model.due
    model.add_new("w", b"b", 1)
    assert model.due
    assert model.train().samples == (b"a", b"b")
    assert not model.due
    model.trained(b"first")
    model.add(b"c", 6)
    assert not model.due
    model.add(b"d", 1)
    assert model.due


def test_what_earlier_campaigns_learned_is_trained_on_at_once_and_in_each_training() -> None:
    model = CostModel(Experience((b"old", b"others"), 900))
    subject = Subject(workload(1), HERE)
    assert model.due
    assert model.news_for(subject) is None
    assert model.train().samples == (b"old", b"others")
    model.trained(b"first")
    assert model.news_for(subject) == b"first"
    assert not model.due
    model.add(b"new", 32)
    assert model.train().samples == (b"old", b"others", b"new")
    model.trained(b"second")
    assert model.own == (b"second", 932)
    # Half as much again, for a training takes longer.
    model.add(b"newer", 15)
    assert not model.due
    model.add(b"newest", 1)
    assert model.due


def test_a_stored_model_is_there_from_the_first_proposal_on() -> None:
    model = CostModel(Experience((b"old",), 900, b"stored"))
    subject = Subject(workload(1), HERE)
    assert not model.due
    assert model.news_for(subject) == b"stored"
    assert model.news_for(subject) is None
    # It is the store's, and not to be stored again.
    assert model.own is None


def test_a_training_that_failed_leaves_the_model_as_it_was() -> None:
    model = CostModel(Experience((b"old",), 900, b"stored"))
    model.add(b"new", 40)
    model.train()
    model.trained(None)
    assert model.news_for(Subject(workload(1), HERE)) == b"stored"
    assert not model.due


def run(
    store: Storage, number: int, trials: int, packed: bytes = b"", fleet: Simulated | None = None
) -> Simulated:
    """Run a campaign of one task, in which each round teaches something."""
    fleet = fleet or Simulated()
    fleet.samples, fleet.model = b"lesson %d" % number, b"model %d" % number
    spec = CampaignSpec.of({"models": [{"path": "/model.onnx"}], "trials_per_task": trials})
    campaign, planned = plan(store, spec, (number,))
    planned = replace(planned, devices=(HERE,))
    tuning = Tuning(
        store, campaign, OWNER, spec, planned, lambda _: None, lambda: None, packed=lambda kind: packed
    )
    tune_alone(store, fleet.fleet, tuning, lambda: False)
    return fleet


def test_a_campaign_leaves_what_it_learned_and_the_next_begins_with_it(store: Storage) -> None:
    run(store, 1, 80)
    left = store.cost_models.experience(HERE.device_class, KIND)
    assert left.count == 80
    assert set(left.samples) == {b"lesson 1"}
    assert left.model == b"model 1"

    run(store, 2, 80)
    left = store.cost_models.experience(HERE.device_class, KIND)
    assert left.count == 160
    assert set(left.samples) == {b"lesson 1", b"lesson 2"}
    assert left.model == b"model 2"


def test_a_search_knows_on_which_device_class_its_costs_are_measured(store: Storage) -> None:
    fleet = run(store, 1, 3)
    opened = [work.options for work in fleet.diary.works if isinstance(work, OpenWork)]
    assert [options.device_class for options in opened] == [HERE.device_class]


def test_a_small_campaign_replaces_no_model_that_was_trained_on_more(store: Storage) -> None:
    run(store, 1, 40)
    assert store.cost_models.experience(HERE.device_class, KIND).model == b"model 1"
    run(store, 2, 40)
    left = store.cost_models.experience(HERE.device_class, KIND)
    assert (left.count, left.model) == (80, b"model 1")


def test_stored_records_count_as_many_as_they_are_and_once_though_a_search_is_opened_again(
    store: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(store, 1, 3)
    added: list[tuple[bytes, int]] = []
    monkeypatch.setattr(CostModel, "add", lambda model, samples, count: added.append((samples, count)))
    fleet = Simulated()
    # The search is lost when it is first asked for candidates.
    fleet.fails = lambda what, number: EngineLostError("gone") if what == "propose" and number == 1 else None
    run(store, 1, 6, fleet=fleet)
    assert fleet.histories == [3, 3]
    assert added == [(b"lesson 1", 3)] * 2  # what was stored, and what was measured then


def lessons(store: Storage, planned: int | None, *, devices: int = 1, kind: str = KIND) -> Lessons:
    device = replace(HERE, samples=kind)
    return Lessons(store, 1, [device] * devices, lambda kind: b"packed" if kind == KIND else b"", planned)


def test_what_comes_with_the_engine_is_added_until_there_is_enough_of_this_device(store: Storage) -> None:
    store.device_classes.put("plain", HERE)
    store.workloads.put([workload(1)])
    assert lessons(store, None).model.train().samples == (b"packed",)
    for count, begins_with in ((499, (b"stored", b"packed")), (1, (b"stored", b"stored"))):
        new = [NewSamples(workload(1).hash, count, b"stored")]
        store.cost_models.learned(HERE.device_class, KIND, new, None, 0)
        assert lessons(store, 64).model.train().samples == begins_with


def test_for_a_few_trials_several_device_classes_or_an_engine_without_samples_nothing_is_trained(
    store: Storage,
) -> None:
    store.device_classes.put("plain", HERE)
    assert lessons(store, 64).model.due
    assert not lessons(store, 63).model.due
    assert not lessons(store, 64, devices=2).model.due
    assert not lessons(store, 64, kind="").model.due


def test_a_store_that_takes_no_lessons_costs_no_trial(
    store: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr(store.cost_models, "learned", refuse)
    run(store, 1, 80)
    assert store.trials.counts([(workload(1).hash, HERE.device_class)]) == {
        (workload(1).hash, HERE.device_class): 80
    }
