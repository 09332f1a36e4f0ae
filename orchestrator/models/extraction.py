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
    "decided_layout",
    "extract_model",
    "held_version",
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
    alternative : str
        The layout that came close, as :class:`Extraction` has it; empty where this one was asked for.
    """

    id: int
    request: ModelRequest
    prepared: PreparedModel
    device: DeviceInfo
    tasks: tuple[TaskSpec, ...]
    engine_version: str
    remembered: bool
    layout_reason: str = ""
    alternative: str = ""


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
        Of its activations, see :class:`PreparedModel`; by default the one that the model was tuned in. What
        was decided between two that are close is what ``auto`` means from then on.

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
    elif layout == AUTO:
        layout = decided_layout(store, model_id, tools.engine, device, engine)
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
        extraction.alternative,
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
    """Return the layout in which most of a model's tasks have a record.

    Of those that are tuned alike, the one whose tasks take the least time together. Where none has any, what
    ``auto`` means by now. Of two layouts that were tried out the one that was not chosen, or not yet, is left
    out, unless it was tuned because somebody named it.
    """
    auto, left_out = _auto_layout(store, model_id, engine, device, version)
    found = []
    for stored in store.extractions.versions(model_id, engine, device.target):
        base, layout = split_version(stored)
        if base == version and layout not in left_out:
            rows = store.trials.best_for_model(model_id, device.device_class, stored)
            timed = [row.weight * row.best.cost_s for row in rows if row.best and row.best.cost_s is not None]
            if timed:
                found.append((-len(timed) / len(rows), sum(timed), layout))
    return min(found, default=(0, 0, auto))[2]


def decided_layout(store: Storage, model_id: int, engine: str, device: DeviceInfo, version: str) -> str:
    """Return what ``auto`` means for a model by now: itself, or the layout that was chosen in its place."""
    return _auto_layout(store, model_id, engine, device, version)[0]


def _auto_layout(
    store: Storage, model_id: int, engine: str, device: DeviceInfo, version: str
) -> tuple[str, set[str]]:
    """Return what ``auto`` means by now, and which layouts don't count that this was tried out against."""
    for row in store.extractions.layouts(model_id, engine):
        if (row.device_class, row.engine_version) == (device.device_class, version) and row.alternative:
            named = store.layouts.asked_for(model_id)
            decided = store.layouts.decided(model_id, device.device_class, version)
            if decided is not None and decided.chosen == row.alternative:
                return row.alternative, {AUTO, row.layout} - named
            return AUTO, {row.alternative} - named
    return AUTO, set()


def held_version(store: Storage, model_id: int, engine: str, device: DeviceInfo, bound_to: str) -> str:
    """Return what an extraction is bound to, or where that was only tried out, what the model has instead."""
    version, layout = split_version(bound_to)
    auto, left_out = _auto_layout(store, model_id, engine, device, version)
    return layout_version(version, auto) if layout in left_out else bound_to


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
