"""What is found out about a model before it is tuned, and how often it is run for that."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, cast

import pytest

from orchestrator.campaigns.running import check, stages
from orchestrator.campaigns.running.check import Checked, check_model
from orchestrator.campaigns.running.clock import CampaignClock
from orchestrator.campaigns.running.inside import inside_of
from orchestrator.campaigns.running.stages import Stages
from orchestrator.campaigns.spec import CampaignSpec
from orchestrator.errors import DisagreementError, EngineError, EngineTimeoutError
from orchestrator.fleet.options import FleetOptions
from orchestrator.models.extraction import ExtractedModel
from orchestrator.models.request import ModelRequest
from orchestrator.storage import NewVerification, Storage
from orchestrator.toolbox import Toolbox
from tests.kit.planned_campaigns import CPU, OWNER, plan
from workers.messages import (
    CompiledModel,
    Kernel,
    ModelRun,
    ModelTiming,
    PreparedModel,
    Profile,
    TensorSpec,
)
from workers.models import OutputDifference

INPUT = TensorSpec("x", (1,), "float32")
MODEL = ExtractedModel(
    id=1,
    request=ModelRequest(path="/model.onnx"),
    prepared=PreparedModel("0" * 64, "model", b"", (INPUT,), (INPUT,)),
    device=CPU,
    tasks=(),
    engine_version="1",
    remembered=False,
)


class Tools:
    """A toolbox whose one library says what it takes, and notes when it is run."""

    def __init__(self, one_s: float, *, agree: bool = True, size: int = 7) -> None:
        self.one_s, self.agree, self.size = one_s, agree, size
        self.quiet = False
        self.ran: list[str] = []
        self.timed: list[str] = []
        self.most = 2
        self.limits: list[float] = []
        self.lent: dict[str, str] = {}
        self.looks: list[float] = []

    def profile(self, *_: Any) -> Profile:
        assert self.quiet
        self.looks.append(0.020 - 0.006 * len(self.looks))
        return Profile((Kernel("conv", "conv", 2, self.looks[-1]),), ())

    def compile(self, *_: Any) -> Future[CompiledModel]:
        done: Future[CompiledModel] = Future()
        if self.ran:
            done.set_exception(EngineError("the model with all its nodes exposed can't be compiled"))
        else:
            done.set_result(CompiledModel(b"x" * self.size, None, (), (), lent=self.lent))
        return done

    @contextlib.contextmanager
    def no_later_than(self, moment: float) -> Iterator[None]:
        self.limits.append(moment - time.monotonic())
        yield

    def reference_outputs(self, *_: Any) -> tuple[dict[str, float], list[float]]:
        return {"x": 0.0}, [0.0]

    def random_inputs(self, *_: Any) -> dict[str, float]:
        return {"x": 0.0}

    def reference_timing(self, *_: Any) -> ModelTiming:
        assert self.quiet
        self.timed.append("onnxruntime")
        return ModelTiming((0.03, 0.02, 0.01))

    def run(
        self,
        compiled: CompiledModel,
        inputs: Mapping[str, Any],
        target: str,
        repeats: int = 0,
        **_: float,
    ) -> ModelRun:
        if repeats:
            assert self.quiet
            self.timed.append("library")
            return ModelRun((), (3 * self.one_s, self.one_s, self.one_s), self.one_s)
        self.ran.append("alone" if self.quiet else "beside others")
        if self.one_s > self.limits[-1] or len(self.ran) > self.most:
            raise EngineTimeoutError("killed")
        return ModelRun((), (), self.one_s)

    def judge(self, *_: Any) -> OutputDifference:
        return OutputDifference(0.0, 0.0, 0, "y", self.agree, "" if self.agree else "is off by 2")

    def versions(self) -> dict[str, str]:
        return {"tvm": "0.27"}

    def expose(self, model: PreparedModel) -> PreparedModel:
        return model

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        self.quiet = True
        yield
        self.quiet = False

    def checked(self, *, settled: bool, left_s: float = math.inf, run_limit_s: float = 60.0) -> Checked:
        return check_model(
            cast("Toolbox", self),
            MODEL,
            limit_at=time.monotonic() + left_s,
            run_limit_s=run_limit_s,
            settled=lambda: settled,
            quiet=self.alone,
            say=lambda _: None,
            go_on=lambda: None,
        )


def test_a_quick_model_is_tried_on_two_inputs_and_kept_for_the_comparison() -> None:
    tools = Tools(0.01)
    found = tools.checked(settled=False)
    assert tools.ran == ["beside others"] * 2
    assert found.times is None
    assert found.compiled is found.light().compiled is not None
    assert found.costs is not None
    assert found.costs.one_s == 0.01
    # And timed with the cores for itself, for the beginning of its curve.
    assert tools.timed == ["onnxruntime", "library"]
    assert (found.library_s, found.reference_s) == (0.01, 0.02)


@pytest.mark.parametrize(
    ("one_s", "settled", "ran", "note"),
    [
        (37.0, True, ["alone"], "before the tuning, for a run of it is long"),
        (12.0, False, ["beside others", "alone"], "before the tuning, for a run of it is long"),
        (37.0, False, ["beside others"], "a run of it is long; while workers were started"),
    ],
)
def test_a_dear_one_is_run_once_or_twice_and_timed_with_the_cores_for_itself(
    one_s: float, settled: bool, ran: list[str], note: str
) -> None:
    tools = Tools(one_s)
    found = tools.checked(settled=settled)
    assert tools.ran == ran
    assert found.times is not None
    assert found.times.times_s == (one_s,)
    assert found.times.note.endswith(note)
    assert found.remark == ""
    assert tools.timed == ["onnxruntime"]
    assert (found.library_s, found.reference_s) == (one_s, 0.02)


def test_one_that_is_too_large_to_be_kept_is_timed_before_the_tuning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "KEPT_BYTES", 10)
    tools = Tools(0.5, size=11)
    found = tools.checked(settled=False)
    assert tools.ran == ["beside others", "alone"]
    assert found.times is not None
    assert found.times.times_s == (0.5,)
    assert found.compiled is not None
    assert found.light().compiled is None


@pytest.mark.parametrize(("left_s", "run_limit_s"), [(math.inf, 60.0), (20.0, 60.0), (100.0, 30.0)])
def test_a_run_that_takes_too_long_is_ended_and_that_is_said(left_s: float, run_limit_s: float) -> None:
    tools = Tools(500.0)
    found = tools.checked(settled=True, left_s=left_s, run_limit_s=run_limit_s)
    assert tools.ran == ["alone"]
    assert tools.limits[-2] <= min(run_limit_s, left_s)
    assert found.times is not None
    assert found.times.times_s == ()
    assert found.remark.startswith(
        "model was not compared with onnxruntime before it was tuned: untuned, no run"
    )
    # Which is what `--until onnxruntime` asks for.
    assert (found.library_s, found.reference_s) == (None, 0.02)


def test_onnxruntime_is_timed_where_compiling_took_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    tools = Tools(0.01)

    def compile_(*_: Any) -> Future[CompiledModel]:
        raise EngineTimeoutError("killed")

    monkeypatch.setattr(tools, "compile", compile_)
    found = tools.checked(settled=True, left_s=0.0)
    assert "compiling it took more than" in found.remark
    assert (tools.timed, found.reference_s) == (["onnxruntime"], 0.02)
    # It has a few seconds for that, though the time is over.
    assert 0.0 < tools.limits[-1] <= 10.0


def test_a_wrong_model_is_refused_without_waiting_for_what_is_being_started() -> None:
    tools = Tools(0.01, agree=False)
    with pytest.raises(DisagreementError, match="output 'y' is off by 2"):
        tools.checked(settled=False)
    assert tools.ran == ["beside others"]


def test_kernels_inside_a_library_take_what_they_do_when_nobody_looks() -> None:
    lent = {"conv": "schedule-a", "dense": "schedule-b"}
    kernels = (
        Kernel("conv", "conv", 2, 0.5),
        # The same, as another kernel of the library.
        Kernel("conv1", "conv", 2, 0.7),
        Kernel("dense", "dense", 1, 0.01),
        Kernel("tuned", "tuned", 4, 0.4),
        Kernel("copies", "", 1, 0.09),
    )
    compiled = CompiledModel(b"", None, (), (), lent=lent)
    # Of 1.7 s nobody's looking took 1.2: the rest is 0.05 for each of ten calls, half at most of any.
    found = inside_of(compiled, Profile(kernels, ()), 1.2)
    assert {one.candidate: one.seconds for one in found.values()} == pytest.approx(
        {"schedule-a": 0.25, "schedule-b": 0.005}
    )
    assert set(found) == {"conv", "dense"}
    # What lies between kernels is none of theirs.
    found = inside_of(compiled, Profile(kernels, ()), 2.0)
    assert found["conv"].seconds == pytest.approx(0.3)


def test_a_library_with_lent_schedules_is_looked_into_while_nothing_else_runs() -> None:
    tools = Tools(0.01)
    assert tools.checked(settled=True).insides == {}
    tools = Tools(0.01)
    tools.lent = {"conv": "schedule-a"}
    found = tools.checked(settled=True)
    # The quickest of three looks.
    assert tools.looks == pytest.approx([0.020, 0.014, 0.008])
    assert found.insides["conv"].candidate == "schedule-a"
    assert found.insides["conv"].seconds == pytest.approx(0.004)
    dear = Tools(12.0)
    dear.lent = tools.lent
    assert dear.checked(settled=True).insides == {}


def test_a_library_that_can_not_be_looked_into_is_tuned_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    tools = Tools(0.01)
    tools.lent = {"conv": "schedule-a"}

    def profile(*_: Any) -> Profile:
        raise EngineError("the engine was killed by SIGSEGV")

    monkeypatch.setattr(tools, "profile", profile)
    found = tools.checked(settled=True)
    assert (found.insides, found.library_s, found.reference_s) == ({}, 0.01, 0.02)


@pytest.mark.parametrize("one_s", [0.01, 12.0])
def test_where_there_is_no_time_for_a_second_run_the_first_counts(one_s: float) -> None:
    tools = Tools(one_s)
    tools.most = 1
    found = tools.checked(settled=False)
    assert len(tools.ran) == 2
    assert found.costs is not None
    assert found.remark == ""
    assert (found.times is None) == (one_s < 1.0)
    if found.times is not None:
        assert found.times.times_s == (12.0,)
        assert found.times.note.endswith("while workers were started")


@pytest.mark.parametrize(("agree", "begins_at"), [(True, 0.2), (False, None)])
def test_a_campaign_begins_with_no_time_of_a_library_that_computed_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, agree: bool, begins_at: float | None
) -> None:
    monkeypatch.setattr(stages, "this_owner", lambda: OWNER)
    spec = CampaignSpec.of({"models": [{"path": "/model.onnx"}]})
    with Storage.open(f"sqlite:///{tmp_path / 'records.db'}") as store:
        campaign, planned = plan(store, spec, (1,))
        (model,) = planned.models
        store.verifications.put(
            NewVerification(
                model.id,
                CPU.device_class,
                "key",
                tuned_s=0.2,
                reference_s=0.1,
                details={"agree": agree},
            )
        )
        run = Stages(
            store,
            campaign,
            spec,
            cast("Toolbox", Tools(0.01)),
            cast("Any", None),
            FleetOptions(),
            cast("Any", None),
            CampaignClock(None, 0.0, time.monotonic()),
            lambda _: None,
            lambda: None,
        )
        run.check(planned, cast("Any", None))
        (beginning,) = store.beginnings.of_campaign(campaign)
        assert (beginning.library_s, beginning.reference_s) == (begins_at, 0.1)
