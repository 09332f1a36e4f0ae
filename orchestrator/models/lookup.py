"""How a model is found in the store: by the hash of its file.

A model that is known this way is neither prepared nor searched for its tasks again. One that isn't is read by
an engine, once, and known from then on.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orchestrator.errors import UsageError
from orchestrator.files import digest_of_file
from orchestrator.models.extraction import (
    AUTO,
    decided_layout,
    extract_model,
    held_version,
    layout_version,
    split_version,
    tuned_version,
)
from orchestrator.models.request import ModelRequest
from orchestrator.storage import DeviceClassRow, ModelDeviceRow, ModelRow, Storage
from orchestrator.toolbox import Toolbox
from workers.messages import DeviceInfo, Origin

__all__ = ["StoredModel", "device_info", "find_model", "find_timed_model", "known_model", "only_device"]


@dataclass(frozen=True)
class StoredModel:
    """A model of the store on one of its device classes.

    Attributes
    ----------
    changes : tuple of str
        One sentence for every change made to the file on its import.
    engine_version : str
        Of the extraction that says what its tasks are.
    origin : Origin or None
        What the model was converted from, another precision's file included.
    """

    id: int
    name: str
    changes: tuple[str, ...]
    device: DeviceInfo
    engine: str
    engine_version: str
    origin: Origin | None

    @property
    def device_class(self) -> str:
        """Name of the device class."""
        return self.device.device_class


def known_model(store: Storage, request: ModelRequest) -> ModelRow | None:
    """Find a file in the store, as it was stored with these input shapes; None where it wasn't.

    One whose weights are in other files has another name in the store, and counts as unknown here: to find
    those, an engine process has to read it.
    """
    exact = [row for row in _of_file(store, request) if row.shapes_key == request.shapes_key]
    return exact[0] if exact else None


def known_in_any_shapes(store: Storage, request: ModelRequest, named: str) -> ModelRow | None:
    """Find a file in the store; where no input shapes are asked for, those it was stored with will do.

    Parameters
    ----------
    named : str
        How a person named the file.

    Raises
    ------
    UsageError
        It is stored with several input shapes, and none were asked for.
    """
    known = known_model(store, request)
    if known is not None or request.shapes:
        return known
    stored = _of_file(store, request)
    if len(stored) > 1:
        several = " or ".join(
            f"--input-shape {' --input-shape '.join(row.shapes_key.split(';'))}" for row in stored
        )
        raise UsageError(f"{named} is stored with several input shapes; choose {several}")
    return stored[0] if stored else None


def find_model(
    store: Storage,
    tools: Toolbox,
    request: ModelRequest,
    device: DeviceInfo,
    *,
    version: str | None = None,
    layout: str | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> StoredModel:
    """Find a model on a device, with its tasks in a layout.

    Parameters
    ----------
    tools : Toolbox
        Of the engine whose tasks are meant; it is asked nothing where the store knows all.
    version : str, optional
        The engine's version that the tasks have to be of; left out, the one they were last found by.
    layout : str, optional
        Left out, that in which a build would take it.

    Raises
    ------
    ModelError
        The file isn't known and can't be imported.
    """
    known = known_model(store, request)
    if known is not None:
        stored = store.extractions.versions(known.id, tools.engine, device.target)
        if version is None and stored:
            version = split_version(stored[-1])[0]
        store.device_classes.put(tools.engine, device)
        if version is not None:
            of_layout = (
                tuned_version(store, known.id, tools.engine, device, version)
                if layout is None
                else _version_in(store, known.id, tools.engine, device, version, layout)
            )
            if of_layout in stored:
                # The name is the file's own now: it may have been another's, with the same content.
                name = pathlib.Path(request.path).stem
                return StoredModel(
                    known.id, name, known.changes, device, tools.engine, of_layout, known.origin
                )
    return _read(store, tools, request, device, say, layout)


def find_timed_model(
    store: Storage,
    open_tools: Callable[[str | None], Toolbox],
    request: ModelRequest,
    *,
    named: str,
    device: DeviceClassRow | None = None,
    engine: str | None = None,
    any_device: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> StoredModel:
    """Find a model on the device where its tasks have times, with the tasks that were last extracted.

    Parameters
    ----------
    open_tools : callable
        Gives the processes of an engine, by its name, or of the default one; called where the file isn't
        known.
    named : str
        How a person named the file.
    device : DeviceClassRow, optional
        The one that is meant; left out, the one where its tasks have times, or this machine.
    engine : str, optional
        The one whose times are meant; left out, any.
    any_device : bool, optional
        Where several have times, any of them will do.

    Raises
    ------
    UsageError
        The model has times on several devices, and none was named; or see :func:`known_in_any_shapes`.
    """
    known = known_in_any_shapes(store, request, named)
    if known is not None:
        place = _timed_place(store, known, device, engine, any_device)
        if place is not None:
            classes = store.device_classes.all(place.engine)
            (info,) = (device_info(row) for row in classes if row.name == place.device_class)
            version = held_version(store, known.id, place.engine, info, place.engine_version)
            return StoredModel(known.id, known.name, known.changes, info, place.engine, version, known.origin)
    with open_tools(device.engine if device else engine) as tools:
        if device is None:
            say("looking for the target")
        here = device_info(device) if device else tools.resolve_target("auto")
        return _read(store, tools, request, here, say)


def _of_file(store: Storage, request: ModelRequest) -> list[ModelRow]:
    return store.models.of_file(digest_of_file(request.path))


def _timed_place(
    store: Storage, model: ModelRow, device: DeviceClassRow | None, engine: str | None, any_device: bool
) -> ModelDeviceRow | None:
    """Choose among the devices that a model was extracted for: the one that has times, or the first."""
    places = [
        place
        for place in store.extractions.device_classes(model.id)
        if (device is None or place.device_class == device.name)
        and (engine is None or place.engine == engine)
    ]
    timed = [place.device_class for place in places if place.tasks_timed]
    if len(timed) > 1 and not any_device:
        only_device(timed, model.name)
    for place in places:
        if place.device_class in timed or not timed:
            return place
    return None


def _version_in(
    store: Storage, model_id: int, engine: str, device: DeviceInfo, version: str, layout: str
) -> str:
    if layout == AUTO:
        layout = decided_layout(store, model_id, engine, device, version)
    return layout_version(version, layout)


def _read(
    store: Storage,
    tools: Toolbox,
    request: ModelRequest,
    device: DeviceInfo,
    say: Callable[[str], None],
    layout: str | None = None,
) -> StoredModel:
    """Have an engine read a model: its tasks may be known from other models."""
    found = extract_model(store, tools, request, device, say=say, layout=layout)
    model = found.prepared
    return StoredModel(
        found.id, model.name, model.changes, device, tools.engine, found.engine_version, model.origin
    )


def device_info(row: DeviceClassRow) -> DeviceInfo:
    """Describe a stored device class to an engine, as if the device were there."""
    return DeviceInfo(row.target, row.name, row.model, row.cores, row.kind)


def only_device(names: Sequence[str], what: str) -> str:
    """Return the one device class that has times of something.

    Raises
    ------
    UsageError
        There are several, and none was named.
    """
    if len(names) > 1:
        raise UsageError(f"{what} has times on several devices; choose one with --device: {', '.join(names)}")
    return names[0]
