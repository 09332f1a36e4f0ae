"""The plan of a campaign: its models with their tasks, its devices, and what is to be measured on them."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orchestrator.campaigns.planning.budgets import PlannedTask, WantedTask, plan_tasks
from orchestrator.campaigns.spec import CampaignSpec
from orchestrator.devices.targets import resolve_boards, resolve_targets
from orchestrator.errors import ModelError, UsageError
from orchestrator.models.extraction import ExtractedModel, extract_model
from orchestrator.storage import Storage
from orchestrator.toolbox import Toolbox
from workers.messages import DeviceInfo, PreparedModel

__all__ = ["CampaignPlan", "make_plan"]


@dataclass(frozen=True)
class CampaignPlan:
    """What a campaign would do.

    Attributes
    ----------
    models : tuple of ExtractedModel
        One for each model and device.
    tasks : tuple of PlannedTask
        Merged over the models, so that a shared workload is there once.
    """

    models: tuple[ExtractedModel, ...]
    devices: tuple[DeviceInfo, ...]
    tasks: tuple[PlannedTask, ...]

    @property
    def missing(self) -> int:
        """Trials to be measured, at most."""
        return sum(task.missing for task in self.tasks)

    @property
    def stored(self) -> int:
        """Trials that are stored already and count toward the budget."""
        return sum(min(task.budget, task.standing.stored) for task in self.tasks)


def make_plan(
    store: Storage,
    tools: Toolbox,
    spec: CampaignSpec,
    say: Callable[[str], None] = lambda _: None,
    devices: tuple[DeviceInfo, ...] | None = None,
) -> CampaignPlan:
    """Find out what a campaign has to do.

    Parameters
    ----------
    devices : tuple of DeviceInfo, optional
        What its targets mean, where this machine need not have them; left out, what they mean here.

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
    extracted: list[ExtractedModel] = []
    for request in spec.models:
        prepared: PreparedModel | None = None
        for device in devices:
            extracted.append(extract_model(store, tools, request, device, prepared, say, spec.layout))
            prepared = extracted[-1].prepared
    tasks = _merged(extracted, spec)
    if not tasks:
        names = ", ".join(pathlib.Path(request.path).name for request in spec.models)
        if spec.tasks is not None:
            raise UsageError(f"no task of {names} has a name that --tasks {spec.tasks!r} is found in")
        raise ModelError(f"{names} has no task to tune")
    standings = store.tasks.standings([(task.workload_hash, task.device_class) for task in tasks])
    planned = plan_tasks(
        tasks,
        standings,
        trials=spec.trials,
        trials_per_task=spec.trials_per_task,
        plateau=spec.plateau,
        timed=spec.time_s is not None,
    )
    return CampaignPlan(tuple(extracted), devices, tuple(planned))


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
