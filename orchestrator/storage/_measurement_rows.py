"""The rows of measurements: selected with their toolchains, read, and inserted once each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from orchestrator.storage._database import chunks
from orchestrator.storage._ids import add_rows
from orchestrator.storage._standing import judge_anew
from orchestrator.storage._tables import Measurement, Toolchain
from orchestrator.storage._types import db_now
from orchestrator.storage.rows import MeasurementKind, MeasurementRow
from workers.messages import TrialState

__all__ = ["insert_measurements", "measurements_of"]


def measurements_of(connection: Connection, trial_ids: Iterable[int]) -> dict[int, list[MeasurementRow]]:
    """Select all measurements of trials, by their ids; the first of each first."""
    columns: list[Any] = [c for c in Measurement.__table__.c if c.key not in ("id", "toolchain_id")]
    found: dict[int, list[MeasurementRow]] = {}
    for part in chunks(sorted(trial_ids)):
        query = (
            select(*columns, Toolchain.versions)
            .join(Toolchain, Toolchain.id == Measurement.toolchain_id)
            .where(Measurement.trial_id.in_(part))
            .order_by(Measurement.trial_id, Measurement.id)
        )
        for row in connection.execute(query):
            found.setdefault(row.trial_id, []).append(_measurement_row(row))
    return found


def _measurement_row(row: Any) -> MeasurementRow:
    return MeasurementRow(
        kind=MeasurementKind(row.kind),
        state=TrialState(row.state),
        times=tuple(row.times),
        message=row.message,
        device=row.device,
        host=row.host,
        versions=json.loads(row.versions),
        build_s=row.build_s,
        run_s=row.run_s,
        token=row.token,
        measured_at=row.measured_at,
        counts=bool(row.counts),
        drift=row.drift,
    )


def insert_measurements(connection: Connection, values: Sequence[dict[str, Any]]) -> int:
    """Insert the measurements that aren't there, and have their trials judged by what there is then.

    Where nobody says when one was made, it is now, or when the trial's latest was if the clock was set back
    since: what is stored later is later.

    Returns how many were new.
    """
    table: Any = Measurement.__table__
    there: set[tuple[int, str, str]] = set()
    latest: dict[int, datetime] = {}
    for part in chunks(dict.fromkeys(one["trial_id"] for one in values)):
        query = select(table.c.trial_id, table.c.kind, table.c.token, table.c.measured_at)
        for row in connection.execute(query.where(table.c.trial_id.in_(part))):
            there.add((row.trial_id, row.kind, row.token))
            latest[row.trial_id] = max(row.measured_at, latest.get(row.trial_id, row.measured_at))
    missing = []
    now: datetime = connection.execute(select(db_now())).scalar_one()
    for one in values:
        key = one["trial_id"], one["kind"], one["token"]
        if key not in there:
            there.add(key)
            missing.append({"measured_at": max(now, latest.get(one["trial_id"], now)), **one})
    if not missing:
        return 0
    # A trial's earliest comes first: of several that were taken in one moment the last one counts.
    missing.sort(key=lambda one: (one["trial_id"], one["measured_at"]))
    new = add_rows(connection, Measurement, ("trial_id", "kind", "token"), missing)
    judge_anew(connection, {one["trial_id"] for one in missing})
    return new
