"""The rows of measurements: selected with their toolchains, read, and inserted once each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from sqlalchemy import Connection, select

from orchestrator.storage._database import chunks
from orchestrator.storage._standing import judge_anew
from orchestrator.storage._tables import Measurement, Toolchain
from orchestrator.storage._types import insert_unless_there
from orchestrator.storage.rows import MeasurementKind, MeasurementRow
from workers.messages import TrialState

__all__ = ["insert_measurements", "measurement_columns", "measurement_row"]

# Where nobody says when, it is now.
_LAST = datetime.max.replace(tzinfo=timezone.utc)


def measurement_columns() -> list[Any]:
    """Columns :func:`measurement_row` reads, and the trial's id."""
    own: list[Any] = [c for c in Measurement.__table__.c if c.key not in ("id", "toolchain_id")]
    return [*own, Toolchain.versions]


def measurement_row(row: Any) -> MeasurementRow:
    """Read the columns of :func:`measurement_columns`."""
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
    )


def insert_measurements(connection: Connection, values: Sequence[dict[str, Any]]) -> int:
    """Insert the measurements that aren't there, and have their trials judged by what there is then.

    Returns how many were new.
    """
    table: Any = Measurement.__table__
    there: set[tuple[int, str, str]] = set()
    for part in chunks(dict.fromkeys(one["trial_id"] for one in values)):
        query = select(table.c.trial_id, table.c.kind, table.c.token).where(table.c.trial_id.in_(part))
        there |= {(row.trial_id, row.kind, row.token) for row in connection.execute(query)}
    missing = []
    for one in values:
        key = one["trial_id"], one["kind"], one["token"]
        if key not in there:
            there.add(key)
            missing.append(one)
    if not missing:
        return 0
    # A trial's earliest comes first: of several that were taken in one moment the last one counts.
    missing.sort(key=lambda one: (one["trial_id"], one.get("measured_at", _LAST)))
    statement = insert_unless_there(table, connection.dialect.name, ("trial_id", "kind", "token"))
    counting_rows = connection.execution_options(preserve_rowcount=True)
    new = sum(counting_rows.execute(statement, part).rowcount for part in chunks(missing))
    judge_anew(connection, {one["trial_id"] for one in missing})
    return new
