"""Which records a model is built with: each task's best, or what the engine chooses for all of them together.

The best of each task need not make the best model: on classic TVM its neighbours may want other layouts, and
the transforms in between cost more than was gained. An engine that knows such things offers several plans;
they are compiled, timed in turns, and the fastest is kept. Never one that measured slower than no record at
all.
"""

from __future__ import annotations

import statistics
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from orchestrator.builds.coverage import Coverage
from orchestrator.errors import EngineError
from orchestrator.models.extraction import ExtractedModel
from orchestrator.storage import NewTrial, Storage
from orchestrator.toolbox import Toolbox
from workers.actors import BuildActor, MeasureActor
from workers.messages import (
    Candidate,
    CompiledModel,
    DeviceInfo,
    Endpoint,
    EvaluatorConfig,
    Measurement,
    RecordChoice,
    Station,
    TrialState,
    Workload,
)

__all__ = ["Choice", "choose_plan"]

# A transform moves data once: it needs no long timing, and there may be hundreds.
_EVALUATOR = EvaluatorConfig(number=3, repeat=1, min_repeat_ms=20)
_BUILD_SECONDS = 30.0
_TURNS = 3

_Quiet = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True)
class Choice:
    """The plan that was kept, and against what.

    Attributes
    ----------
    compiled, untuned : CompiledModel or None
        The model compiled after it, and without any record, where they were compiled to be timed.
    times_s : dict of str to float
        Median seconds of one inference after each plan, by its name; empty where there was nothing to choose
        or this machine can't run it.
    why : str
        One sentence for people.
    """

    plan: RecordChoice
    why: str
    compiled: CompiledModel | None = None
    untuned: CompiledModel | None = None
    times_s: dict[str, float] = field(default_factory=dict)


def choose_plan(
    store: Storage,
    tools: Toolbox,
    model: ExtractedModel,
    coverage: Coverage,
    *,
    weigh_layouts: bool = True,
    endpoint: Endpoint | None = None,
    say: Callable[[str], None] = lambda _: None,
    quiet: _Quiet = nullcontext,
) -> Choice:
    """Choose the records a model is compiled with.

    Parameters
    ----------
    weigh_layouts : bool, optional
        Weigh layouts between the tasks, where the engine can. Without, each task's best is taken, unless it
        measures slower than the untuned model.
    endpoint : Endpoint, optional
        The device to time them on, where that is not this machine.
    quiet : callable, optional
        Makes a context within which nothing else uses this machine's cores.
    """
    device = model.device
    best = RecordChoice("each task's best", coverage.records)
    width = tools.alternatives()
    if width == 1 or not coverage.tuned:
        return Choice(best, "each task's best record")
    if device.unfit and endpoint is None:
        return Choice(best, f"each task's best record; nothing was compared, for here {device.unfit}")
    if not weigh_layouts:
        return _fastest(tools, model, (best, RecordChoice("untuned")), say, quiet, endpoint)
    workloads = tuple(task.workload for task in model.tasks)
    aside = {(task.workload_hash, each.candidate) for task in coverage.tasks for each in task.set_aside}
    history = {
        w.hash: tuple(
            record
            for record in store.history(w.hash, device.device_class, limit=width)
            if (w.hash, record.candidate.hash) not in aside
        )
        for w in workloads
    }
    # What a task has none of, it may have been allowed to borrow.
    history |= {key: (record,) for key, record in coverage.records.items() if not history.get(key)}
    say(f"looking for layout transforms in {model.prepared.name}")
    needed = tools.transforms(model.prepared, device.target, workloads, history)
    _measure_missing(store, tools, device, needed, say, quiet, endpoint)
    measured = {w.hash: tuple(store.history(w.hash, device.device_class, limit=1)) for w, _ in needed}
    say("choosing the records together")
    plans = tools.plans(model.prepared, device.target, workloads, history, measured)
    return _fastest(tools, model, plans, say, quiet, endpoint)


def _fastest(
    tools: Toolbox,
    model: ExtractedModel,
    plans: Sequence[RecordChoice],
    say: Callable[[str], None],
    quiet: _Quiet = nullcontext,
    endpoint: Endpoint | None = None,
) -> Choice:
    prepared, device = model.prepared, model.device
    say(f"compiling {prepared.name} after {len(plans)} plans")
    builds = [tools.compile(prepared, device.target, plan) for plan in plans]
    compiled: list[CompiledModel] = []
    refused: dict[str, EngineError] = {}
    for plan, build in zip(plans, builds, strict=True):
        try:
            compiled.append(build.result())
        except EngineError as error:  # what one plan asks for may not compile: the others may
            refused[plan.name] = error
    if not compiled:
        raise next(iter(refused.values()))
    plans = tuple(plan for plan in plans if plan.name not in refused)
    inputs, _ = tools.reference_outputs(prepared, 1, device.cores)
    ordered = {spec.name: inputs[spec.name] for spec in prepared.inputs}
    times: dict[str, list[float]] = {plan.name: [] for plan in plans}
    with quiet():
        for turn in range(_TURNS):
            say(f"timing the plans, turn {turn + 1} of {_TURNS}")
            for plan, library in zip(plans, compiled, strict=True):
                run = tools.run(library, ordered, device.target, repeats=5, endpoint=endpoint)
                times[plan.name] += run.times
    middle = {name: statistics.median(values) for name, values in times.items()}
    kept = min(range(len(plans)), key=lambda i: middle[plans[i].name])
    others = ", ".join(
        f"{plan.name} {middle[plan.name] * 1e3:.3g} ms" for plan in plans if plan is not plans[kept]
    )
    name = plans[kept].name
    why = f"{name}: {middle[name] * 1e3:.3g} ms, measured in turns with {others or 'nothing else'}"
    for failed, reason in refused.items():
        why += f"; {failed} did not compile: {str(reason).splitlines()[0]}"
    untuned = next(
        (c for p, c in zip(plans, compiled, strict=True) if not p.records and not p.sequence), None
    )
    return Choice(plans[kept], why, compiled[kept], untuned, middle)


def _measure_missing(
    store: Storage,
    tools: Toolbox,
    device: DeviceInfo,
    needed: Sequence[tuple[Workload, Candidate]],
    say: Callable[[str], None],
    quiet: _Quiet,
    endpoint: Endpoint | None = None,
) -> None:
    """Measure what was not measured before, on this machine or a board, and store it like any trial."""
    known = store.trial_counts([(workload.hash, device.device_class) for workload, _ in needed])
    missing = [item for item in needed if not known.get((item[0].hash, device.device_class))]
    if not missing:
        return
    store.put_workloads([workload for workload, _ in missing])
    builder, measurer = BuildActor(tools.engine), MeasureActor(tools.engine)
    tools.take_along(builder, measurer)
    try:
        _, _, versions = measurer.start()
        if endpoint is not None:
            station = Station(endpoint.key, device, 0, (endpoint.host, endpoint.port))
        else:
            offered = measurer.offer((device,))
            if not offered:
                raise EngineError(f"{device.device_class} is no device of this machine any more")
            station = offered[0]
        builder.start()
        with ThreadPoolExecutor(device.cores or 1) as pool:
            say(f"building {len(missing)} layout transforms")
            built = list(
                pool.map(lambda item: builder.build(item[0], device.target, item[1], _BUILD_SECONDS), missing)
            )
        with quiet():
            for position, ((workload, candidate), (result, artifact)) in enumerate(
                zip(missing, built, strict=True), 1
            ):
                if position % 10 == 1:
                    say(f"measuring layout transforms, {position} of {len(missing)}")
                if artifact is None:
                    measurement = Measurement(result.state, message=result.message)
                else:
                    measurement = measurer.measure(artifact, station, _EVALUATOR)
                if measurement.state is TrialState.DEVICE_LOST:
                    continue  # it says nothing about the candidate: the next build asks again
                store.record_trials(
                    [
                        NewTrial(
                            workload_hash=workload.hash,
                            device_class=device.device_class,
                            candidate=candidate,
                            measurement=measurement,
                            campaign_id=None,
                            build_s=result.build_s,
                            token=uuid.uuid4().hex,
                            versions=versions,
                        )
                    ]
                )
    finally:
        builder.stop()
        measurer.stop()
