"""What a person names of the store: a device class, a model that is known, a workload's device."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.kit.arguments import model_request, require_engine
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.text import device_text
from orchestrator.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from orchestrator.models.request import ModelRequest
    from orchestrator.storage import DeviceClassRow, ModelRow, Storage
    from workers.messages import DeviceInfo

__all__ = [
    "DEFAULT_ENGINE",
    "StoredModel",
    "device_class_named",
    "device_info",
    "device_of_workload",
    "stored_model",
    "tune_command",
]

DEFAULT_ENGINE = "metaschedule"


@dataclass(frozen=True)
class StoredModel:
    """A model of the store on one of its device classes.

    Attributes
    ----------
    engine_version : str
        Of the extraction that says what its tasks are.
    """

    id: int
    name: str
    device_class: str
    engine: str
    engine_version: str


def device_class_named(store: Storage, text: str, engine: str | None = None) -> DeviceClassRow:
    """Find a device class by its name, or by a part of it that only one has.

    Raises
    ------
    NotFoundError
        None has it; the text lists those there are.
    UsageError
        Several do.
    """
    classes = store.device_classes.all(engine)
    exact = [row for row in classes if row.name == text] or [
        row for row in classes if device_text(row.name) == text
    ]
    found = exact or [row for row in classes if text in row.name]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"--device {text!r} stands for several: {_listed(row.name for row in found)}")
    if classes:
        there = _listed(row.name for row in classes)
        raise NotFoundError(f"no device class {text!r} is stored; there are: {there}")
    raise NotFoundError("no device class is stored yet; `tunefleet tune MODEL.onnx` stores this machine's")


def device_info(row: DeviceClassRow) -> DeviceInfo:
    """Describe a stored device class to an engine, as if the device were there."""
    from workers.messages import DeviceInfo

    return DeviceInfo(row.target, row.name, row.model, row.cores, row.kind)


def device_of_workload(store: Storage, workload_hash: str, device: str | None, what: str) -> str:
    """Choose the device class whose trials of a workload are meant.

    Raises
    ------
    NotFoundError
        There is none.
    UsageError
        Several have some, and none was named.
    """
    there = store.workloads.device_classes(workload_hash)
    if device is not None:
        name = device_class_named(store, device).name
        if name not in there:
            others = f"; it has trials on: {_listed(there)}" if there else ""
            raise NotFoundError(f"no trial of {what} is stored on {name}{others}")
        return name
    if not there:
        raise NotFoundError(f"no trial of {what} is stored; tune a model that has it")
    return _only(there, what)


def stored_model(
    session: Session,
    store: Storage,
    model: Path,
    shapes: Sequence[str] | None,
    device: str | None,
    engine: str | None,
    *,
    any_device: bool = False,
) -> StoredModel:
    """Find a model in the store, and the device class whose times are meant.

    A file that is known is not read by an engine again: its tasks are those that were last extracted. Without
    input shapes it is what it was stored as; without a device it is the one where its tasks have times, or
    this machine.

    Parameters
    ----------
    any_device : bool
        Where several have times, any of them will do.

    Raises
    ------
    NotFoundError
        The device class isn't stored.
    UsageError
        The model has times on several, and none was named.
    """
    request = model_request(model, shapes)
    wanted = None if device is None else device_class_named(store, device, engine)
    known = _known(store, model, request)
    if known is not None:
        places = [
            place
            for place in store.extractions.device_classes(known.id)
            if (wanted is None or place.device_class == wanted.name)
            and (engine is None or place.engine == engine)
        ]
        timed = [place.device_class for place in places if place.tasks_timed]
        if len(timed) > 1 and not any_device:
            _only(timed, known.name)
        for place in places:
            if place.device_class in timed or not timed:
                return StoredModel(
                    known.id, known.name, place.device_class, place.engine, place.engine_version
                )
    return _extracted(session, store, request, wanted, engine)


def _known(store: Storage, model: Path, request: ModelRequest) -> ModelRow | None:
    """Find a file in the store; where no input shapes are asked for, those it was stored with will do."""
    stored = store.models.of_file(_sha256(model))
    exact = [row for row in stored if row.shapes_key == request.shapes_key]
    if exact or request.shapes or not stored:
        return exact[0] if exact else None
    if len(stored) == 1:
        return stored[0]
    several = " or ".join(
        f"--input-shape {' --input-shape '.join(row.shapes_key.split(';'))}" for row in stored
    )
    raise UsageError(f"{model} is stored with several input shapes; choose {several}")


def _extracted(
    session: Session,
    store: Storage,
    request: ModelRequest,
    wanted: DeviceClassRow | None,
    engine: str | None,
) -> StoredModel:
    """Have an engine read a model: its tasks may be known from other models."""
    from orchestrator.models.extraction import extract_model
    from orchestrator.toolbox import Toolbox

    name = wanted.engine if wanted else engine or DEFAULT_ENGINE
    require_engine(name)
    with Toolbox(name) as tools, session.steps() as steps:
        if wanted is None:
            steps("looking for the target")
        place = device_info(wanted) if wanted else tools.resolve_target("auto")
        found = extract_model(store, tools, request, place, say=steps)
        return StoredModel(found.id, found.prepared.name, place.device_class, name, found.engine_version)


def tune_command(
    session: Session,
    model: Path,
    shapes: Sequence[str] | None,
    target: str = "auto",
    engine: str = DEFAULT_ENGINE,
    board: str | None = None,
) -> str:
    """Write the command that tunes what was asked about."""
    how = [part for shape in shapes or () for part in ("--input-shape", shape)]
    if engine != DEFAULT_ENGINE:
        how += ["--engine", engine]
    if target != "auto":
        how += ["--target", target]
    if board is not None:
        how += ["--device", board]
    return session.command_line("tune", str(model), *how)


def _only(names: Sequence[str], what: str) -> str:
    if len(names) > 1:
        raise UsageError(f"{what} has times on several devices; choose one with --device: {_listed(names)}")
    return names[0]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _sha256(path: Path) -> str:
    """Name a model file as it was when it was stored.

    One whose weights are in other files has another name in the store, and counts as unknown here: to find
    those, an engine process has to read it.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
