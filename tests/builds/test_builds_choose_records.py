"""Which of several plans is kept: decided by times alone, so without any TVM."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pytest

from orchestrator.builds.fastest import Chosen, fastest_of
from orchestrator.errors import EngineError
from orchestrator.models.extraction import ExtractedModel
from orchestrator.models.request import ModelRequest
from workers.messages import CompiledModel, DeviceInfo, ModelRun, PreparedModel, RecordChoice, TensorSpec

TOGETHER, EACH, UNTUNED = "layouts chosen together", "each task's best", "untuned"
INPUT = TensorSpec("x", (1,), "float32")
MODEL = ExtractedModel(
    id=1,
    request=ModelRequest(path="/model.onnx"),
    prepared=PreparedModel("0" * 64, "model", b"", (INPUT,), (INPUT,)),
    device=DeviceInfo("llvm", "generic", "a CPU", 1, "cpu"),
    tasks=(),
    engine_version="1",
    remembered=False,
)


class Timed:
    """A toolbox whose libraries take the times it was given, turn after turn."""

    def __init__(self, times: dict[str, list[tuple[float, ...]]]) -> None:
        self.refused: set[str] = set()
        self.turns = {name: iter(turns) for name, turns in times.items()}
        self.order: list[str] = []

    def compile(self, _model: PreparedModel, _target: str, plan: RecordChoice) -> Future[CompiledModel]:
        done: Future[CompiledModel] = Future()
        if plan.name in self.refused:
            done.set_exception(EngineError("no such layout\nand a long story"))
            return done
        done.set_result(CompiledModel(plan.name.encode(), None, (), ()))
        return done

    def reference_outputs(self, *_: object) -> tuple[dict[str, Any], list[Any]]:
        return {"x": 0.0}, []

    def run(
        self,
        compiled: CompiledModel,
        _inputs: dict[str, Any],
        _target: str,
        *,
        repeats: int,
        endpoint: None,
        settle_s: float,
        least_s: float,
    ) -> ModelRun:
        assert settle_s > least_s > 0.0
        name = compiled.library.decode()
        self.order.append(name)
        return ModelRun((), next(self.turns[name]))


def choose(**times: list[tuple[float, ...]]) -> tuple[Chosen, Timed]:
    names = {"together": TOGETHER, "each": EACH, "untuned": UNTUNED}
    tools = Timed({names[key]: turns for key, turns in times.items()})
    plans = [RecordChoice(names[key]) for key in times]
    return fastest_of(tools, MODEL, plans, lambda _: None), tools  # type: ignore[arg-type]


def steady(seconds: float) -> list[tuple[float, ...]]:
    return [(seconds,)] * 3


@pytest.mark.parametrize(
    ("together", "each", "untuned", "kept"),
    [(1, 2, 3, TOGETHER), (2, 1, 3, EACH), (3, 2, 1, UNTUNED), (1, 2, 0.99, UNTUNED)],
)
def test_the_plan_that_measured_fastest_is_kept_be_it_the_untuned_one(
    together: float, each: float, untuned: float, kept: str
) -> None:
    choice, _ = choose(
        together=steady(together * 1e-3), each=steady(each * 1e-3), untuned=steady(untuned * 1e-3)
    )
    assert choice.plan.name == kept
    assert choice.compiled is not None
    assert choice.compiled.library == kept.encode()
    assert choice.times_s == {TOGETHER: together * 1e-3, EACH: each * 1e-3, UNTUNED: untuned * 1e-3}
    assert choice.times_s[kept] <= choice.times_s[UNTUNED]


def test_plans_are_timed_in_turns_so_that_a_slow_minute_hits_them_alike() -> None:
    _, tools = choose(each=steady(1.0), untuned=steady(2.0))
    assert tools.order == [EACH, UNTUNED] * 3


def test_one_slow_turn_does_not_decide() -> None:
    choice, _ = choose(
        each=[(9.0, 1.0), (1.0, 1.0), (1.0, 1.0)], untuned=[(0.5, 2.0), (2.0, 2.0), (2.0, 2.0)]
    )
    assert choice.plan.name == EACH


def test_where_two_are_as_fast_the_more_promising_is_kept() -> None:
    choice, _ = choose(together=steady(1.0), each=steady(1.0), untuned=steady(1.0))
    assert choice.plan.name == TOGETHER


def test_people_are_told_what_it_was_compared_with() -> None:
    choice, _ = choose(each=steady(0.002), untuned=steady(0.003))
    assert choice.why == "each task's best: 2 ms, measured in turns with untuned 3 ms"


def test_a_plan_that_does_not_compile_is_dropped_and_named() -> None:
    plans = [RecordChoice(TOGETHER), RecordChoice(UNTUNED)]
    tools = Timed({UNTUNED: steady(1.0)})
    tools.refused = {TOGETHER}
    choice = fastest_of(tools, MODEL, plans, lambda _: None)  # type: ignore[arg-type]
    assert choice.plan.name == UNTUNED
    assert choice.why.endswith(f"{TOGETHER} did not compile: no such layout")
    tools.refused = {TOGETHER, UNTUNED}
    with pytest.raises(EngineError, match="no such layout"):
        fastest_of(tools, MODEL, plans, lambda _: None)  # type: ignore[arg-type]
