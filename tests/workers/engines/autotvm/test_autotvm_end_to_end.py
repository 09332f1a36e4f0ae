"""Whole campaigns with classic TVM and real Ray: from a model to a library, and what they survive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

import orchestrator as tf
from orchestrator.builds import transforms
from orchestrator.fleet.ray import fleet as ray_fleet
from orchestrator.storage import CampaignState, TaskState
from tests.kit.followed import RAYS_OWN, Followed, everything_is_gone, url_of
from tests.kit.small_convolutions import save_convolutions
from workers import environments
from workers.errors import UsageError
from workers.messages import CompiledModel, PreparedModel, RecordChoice, TrialState
from workers.models import compare, prepare, random_inputs, run_reference

# Minutes on classic TVM; that a killed campaign is exact is shown on the other engine every time.
pytestmark = pytest.mark.slow

PER_TASK = 8
TRIALS = 2 * PER_TASK
PLANS = {"layouts chosen together", "each task's best", "untuned"}


class Place:
    """A database and a model of two convolutions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model = save_convolutions(folder / "small.onnx")
        self.url = url_of(folder / "records.db")
        self.store = tf.Storage.open(self.url)

    def submit(self, *, hold: bool = True, **changes: Any) -> int:
        spec = {
            "models": [{"path": str(self.model)}],
            "engine": "autotvm",
            "trials_per_task": PER_TASK,
            "search": {"plan_size": 4},
            "evaluator": {"min_repeat_ms": 10},
            **changes,
        }
        return tf.submit(self.store, tf.CampaignSpec.of(spec), hold=hold).id

    def candidates(self, campaign: int) -> Counter[tuple[str, str]]:
        return Counter(
            (trial.workload_hash, trial.candidate) for trial in self.store.trials.of_campaign(campaign)
        )

    def exact(self, campaign: int) -> None:
        """Check that the budget was kept to the trial, and that no candidate is there twice."""
        tasks = self.store.tasks.of_campaign(campaign)
        assert [(task.stored, task.state) for task in tasks] == [(PER_TASK, TaskState.SATISFIED)] * 2
        assert set(self.candidates(campaign).values()) == {1}

    def transforms(self) -> dict[str, int]:
        """Return how many trials each layout transform has."""
        found = [row for row in self.store.workloads.search(limit=1000) if row.name.startswith("layout")]
        classes = [row.name for row in self.store.device_classes.all("autotvm")]
        counts = self.store.trials.counts([(row.hash, name) for row in found for name in classes])
        return {workload: count for (workload, _), count in counts.items()}


@pytest.fixture(scope="module")
def place(
    autotvm_environment: environments.EngineEnvironment, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("place"))
    yield made
    made.store.close()


@pytest.fixture(scope="module")
def tools(autotvm_environment: environments.EngineEnvironment) -> Iterator[tf.Toolbox]:
    with tf.Toolbox("autotvm") as opened:
        yield opened


@pytest.fixture(scope="module")
def tuned(place: Place) -> tuple[int, tf.Outcome]:
    """A campaign whose coordinator was killed in its midst, gone on with in this process."""
    campaign = place.submit(hold=False)
    first = Followed(place.url, campaign)
    first.wait_for_trials(place.store, campaign, 3)
    first.kill()
    everything_is_gone(first, but=RAYS_OWN)
    survived = place.candidates(campaign)
    assert 3 <= sum(survived.values()) < TRIALS
    assert place.store.campaigns.get(campaign).state is CampaignState.TUNING
    outcome = tf.follow(place.store, campaign)
    assert survived <= place.candidates(campaign)
    assert (outcome.already_stored, outcome.measured) == (
        sum(survived.values()),
        TRIALS - sum(survived.values()),
    )
    return campaign, outcome


@pytest.fixture
def nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("something is measured")

    monkeypatch.setattr(ray_fleet.RayFleet, "join", refuse)
    monkeypatch.setattr(transforms, "MeasureActor", refuse)


def test_a_campaign_goes_on_after_its_coordinator_was_killed_and_is_exact(
    place: Place, tuned: tuple[int, tf.Outcome]
) -> None:
    campaign, outcome = tuned
    assert outcome.campaign.state is CampaignState.DONE, outcome.campaign.message
    place.exact(campaign)
    trials = place.store.trials.of_campaign(campaign)
    assert TrialState.OK in {trial.state for trial in trials}
    assert all(trial.versions["tvm"].startswith("0.") for trial in trials)


def test_its_library_agrees_with_onnxruntime_and_is_built_after_the_fastest_plan(
    tuned: tuple[int, tf.Outcome],
) -> None:
    (report,) = tuned[1].reports
    assert report.outputs_agree, report.disagreement
    assert (report.tasks_tuned, report.tasks_total) == (2, 2)
    assert report.plan in PLANS
    assert all(name in report.why for name in PLANS)


def test_layout_transforms_were_measured_once_each(place: Place, tuned: tuple[int, tf.Outcome]) -> None:
    assert tuned
    assert set(place.transforms().values()) == {1}


@pytest.mark.usefixtures("nothing_is_measured")
def test_the_same_again_measures_nothing(place: Place, tuned: tuple[int, tf.Outcome]) -> None:
    before = place.transforms()
    outcome = tf.follow(place.store, place.submit())
    assert outcome.campaign.state is CampaignState.DONE
    assert (outcome.measured, outcome.already_stored) == (0, TRIALS)
    assert [report.remembered for report in outcome.reports] == [True]
    assert place.transforms() == before


@pytest.mark.usefixtures("nothing_is_measured", "tuned")
@pytest.mark.parametrize("beside", [False, True])
def test_a_library_built_from_the_records_agrees_with_onnxruntime(
    place: Place, tools: tf.Toolbox, tmp_path: Path, beside: bool
) -> None:
    request = tf.ModelRequest(path=str(place.model))
    weights = tmp_path / "weights.npz" if beside else None
    before = place.transforms()
    report = tf.build_model(place.store, tools, request, tmp_path / "model.so", params=weights)
    assert report.plan in PLANS
    assert set(report.plans_s) == PLANS
    assert report.plans_s[report.plan] == min(report.plans_s.values())
    assert report.coverage.tuned == 2
    assert place.transforms() == before
    model = prepare(str(place.model), {})
    inputs = random_inputs(model.inputs, seed=7)
    library = CompiledModel(
        report.library.read_bytes(), weights.read_bytes() if weights else None, tuned=(), untuned=()
    )
    run = tools.run(library, inputs, report.target)
    difference = compare(
        run.outputs, run_reference(model.onnx, inputs, 1), names=[spec.name for spec in model.outputs]
    )
    assert difference.ok, difference.reason
    # And as its user runs it.
    ran = tf.run_library(tools, report.library, params=weights, check=place.model, seed=7, repeats=2)
    assert ran.label.engine == "autotvm"
    assert ran.check is not None
    assert (ran.check.agree, ran.check.same_model) == (True, True)
    assert len(ran.times_s) == 2


@pytest.mark.usefixtures("nothing_is_measured", "tuned")
def test_every_plan_makes_a_library_that_agrees_with_onnxruntime(
    place: Place, tools: tf.Toolbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whichever is fastest on the machine of this test, the others are on another's."""
    compiled: dict[str, Future[CompiledModel]] = {}
    compile_ = tools.compile

    def kept(model: PreparedModel, target: str, plan: RecordChoice) -> Future[CompiledModel]:
        return compiled.setdefault(plan.name, compile_(model, target, plan))

    monkeypatch.setattr(tools, "compile", kept)
    request = tf.ModelRequest(path=str(place.model))
    report = tf.build_model(place.store, tools, request, tmp_path / "model.so")
    model = prepare(str(place.model), {})
    inputs = random_inputs(model.inputs, seed=7)
    expected = run_reference(model.onnx, inputs, 1)
    libraries = {name: future.result() for name, future in compiled.items()}
    assert {name: len(library.tuned) for name, library in libraries.items()} == {
        "layouts chosen together": 2,
        "each task's best": 2,
        "untuned": 0,
    }
    for library in libraries.values():
        outputs = tools.run(library, inputs, report.target).outputs
        difference = compare(outputs, expected, names=[spec.name for spec in model.outputs])
        assert difference.ok, difference.reason


@pytest.mark.usefixtures("nothing_is_measured", "tuned")
def test_without_weighing_layouts_each_task_s_best_is_taken_or_none(
    place: Place, tools: tf.Toolbox, tmp_path: Path
) -> None:
    request = tf.ModelRequest(path=str(place.model))
    report = tf.build_model(place.store, tools, request, tmp_path / "model.so", weigh_layouts=False)
    assert set(report.plans_s) <= PLANS
    assert report.plan in report.plans_s


def test_a_tuner_that_is_not_there_is_refused_before_anything_starts(place: Place) -> None:
    with pytest.raises(UsageError, match="xgb_knob"):
        tf.follow(place.store, place.submit(search={"tuner": "annealing"}))
