"""The rows of trials: selected with the names of what they belong to, read, and inserted once each."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    select,
)

from orchestrator.storage._database import chunks
from orchestrator.storage._ids import (
    device_class_ids,
    storable,
    workload_ids,
)
from orchestrator.storage._tables import (
    DeviceClass,
    Trial,
    Workload,
)
from orchestrator.storage._types import insert_unless_there
from orchestrator.storage.rows import (
    NewTrial,
    TrialRow,
)
from workers.messages import (
    TrialState,
)

__all__ = ["insert_trials", "of_pair", "trial_columns", "trial_row", "trial_values", "trials_joined"]


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
        Trial.times,
        Trial.again,
        Trial.message,
        Trial.campaign_id,
        Trial.device,
        Trial.host,
        Trial.versions,
        Trial.build_s,
        Trial.run_s,
        Trial.token,
        Trial.created_at,
    ]
    return [*columns, Trial.trace] if trace else columns


def trials_joined(*, trace: bool) -> Select[Any]:
    """Select trials with the names of what they belong to."""
    return (
        select(*trial_columns(trace=trace))
        .select_from(Trial)
        .join(Workload, Workload.id == Trial.workload_id)
        .join(DeviceClass, DeviceClass.id == Trial.device_class_id)
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
        again=tuple(row.again),
        message=row.message,
        campaign_id=row.campaign_id,
        device=row.device,
        host=row.host,
        versions=dict(row.versions),
        build_s=row.build_s,
        run_s=row.run_s,
        token=row.token,
        created_at=row.created_at,
        trace=row.trace.decode() if trace else None,
    )


def insert_trials(
    connection: Connection, trials: Sequence[NewTrial | TrialRow], rows: Sequence[dict[str, Any]]
) -> int:
    """Insert trials, given with their columns, and return how many were new.

    One that is stored for its workload and device class is left as it is. :class:`NotFoundError` where a
    workload or device class isn't stored.
    """
    table: Any = Trial.__table__
    unique = ("workload_id", "device_class_id", "candidate")
    workloads = workload_ids(connection, (trial.workload_hash for trial in trials))
    classes = device_class_ids(connection, (trial.device_class for trial in trials))
    for trial, row in zip(trials, rows, strict=True):
        row["workload_id"] = workloads[trial.workload_hash]
        row["device_class_id"] = classes[trial.device_class]
    # One order for all writers, so that on PostgreSQL two can't wait for each other's rows; stable, so that
    # of two reports of one candidate the first counts.
    ordered = sorted(rows, key=lambda row: tuple(row[name] for name in unique))
    statement = insert_unless_there(table, connection.dialect.name, unique)
    # Not RETURNING: one statement for many rows is so long that psycopg parses it anew each time.
    counting = connection.execution_options(preserve_rowcount=True)
    return sum(counting.execute(statement, part).rowcount for part in chunks(ordered))


def trial_values(trial: NewTrial) -> dict[str, Any]:
    """Columns of a trial, all but the ids of its workload and device class."""
    measured = trial.measurement
    times, again = [float(t) for t in measured.times], [float(t) for t in trial.again]
    ok = measured.state is TrialState.OK
    if ok and not (times and all(math.isfinite(t) and t >= 0 for t in times)):
        raise ValueError(f"candidate {trial.candidate.hash} is called ok, but its times are {times}")
    if any(not math.isfinite(t) for t in times + again):
        # JSON has no infinity.
        raise ValueError(f"candidate {trial.candidate.hash} has times that are no numbers: {times}")
    return {
        "candidate": trial.candidate.hash,
        "trace": trial.candidate.trace.encode(),
        "state": measured.state.value,
        # The median: one repeat that was disturbed must not decide which schedule is the best.
        "cost_s": statistics.median(again or times) if ok else None,
        "times": times,
        "again": again,
        "message": storable(measured.message),
        "campaign_id": trial.campaign_id,
        "device": storable(measured.device),
        "host": storable(measured.host),
        "versions": dict(trial.versions),
        "build_s": trial.build_s,
        "run_s": measured.run_s,
        "token": trial.token,
    }
