"""The rows of trials: selected with the names of what they belong to, read, and inserted once each."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    insert,
    select,
    true,
)

from orchestrator.storage._database import chunks
from orchestrator.storage._ids import (
    add_rows,
    storable,
    workload_ids,
)
from orchestrator.storage._standing import cost_of, is_stale, that_counts
from orchestrator.storage._tables import (
    DeviceClass,
    Measurement,
    Toolchain,
    Trial,
    Workload,
)
from orchestrator.storage._toolchain_rows import first_toolchain, put_toolchains, told, with_release
from orchestrator.storage._types import db_now
from orchestrator.storage.rows import (
    MeasurementKind,
    NewTrial,
    TrialRow,
)
from workers.messages import Measurement as MeasurementMessage
from workers.messages import (
    TrialState,
)

__all__ = [
    "insert_trials",
    "measurement_values",
    "of_pair",
    "toolchain_of",
    "trial_columns",
    "trial_row",
    "trial_values",
    "trials_joined",
]


def of_pair(workload_hash: str, device_class: str) -> ColumnElement[bool]:
    """Match the trials of a workload on a device class.

    By subqueries: that a join gives one of each, PostgreSQL doesn't see, and sorts all trials of the pair
    where an index has them in their order.
    """
    return and_(
        Trial.workload_id == select(Workload.id).where(Workload.hash == workload_hash).scalar_subquery(),
        Trial.device_class_id
        == select(DeviceClass.id).where(DeviceClass.name == device_class).scalar_subquery(),
    )


def toolchain_of(device_class: str) -> ColumnElement[Any]:
    """Select the key of the toolchain that a device class is measured with now."""
    return select(DeviceClass.toolchain).where(DeviceClass.name == device_class).scalar_subquery()


def trial_columns(*, trace: bool) -> list[Any]:
    """Columns :func:`trial_row` reads; traces are large, so only where asked for."""
    columns = [
        Trial.id.label("trial_id"),
        Workload.hash.label("workload_hash"),
        Workload.name.label("workload_name"),
        DeviceClass.name.label("device_class"),
        Trial.candidate,
        Trial.state.label("trial_state"),
        Trial.cost_s,
        Trial.toolchain,
        is_stale().label("stale"),
        Trial.campaign_id,
        Trial.created_at,
        Measurement.kind,
        Measurement.times,
        Measurement.message,
        Measurement.device,
        Measurement.host,
        Measurement.build_s,
        Measurement.run_s,
        Measurement.token,
        Measurement.measured_at,
        Measurement.drift,
        Toolchain.versions,
    ]
    return [*columns, Trial.trace] if trace else columns


def trials_joined(*, trace: bool) -> Select[Any]:
    """Select trials with the names of what they belong to, and the measurement that counts."""
    return (
        select(*trial_columns(trace=trace))
        .select_from(Trial)
        .join(Workload, Workload.id == Trial.workload_id)
        .join(DeviceClass, DeviceClass.id == Trial.device_class_id)
        .join(Measurement, that_counts())
        .join(Toolchain, Toolchain.id == Measurement.toolchain_id)
    )


def trial_row(row: Row[Any], *, trace: bool) -> TrialRow:
    """Read the columns of :func:`trial_columns`."""
    return TrialRow(
        id=row.trial_id,
        workload_hash=row.workload_hash,
        workload_name=row.workload_name,
        device_class=row.device_class,
        candidate=row.candidate,
        state=TrialState(row.trial_state),
        cost_s=row.cost_s,
        times=tuple(row.times),
        message=row.message,
        campaign_id=row.campaign_id,
        device=row.device,
        host=row.host,
        versions=json.loads(row.versions),
        build_s=row.build_s,
        run_s=row.run_s,
        token=row.token,
        created_at=row.created_at,
        trace=row.trace.decode() if trace else None,
        kind=MeasurementKind(row.kind),
        measured_at=row.measured_at,
        toolchain=row.toolchain,
        stale=bool(row.stale),
        drift=row.drift,
    )


def insert_trials(
    connection: Connection,
    trials: Sequence[NewTrial],
    values: Sequence[dict[str, Any]],
    toolchains: dict[str, int],
) -> int:
    """Insert trials with their first measurements, and return how many were new.

    One that is stored for its workload and device class is left as it is, with all its measurements.
    :class:`NotFoundError` where a workload or device class isn't stored.

    Parameters
    ----------
    values : sequence of dict
        Of each trial, see :func:`trial_values`.
    toolchains : dict of str to int
        Ids of those that are known to be stored, by their texts; those that aren't are added.
    """
    unique = ("workload_id", "device_class_id", "candidate")
    workloads = workload_ids(connection, (trial.workload_hash for trial in trials))
    with_keys = zip(reversed(trials), reversed(values), strict=True)
    classes = first_toolchain(connection, {trial.device_class: row["toolchain"] for trial, row in with_keys})
    unknown = {row["versions"] for row in values} - toolchains.keys()
    toolchains |= put_toolchains(connection, unknown) if unknown else {}
    rows = [
        {
            **row,
            "workload_id": workloads[trial.workload_hash],
            "device_class_id": classes[trial.device_class],
            "toolchain_id": toolchains[row["versions"]],
        }
        for trial, row in zip(trials, values, strict=True)
    ]
    # One order for all writers, so that on PostgreSQL two can't wait for each other's rows; stable, so that
    # of two reports of one candidate the first counts.
    rows.sort(key=lambda row: tuple(row[name] for name in unique))
    names = (*unique, "trace", "state", "cost_s", "toolchain", "campaign_id")
    new = add_rows(connection, Trial, unique, [{name: row[name] for name in names} for row in rows])
    first = _first_measurement()
    for part in chunks(rows):
        connection.execute(
            first,
            [
                {f"new_{name}": row[name] for name in (*unique, "toolchain_id", *_MEASURED, "state")}
                for row in part
            ],
        )
    return new


_MEASURED = ("kind", "times", "message", "device", "host", "build_s", "run_s", "token", "drift")


@functools.cache
def _first_measurement() -> Any:
    """Insert a trial's measurement where it has none.

    What was reported later of a candidate that is stored has no effect, and a report that is repeated
    neither: by then the trial has one.
    """
    measurements: Any = Measurement.__table__

    def given(name: str) -> Any:
        return bindparam(f"new_{name}", type_=measurements.c[name].type)

    columns = ("toolchain_id", *_MEASURED, "state")
    has_one = select(Measurement.id).where(Measurement.trial_id == Trial.id).exists()
    found = select(
        Trial.id, true().label("counts"), db_now().label("measured_at"), *(given(name) for name in columns)
    ).where(
        Trial.workload_id == bindparam("new_workload_id"),
        Trial.device_class_id == bindparam("new_device_class_id"),
        Trial.candidate == bindparam("new_candidate"),
        ~has_one,
    )
    return insert(measurements).from_select(["trial_id", "counts", "measured_at", *columns], found)


def trial_values(trial: NewTrial) -> dict[str, Any]:
    """Columns of a trial and of its first measurement, all but ids; the toolchain as its text and its key."""
    # Of what another program measured no release of this one is a part.
    imported = trial.kind is MeasurementKind.IMPORTED
    versions = dict(trial.versions) if imported else with_release(trial.versions)
    text, key = told(frozenset(versions.items()))
    measured = measurement_values(trial.measurement, trial.kind, trial.candidate.hash)
    return {
        **measured,
        "candidate": trial.candidate.hash,
        "trace": trial.candidate.trace.encode(),
        "cost_s": cost_of(measured["state"], measured["times"]),
        "toolchain": key,
        "versions": text,
        "campaign_id": trial.campaign_id,
        "build_s": trial.build_s,
        "token": trial.token,
        "drift": trial.drift,
    }


def measurement_values(
    measured: MeasurementMessage, kind: MeasurementKind | None, candidate: str
) -> dict[str, Any]:
    """Columns that a measurement has of what came of it.

    Raises
    ------
    ValueError
        It is called ok without a time, or has times that are no numbers.
    """
    times = [float(t) for t in measured.times]
    ok = measured.state is TrialState.OK
    if ok and not (times and all(math.isfinite(t) and t >= 0 for t in times)):
        raise ValueError(f"candidate {candidate} is called ok, but its times are {times}")
    if any(not math.isfinite(t) for t in times):
        # JSON has no infinity.
        raise ValueError(f"candidate {candidate} has times that are no numbers: {times}")
    if kind is None:
        kind = MeasurementKind.SHORT if ok and measured.message else MeasurementKind.FULL
    return {
        "kind": kind.value,
        "state": measured.state.value,
        "times": times,
        "message": storable(measured.message),
        "device": storable(measured.device),
        "host": storable(measured.host),
        "run_s": measured.run_s,
    }
