"""The plan of a campaign: its models with their tasks, its devices, and what is to be measured on them."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from orchestrator.campaigns.planning.budgets import NO_LIMIT, PlannedTask, WantedTask, has_ended, plan_tasks
from orchestrator.campaigns.planning.close_layouts import follow_decision, other_layout
from orchestrator.campaigns.planning.tryouts import Key, Tryout, affordable, capped_tasks
from orchestrator.campaigns.spec import CampaignSpec
from orchestrator.devices.targets import resolve_boards, resolve_targets
from orchestrator.errors import EngineError, ModelError, UsageError
from orchestrator.models.extraction import AUTO, ExtractedModel, extract_model
from orchestrator.storage import Storage, toolchain_key
from orchestrator.storage.rows import TaskStanding
from orchestrator.toolbox import Toolbox
from workers.messages import DeviceInfo, PreparedModel

__all__ = ["CampaignPlan", "make_plan"]

#: One part of so many of a campaign's time may go to taking a model apart in a second layout.
EXTRACTED_PART = 40
_Pair = tuple[str, str]


@dataclass(frozen=True)
class CampaignPlan:
    """What a campaign would do.

    Attributes
    ----------
    models : tuple of ExtractedModel
        One for each model and device, in the layout that it has by now.
    tasks : tuple of PlannedTask
        Merged over the models, so that a shared workload is there once; then those of layouts that are to be
        tried out, which nobody calls yet.
    tryouts : tuple of Tryout
        Models of which two layouts are close, decided or not.
    remarks : tuple of str
        What is not tried out, and why.
    """

    models: tuple[ExtractedModel, ...]
    devices: tuple[DeviceInfo, ...]
    tasks: tuple[PlannedTask, ...]
    tryouts: tuple[Tryout, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """No trial is to be measured."""
        return not any(task.missing for task in self.tasks)

    @property
    def missing(self) -> int | None:
        """Trials to be measured, at most; None where only time is a limit."""
        if any(task.missing and task.budget >= NO_LIMIT for task in self.tasks):
            return None
        return sum(task.missing for task in self.tasks)

    @property
    def stored(self) -> int:
        """Trials that are stored already and count toward the budget."""
        return sum(min(task.budget, task.standing.stored) for task in self.tasks)

    @property
    def stale(self) -> int:
        """Trials that were measured with another toolchain, and count for nothing but as a beginning."""
        return sum(task.standing.stale for task in self.tasks)

    @property
    def undecided(self) -> tuple[Tryout, ...]:
        """Those in which both layouts are to be tried out."""
        return tuple(tryout for tryout in self.tryouts if tryout.tried and not tryout.decided)

    def as_decided(self, key: Key, layout: str, spec: CampaignSpec) -> CampaignPlan:
        """Return what is to be done where a model has this layout for good."""
        tryouts = tuple(one.as_decided(layout) if one.key == key else one for one in self.tryouts)
        held = {one.key: one.holder for one in tryouts}
        models = tuple(held.get((one.id, one.device.device_class), one) for one in self.models)
        known = {(p.task.workload_hash, p.task.device_class): p.standing for p in self.tasks}
        tasks, extras = _wanted(models, tryouts, spec)
        standings = [known.get((t.workload_hash, t.device_class), TaskStanding()) for t in (*tasks, *extras)]
        planned = _planned(models, tryouts, tasks, extras, standings, spec)
        return replace(self, models=models, tryouts=tryouts, tasks=planned)


def make_plan(
    store: Storage,
    tools: Toolbox,
    spec: CampaignSpec,
    say: Callable[[str], None] = lambda _: None,
    devices: tuple[DeviceInfo, ...] | None = None,
    campaign_id: int | None = None,
) -> CampaignPlan:
    """Find out what a campaign has to do.

    Parameters
    ----------
    devices : tuple of DeviceInfo, optional
        What its targets mean, where this machine need not have them; left out, what they mean here.
    campaign_id : int, optional
        Where it has run before, what it decided holds.

    Raises
    ------
    ModelError, TargetError, UsageError
        Where a model, a target or the task pattern can't be used.
    """
    tools.check_options(spec.search)
    say("looking for the target")
    if devices is None:
        boards = tuple(resolve_boards(tools, spec.boards).values())
        devices = boards or resolve_targets(tools, spec.targets)
    if spec.verify_candidates:
        for device in devices:
            tools.check_comparison(device.kind)
    extracted: list[ExtractedModel] = []
    tryouts: list[Tryout] = []
    remarks: list[str] = []
    for request in spec.models:
        prepared: PreparedModel | None = None
        for device in devices:
            began = time.monotonic()
            model = extract_model(store, tools, request, device, prepared, say, spec.layout)
            took_s = time.monotonic() - began
            extracted.append(model)
            prepared = model.prepared
            if spec.layout != AUTO:
                continue
            tryout = follow_decision(store, tools.engine, model, campaign_id)
            why = "" if tryout is not None or not model.alternative else _too_long(took_s, spec)
            if not why:
                try:
                    tryout = tryout or other_layout(store, tools, model, say)
                except (EngineError, ModelError) as error:
                    # It is to be tuned all the same, in the layout that can be had.
                    why = str(error).splitlines()[0]
            if why:
                remarks.append(f"{prepared.name}: the layout {model.alternative} was not tried out: {why}")
            if tryout is not None and tryout.key not in {one.key for one in tryouts}:
                tryouts.append(tryout)
    merged = _merged(extracted, spec)
    if not merged:
        names = ", ".join(pathlib.Path(request.path).name for request in spec.models)
        if spec.tasks is not None:
            raise UsageError(f"no task of {names} has a name that --tasks {spec.tasks!r} is found in")
        raise ModelError(f"{names} has no task to tune")
    allowed, skipped = affordable(tryouts, spec, len(_merged(_first(extracted, tryouts), spec)))
    tasks, extras = _wanted(extracted, allowed, spec)
    standings = store.tasks.standings(
        [(task.workload_hash, task.device_class) for task in (*tasks, *extras)],
        toolchains={device.device_class: toolchain_key(tools.toolchain_of(device)) for device in devices},
    )
    planned = _planned(extracted, allowed, tasks, extras, standings, spec)
    return CampaignPlan(tuple(extracted), devices, planned, allowed, (*remarks, *skipped))


def _too_long(took_s: float, spec: CampaignSpec) -> str:
    """Say why a model isn't taken apart in another layout as well; empty where it may be."""
    if spec.time_s is None or took_s * EXTRACTED_PART <= spec.time_s:
        return ""
    return f"taking the model apart once more takes about {took_s:.0f} s, and what comes of it is not known"


def _first(models: Sequence[ExtractedModel], tryouts: Sequence[Tryout]) -> list[ExtractedModel]:
    """Return the models in the layouts that the engine chose, whatever was decided since."""
    firsts = {tryout.key: tryout.first for tryout in tryouts}
    return [firsts.get((model.id, model.device.device_class), model) for model in models]


def _wanted(
    models: Sequence[ExtractedModel], tryouts: Sequence[Tryout], spec: CampaignSpec
) -> tuple[list[WantedTask], list[WantedTask]]:
    """Return the tasks of models as they are by now, and those that are tuned to try another layout out."""
    tasks = _merged(models, spec)
    there = {(task.workload_hash, task.device_class) for task in tasks}
    others = [one.left_out for one in tryouts if one.tried and not one.decided]
    extras = [
        replace(task, weight=0)
        for task in _merged(others, spec)
        if (task.workload_hash, task.device_class) not in there
    ]
    return tasks, extras


def _planned(
    models: Sequence[ExtractedModel],
    tryouts: Sequence[Tryout],
    tasks: Sequence[WantedTask],
    extras: Sequence[WantedTask],
    standings: Sequence[TaskStanding],
    spec: CampaignSpec,
) -> tuple[PlannedTask, ...]:
    """Split the budget over the tasks, less what goes, or went, to layouts that no model has."""
    affordable = [one for one in tryouts if one.tried]
    lost = sum(one.tried * len(one.own[one.left_out.prepared.layout]) for one in affordable)
    least: dict[_Pair, int] = {}
    for one in affordable:
        least |= dict.fromkeys(((key, one.key[1]) for key in one.differing[one.held]), one.tried)
    planned = plan_tasks(
        tasks,
        standings[: len(tasks)],
        trials=None if spec.trials is None else spec.trials - lost,
        trials_per_task=spec.trials_per_task,
        plateau=spec.plateau,
        timed=spec.time_s is not None,
        least=[least.get((task.workload_hash, task.device_class), 0) for task in tasks],
    )
    undecided = [one for one in affordable if not one.decided]
    tried = {(key, one.key[1]): one.tried for one in undecided for key in one.needed}
    planned += [
        PlannedTask(
            task, tried[task.workload_hash, task.device_class], standing, has_ended(standing, spec.plateau)
        )
        for task, standing in zip(extras, standings[len(tasks) :], strict=True)
    ]
    open_keys = {one.key for one in undecided}
    certain = [model for model in models if (model.id, model.device.device_class) not in open_keys]
    capped = capped_tasks(undecided, certain)

    def until_decided(one: PlannedTask) -> PlannedTask:
        pair = one.task.workload_hash, one.task.device_class
        needed, cap = tried.get(pair, 0), 0
        if pair in capped:
            cap = needed
        elif undecided and spec.trials is not None:
            # With another layout the others' shares are others: what it has had by then is to be below that.
            cap = max(one.budget // 2, needed)
        return replace(one, tried=needed, cap=cap)

    return tuple(map(until_decided, planned))


def _merged(models: Sequence[ExtractedModel], spec: CampaignSpec) -> list[WantedTask]:
    merged: dict[tuple[str, str], WantedTask] = {}
    for model in models:
        for task in model.tasks:
            if not spec.wants(task.name):
                continue
            key = (task.workload.hash, model.device.device_class)
            known = merged.get(key)
            merged[key] = WantedTask(
                workload_hash=key[0],
                device_class=key[1],
                name=known.name if known else task.name,
                weight=task.weight + (known.weight if known else 0),
                flops=task.workload.flops,
            )
    return list(merged.values())
