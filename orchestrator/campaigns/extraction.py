"""From model files to what is to be tuned, using what the store remembers."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.campaigns.planning import PlannedTask, WantedTask, plan_tasks
from orchestrator.campaigns.spec import CampaignSpec, ModelRequest
from orchestrator.errors import ModelError, UsageError
from orchestrator.fleet import Toolbox
from orchestrator.storage import Storage
from workers.messages import DeviceInfo, Extraction, PreparedModel, TaskSpec

__all__ = [
    "CampaignPlan",
    "ExtractedModel",
    "extract_model",
    "make_plan",
    "resolve_boards",
    "resolve_targets",
]


@dataclass(frozen=True)
class ExtractedModel:
    """A model, ready, and its tasks for one device.

    Attributes
    ----------
    id : int
        In the store.
    remembered : bool
        The tasks came from the store.
    """

    id: int
    request: ModelRequest
    prepared: PreparedModel
    device: DeviceInfo
    tasks: tuple[TaskSpec, ...]
    remembered: bool


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


def resolve_targets(tools: Toolbox, targets: Sequence[str]) -> tuple[DeviceInfo, ...]:
    """Return the devices of `targets`, each once."""
    devices = {device.device_class: device for device in map(tools.resolve_target, targets)}
    return tuple(devices.values())


def resolve_boards(tools: Toolbox, boards: Mapping[str, str]) -> dict[str, DeviceInfo]:
    """Return the devices that registered themselves under these keys, each of the target given for it.

    What such a board is nobody but its owner knows: its key stands for the device's model, as TVM's users
    choose keys (``rpi4b``, ``rk3399``), and is part of the device class.
    """
    found = {}
    for key, target in boards.items():
        device = tools.resolve_target(target)
        short = device.device_class.partition("@")[0]
        found[key] = replace(
            device, device_class=f"{short}@{key.lower()}", model=key, unfit=f"it is device {key}"
        )
    return found


def extract_model(
    store: Storage,
    tools: Toolbox,
    request: ModelRequest,
    device: DeviceInfo,
    prepared: PreparedModel | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> ExtractedModel:
    """Prepare a model and find its tasks for a device, and store both.

    Raises
    ------
    ModelError
        Where the file can't be imported.
    """
    name = pathlib.Path(request.path).name
    if prepared is None:
        say(f"preparing {name}")
        prepared = tools.prepare(request.path, request.shapes)
    model_id = store.put_model(prepared, request.path, request.shapes_key)
    store.put_device_class(tools.engine, device)
    version = tools.engine_version()
    known = store.get_extraction(model_id, tools.engine, device.target, version)
    extraction: Extraction
    if known is not None:
        extraction = known
    else:
        say(f"importing {name} into TVM and looking for its tasks")
        extraction = tools.extract(prepared, device.target)
        store.put_extraction(model_id, tools.engine, device.target, extraction)
    return ExtractedModel(model_id, request, prepared, device, extraction.tasks, known is not None)


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
            extracted.append(extract_model(store, tools, request, device, prepared, say))
            prepared = extracted[-1].prepared
    tasks = _merged(extracted, spec)
    if not tasks:
        names = ", ".join(pathlib.Path(request.path).name for request in spec.models)
        if spec.tasks is not None:
            raise UsageError(f"no task of {names} has a name that --tasks {spec.tasks!r} is found in")
        raise ModelError(f"{names} has no task to tune")
    standings = store.standings([(task.workload_hash, task.device_class) for task in tasks])
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
