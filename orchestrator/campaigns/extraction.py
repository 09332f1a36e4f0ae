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
    "AUTO",
    "CampaignPlan",
    "ExtractedModel",
    "extract_model",
    "make_plan",
    "resolve_boards",
    "resolve_targets",
    "tuned_layout",
]

#: The layout that an engine chooses itself.
AUTO = "auto"
# Between an engine's version and a layout, in what an extraction is bound to.
_LAYOUT_MARK = "+"


@dataclass(frozen=True)
class ExtractedModel:
    """A model, ready, and its tasks for one device.

    Attributes
    ----------
    id : int
        In the store.
    prepared : PreparedModel
        With the layout asked for.
    engine_version : str
        What the tasks are bound to, as :class:`Extraction` has it: the engine's version and that layout.
    remembered : bool
        The tasks came from the store.
    """

    id: int
    request: ModelRequest
    prepared: PreparedModel
    device: DeviceInfo
    tasks: tuple[TaskSpec, ...]
    engine_version: str
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
    layout: str | None = None,
) -> ExtractedModel:
    """Prepare a model and find its tasks for a device, and store both.

    Parameters
    ----------
    layout : str, optional
        Of its activations, see :class:`PreparedModel`; by default the one that the model was tuned in.

    Raises
    ------
    ModelError
        Where the file can't be imported.
    UsageError
        Where the engine has no such layout.
    """
    if layout not in (None, AUTO):
        tools.check_layout(layout)
    name = pathlib.Path(request.path).name
    if prepared is None:
        say(f"preparing {name}")
        prepared = tools.prepare(request.path, request.shapes)
    model_id = store.put_model(prepared, request.path, request.shapes_key)
    store.put_device_class(tools.engine, device)
    engine = tools.engine_version()
    if layout is None:
        layout = tuned_layout(store, model_id, tools.engine, device, engine)
    prepared = replace(prepared, layout=layout)
    version = _version(engine, layout)
    known = store.get_extraction(model_id, tools.engine, device.target, version)
    extraction: Extraction
    if known is not None:
        extraction = known
    else:
        say(f"importing {name} into TVM and looking for its tasks")
        extraction = replace(tools.extract(prepared, device.target), engine_version=version)
        store.put_extraction(model_id, tools.engine, device.target, extraction)
    return ExtractedModel(model_id, request, prepared, device, extraction.tasks, version, known is not None)


def tuned_layout(store: Storage, model_id: int, engine: str, device: DeviceInfo, version: str) -> str:
    """Return the layout in which most of a model's tasks have a record, ``auto`` where none has any.

    Of those that are tuned alike, the one whose tasks take the least time together.
    """
    found = []
    for stored in store.extraction_versions(model_id, engine, device.target):
        base, _, layout = stored.partition(_LAYOUT_MARK)
        if base == version:
            rows = store.best_for_model(model_id, device.device_class, stored)
            timed = [row.weight * row.best.cost_s for row in rows if row.best and row.best.cost_s is not None]
            if timed:
                found.append((-len(timed) / len(rows), sum(timed), layout or AUTO))
    return min(found, default=(0, 0, AUTO))[2]


def _version(engine: str, layout: str) -> str:
    return engine if layout == AUTO else f"{engine}{_LAYOUT_MARK}{layout}"


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
