"""What a person names of the store: a device class, a model whose times are meant, a workload's device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.kit.aim import Aim
from orchestrator.cli.kit.arguments import model_request, require_engine
from orchestrator.cli.kit.conversion_options import ConversionOptions
from orchestrator.cli.kit.options import DEFAULT_ENGINE
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.text import device_text
from orchestrator.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from orchestrator.models.lookup import StoredModel
    from orchestrator.storage import DeviceClassRow, Storage
    from orchestrator.toolbox import Toolbox

__all__ = ["device_class_named", "device_of_workload", "stored_model", "tune_command"]


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
        raise UsageError(f"--device {text!r} stands for several: {', '.join(row.name for row in found)}")
    if classes:
        there = ", ".join(row.name for row in classes)
        raise NotFoundError(f"no device class {text!r} is stored; there are: {there}")
    raise NotFoundError("no device class is stored yet; `tunefleet tune MODEL.onnx` stores this machine's")


def device_of_workload(store: Storage, workload_hash: str, device: str | None, what: str) -> str:
    """Choose the device class whose trials of a workload are meant.

    Raises
    ------
    NotFoundError
        There is none.
    UsageError
        Several have some, and none was named.
    """
    from orchestrator.models.lookup import only_device

    there = store.workloads.device_classes(workload_hash)
    if device is not None:
        name = device_class_named(store, device).name
        if name not in there:
            others = f"; it has trials on: {', '.join(there)}" if there else ""
            raise NotFoundError(f"no trial of {what} is stored on {name}{others}")
        return name
    if not there:
        raise NotFoundError(f"no trial of {what} is stored; tune a model that has it")
    return only_device(there, what)


def stored_model(
    session: Session,
    store: Storage,
    model: Path,
    shapes: Sequence[str] | None,
    device: str | None,
    engine: str | None,
    conversion: ConversionOptions,
    *,
    any_device: bool = False,
) -> StoredModel:
    """Find a model in the store, on the device whose times are meant.

    See :func:`orchestrator.models.lookup.find_timed_model`.

    Raises
    ------
    NotFoundError
        The device class isn't stored.
    UsageError
    """
    from orchestrator.models.lookup import find_timed_model

    wanted = None if device is None else device_class_named(store, device, engine)
    aim = Aim(engine or DEFAULT_ENGINE) if wanted is None else Aim(wanted.engine, (wanted.target,))
    request = model_request(session, model, shapes, conversion, aim)

    def open_tools(name: str | None) -> Toolbox:
        chosen = name or DEFAULT_ENGINE
        require_engine(chosen)
        return session.toolbox(chosen)

    with session.steps() as steps:
        return find_timed_model(
            store,
            open_tools,
            request,
            named=str(model),
            device=wanted,
            engine=engine,
            any_device=any_device,
            say=steps,
        )


def tune_command(
    session: Session,
    model: Path,
    shapes: Sequence[str] | None,
    conversion: ConversionOptions,
    target: str = "auto",
    engine: str = DEFAULT_ENGINE,
    board: str | None = None,
) -> str:
    """Write the command that tunes what was asked about."""
    how = [part for shape in shapes or () for part in ("--input-shape", shape)]
    # Code isn't run again, since it was converted now.
    how += conversion.chosen
    if engine != DEFAULT_ENGINE:
        how += ["--engine", engine]
    if target != "auto":
        how += ["--target", target]
    if board is not None:
        how += ["--device", board]
    return session.command_line("tune", str(model), *how)
