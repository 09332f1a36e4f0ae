"""A model's tasks, extracted once for each target, layout and engine version."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from orchestrator.errors import EngineLostError, TunefleetError
from orchestrator.models.request import ModelRequest
from orchestrator.storage import Storage
from orchestrator.toolbox import Toolbox
from workers.messages import DeviceInfo, Extraction, PreparedModel, TaskSpec

__all__ = [
    "AUTO",
    "ExtractedModel",
    "extract_model",
    "layout_version",
    "split_version",
    "tuned_layout",
    "tuned_version",
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
        In the layout asked for, or that which the engine chose, where it says so.
    engine_version : str
        What the tasks are bound to, as :class:`Extraction` has it: the engine's version and that layout.
    remembered : bool
        The tasks came from the store.
    layout_reason : str
        Why the engine chose its layout, as :class:`Extraction` has it.
    """

    id: int
    request: ModelRequest
    prepared: PreparedModel
    device: DeviceInfo
    tasks: tuple[TaskSpec, ...]
    engine_version: str
    remembered: bool
    layout_reason: str = ""


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
        with _about(request.path):
            prepared = tools.prepare(request.path, request.shapes)
    model_id = store.models.put(prepared, request.path, request.shapes_key)
    store.device_classes.put(tools.engine, device)
    engine = tools.engine_version()
    if layout is None:
        layout = tuned_layout(store, model_id, tools.engine, device, engine)
    prepared = replace(prepared, layout=layout)
    version = layout_version(engine, layout)
    known = store.extractions.find(model_id, tools.engine, device.target, version)
    extraction: Extraction
    if known is not None:
        extraction = known
    else:
        say(f"importing {name} into TVM and looking for its tasks")
        with _about(request.path):
            extraction = replace(tools.extract(prepared, device.target), engine_version=version)
        store.extractions.put(model_id, tools.engine, device.target, extraction)
    # What was chosen once is not weighed again by every compilation.
    prepared = replace(prepared, layout=extraction.layout or layout)
    return ExtractedModel(
        model_id,
        request,
        prepared,
        device,
        extraction.tasks,
        version,
        known is not None,
        extraction.layout_reason,
    )


@contextlib.contextmanager
def _about(path: str) -> Iterator[None]:
    """Say which file a library refused, died of or was given up on: engines know its content."""
    try:
        yield
    except TunefleetError as error:
        if path in str(error):
            raise
        told = f"{path}: {error}"
        if isinstance(error, EngineLostError) and error.stage:
            # That an engine process died before anything began says nothing about the file.
            told += "; the file is damaged, or a library that reads it has a fault"
        named = type(error)(told)
        named.stage = error.stage
        raise named from error


def tuned_layout(store: Storage, model_id: int, engine: str, device: DeviceInfo, version: str) -> str:
    """Return the layout in which most of a model's tasks have a record, ``auto`` where none has any.

    Of those that are tuned alike, the one whose tasks take the least time together.
    """
    found = []
    for stored in store.extractions.versions(model_id, engine, device.target):
        base, layout = split_version(stored)
        if base == version:
            rows = store.trials.best_for_model(model_id, device.device_class, stored)
            timed = [row.weight * row.best.cost_s for row in rows if row.best and row.best.cost_s is not None]
            if timed:
                found.append((-len(timed) / len(rows), sum(timed), layout))
    return min(found, default=(0, 0, AUTO))[2]


def tuned_version(store: Storage, model_id: int, engine: str, device: DeviceInfo, version: str) -> str:
    """Return what an engine's extraction of a model in its :func:`tuned_layout` is bound to."""
    return layout_version(version, tuned_layout(store, model_id, engine, device, version))


def split_version(bound_to: str) -> tuple[str, str]:
    """Return the engine's version and the layout that an extraction is bound to."""
    version, _, layout = bound_to.partition(_LAYOUT_MARK)
    return version, layout or AUTO


def layout_version(engine: str, layout: str) -> str:
    """Return what an extraction is bound to: an engine's version, and a layout that was asked for."""
    return engine if layout == AUTO else f"{engine}{_LAYOUT_MARK}{layout}"
