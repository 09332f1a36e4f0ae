"""What people ask of everything that is stored: the best, failures, devices, how much there is."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query

from orchestrator.documents.best import BestTask, first_of_each_class, stored_best_document
from orchestrator.documents.devices import devices_document
from orchestrator.documents.failures import failures_document
from orchestrator.documents.history import history_document
from orchestrator.documents.intervals import level_with
from orchestrator.documents.schema import titled
from orchestrator.documents.statistics import statistics_document, toolchains_of
from orchestrator.errors import NotFoundError
from orchestrator.models.lookup import only_device
from orchestrator.service.access.audit_json import audit_document
from orchestrator.service.access.identity import Admin, Reader
from orchestrator.service.api.best import Schedules, Top, best_document
from orchestrator.service.parts import Parts, parts_of
from orchestrator.service.reading import device_class, recent_checks, recent_devices, recent_statistics
from orchestrator.storage import BestOrder

__all__ = ["router"]

router = APIRouter(tags=["answers"])
_Parts = Annotated[Parts, Depends(parts_of)]
_Device = Annotated[str | None, Query(max_length=200, description="A device class, or a part of its name.")]
_Engine = Annotated[str | None, Query(max_length=100)]
_Last = Annotated[int | None, Query(ge=1, le=2**31 - 1, description="Only so many, the last ones.")]
_Document = dict[str, Any]


@router.get("/best")
def best(
    parts: _Parts,
    _who: Reader,
    device: _Device = None,
    engine: _Engine = None,
    sort: BestOrder = BestOrder.LATEST,
    limit: Annotated[int, Query(ge=1, le=1000)] = 20,
) -> _Document:
    """Return the best of every workload that is stored; the document of `tunefleet best`."""
    name = None if device is None else device_class(parts, device, engine).name
    rows = parts.store.answers.best(device_class=name, engine=engine, order=sort, limit=limit + 1)
    return titled("best-stored", stored_best_document(rows[:limit], more=len(rows) > limit))


@router.get("/workloads/{workload}/history")
def workload_history(
    parts: _Parts,
    _who: Reader,
    workload: Annotated[str, Path(max_length=64)],
    device: _Device = None,
    last: _Last = None,
) -> _Document:
    """Return how the best time of a workload went down; the document of `tunefleet history --workload`."""
    row = parts.store.workloads.resolve(workload)
    there = parts.store.workloads.device_classes(row.hash)
    if device is not None:
        name = device_class(parts, device).name
        there = [one for one in there if one == name]
    if not there:
        raise NotFoundError(f"no trial of {row.name} ({row.hash[:12]}) is stored there")
    only_device(there, f"{row.name} ({row.hash[:12]})")
    points = parts.store.answers.history(row.hash, there[0], last=last)
    if not points:
        raise NotFoundError(f"no trial of {row.name} ({row.hash[:12]}) succeeded on {there[0]}")
    return titled("history", history_document(row.name, there[0], 1, points, flops=row.flops))


@router.get("/workloads/{workload}/best")
def workload_best(
    parts: _Parts,
    _who: Reader,
    workload: Annotated[str, Path(max_length=64)],
    device: _Device = None,
    top: Top = 1,
    schedules: Schedules = False,
) -> _Document:
    """Return the best trials of a workload, by device class; the document of `tunefleet best --workload`."""
    row = parts.store.workloads.resolve(workload)
    name = None if device is None else device_class(parts, device, row.engine).name
    found = parts.store.trials.best(row.hash, name, max(2, top))
    if not found:
        where = f" on {name}" if name else ""
        raise NotFoundError(f"no trial of {row.name} ({row.hash[:12]}) succeeded{where}")
    shown = first_of_each_class(found, top)
    task = BestTask(row.name, row.hash, None, row.flops, shown, level_with(found))
    return best_document(parts, [task], schedules)


@router.get("/failures")
def failures(
    parts: _Parts,
    _who: Reader,
    device: _Device = None,
    engine: _Engine = None,
    workload: Annotated[str | None, Query(max_length=64)] = None,
    model: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    campaign: Annotated[str | None, Query(max_length=200)] = None,
) -> _Document:
    """Count how trials failed; the document of `tunefleet failures`."""
    name = None if device is None else device_class(parts, device, engine).name
    found = parts.store.answers.failures(
        device_class=name,
        engine=engine,
        workload_hash=None if workload is None else parts.store.workloads.resolve(workload).hash,
        model_id=None if model is None else parts.store.models.get(model).id,
        campaign_id=None if campaign is None else parts.store.campaigns.get(campaign).id,
    )
    return titled("failures", failures_document(found))


@router.get("/devices")
def devices(parts: _Parts, _who: Reader) -> _Document:
    """Say how the devices stand; the document of `tunefleet devices`."""
    return titled("devices", devices_document(recent_devices(parts), recent_checks(parts)))


@router.get("/statistics")
def statistics(parts: _Parts, _who: Reader) -> _Document:
    """Say how much is stored; the document of `tunefleet records stats`."""
    found = recent_statistics(parts)
    toolchains = toolchains_of(parts.store, found)
    return titled("records-stats", statistics_document(parts.store.url, found, toolchains))


@router.get("/audit")
def audit(parts: _Parts, _who: Admin, limit: Annotated[int, Query(ge=1, le=10000)] = 100) -> _Document:
    """Return what was changed through the service, the last first."""
    return titled("audit", audit_document(parts.store.audit.newest(limit)))
