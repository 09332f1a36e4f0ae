"""How a campaign's models became faster."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from orchestrator.storage._campaign_rows import span_of
from orchestrator.storage._group import Group
from orchestrator.storage._inside_rows import insides_of_campaign
from orchestrator.storage._tables import Beginning, CampaignModel, DeviceClass, Task, Workload
from orchestrator.storage.answers.history import improvements_of, in_time
from orchestrator.storage.rows import CurveRow, ImprovementRow, Inside

__all__ = ["CurveAnswer"]

# A point that is less than this part below the one before it is left out, but for the last.
_LEAST_STEP = 0.001


class CurveAnswer(Group):
    """How fast were its models estimated to be, and when?"""

    def curves(self, campaign_id: int) -> list[CurveRow]:
        """Return the curve of a campaign on each of its device classes; none before its tasks are known.

        Raises
        ------
        NotFoundError
            No such campaign.
        """

        def work(connection: Connection) -> list[CurveRow]:
            span = span_of(connection, campaign_id)
            insides = insides_of_campaign(connection, campaign_id)
            return [
                CurveRow(
                    of_class.name,
                    *_beginning(connection, campaign_id, of_class.id),
                    _points(
                        _sums(
                            _weights(connection, campaign_id, of_class.id),
                            {task: one for (task, name), one in insides.items() if name == of_class.name},
                            in_time(_improvements(connection, campaign_id, of_class.id)),
                        ),
                        *span,
                    ),
                )
                for of_class in connection.execute(_classes(campaign_id)).all()
            ]

        return self._database.read(work)


def _classes(campaign_id: int) -> Any:
    """Select the device classes of the tasks that a campaign's models call."""
    return (
        select(DeviceClass.id, DeviceClass.name)
        .join(Task, Task.device_class_id == DeviceClass.id)
        .where(Task.campaign_id == campaign_id, Task.weight > 0)
        .group_by(DeviceClass.id, DeviceClass.name)
        .order_by(DeviceClass.name)
    )


def _weights(connection: Connection, campaign_id: int, class_id: int) -> dict[str, int]:
    """Return how often a campaign's models call each of its tasks, by the hash of the workload."""
    query = (
        select(Workload.hash, Task.weight)
        .join(Task, Task.workload_id == Workload.id)
        .where(Task.campaign_id == campaign_id, Task.device_class_id == class_id, Task.weight > 0)
    )
    return {row.hash: row.weight for row in connection.execute(query)}


def _improvements(connection: Connection, campaign_id: int, class_id: int) -> Sequence[Any]:
    tasks = select(Task.workload_id, Task.name, Task.weight).where(
        Task.campaign_id == campaign_id, Task.device_class_id == class_id, Task.weight > 0
    )
    return connection.execute(improvements_of(tasks.subquery("tasks"), class_id, None)).all()


def _beginning(connection: Connection, campaign_id: int, class_id: int) -> tuple[float | None, float | None]:
    """Add up how fast the campaign's models were when it began."""
    models = select(func.count(CampaignModel.model_id.distinct())).where(
        CampaignModel.campaign_id == campaign_id
    )
    query = select(Beginning.library_s, Beginning.reference_s).where(
        Beginning.campaign_id == campaign_id, Beginning.device_class_id == class_id
    )
    rows = connection.execute(query).all()
    if not rows or len(rows) < connection.execute(models).scalar_one():
        return None, None
    return _sum(row.library_s for row in rows), _sum(row.reference_s for row in rows)


def _sum(values: Iterable[float | None]) -> float | None:
    known = list(values)
    return None if None in known else sum(value for value in known if value is not None)


def _points(
    sums: Iterable[tuple[datetime, float]], started: datetime | None, ended: datetime | None
) -> tuple[tuple[float, float], ...]:
    if started is None:
        return ()
    timed = [
        (max(0.0, (at - started).total_seconds()), latency_s)
        for at, latency_s in sums
        # What is later than its end is what later campaigns found.
        if ended is None or at <= ended
    ]
    points: list[tuple[float, float]] = []
    last_s = 0.0
    for number, (at_s, latency_s) in enumerate(timed, 1):
        # What was measured anew comes in the order in which it was first recorded.
        last_s = at_s = max(last_s, at_s)
        if at_s == 0.0:
            points = [(at_s, latency_s)]  # what was stored before it began is one point
        elif not points or number == len(timed) or latency_s <= points[-1][1] * (1 - _LEAST_STEP):
            points.append((at_s, latency_s))
    return tuple(points)


def _sums(
    weights: Mapping[str, int], insides: Mapping[str, Inside], rows: Sequence[ImprovementRow]
) -> Iterator[tuple[datetime, float]]:
    """Yield what all tasks take in one inference, from when that is known of each, whenever it changes."""
    best_s: dict[str, float] = {}
    calls_s: dict[str, float] = {}
    events: list[tuple[datetime, str, float]] = [
        (inside.seen_at, workload, math.inf) for workload, inside in insides.items() if workload in weights
    ]
    events += [(row.recorded_at, row.workload_hash, row.cost_s) for row in rows]
    # Sorting keeps the order of what was recorded at one instant.
    for at, workload, cost_s in sorted(events, key=lambda event: event[0]):
        if cost_s >= best_s.get(workload, math.inf) and workload in calls_s:
            continue
        best_s[workload] = cost_s
        inside = insides.get(workload)
        calls_s[workload] = cost_s if inside is None else inside.expected_s(_finite(cost_s))
        if len(calls_s) == len(weights):
            yield at, sum(weights[one] * call_s for one, call_s in calls_s.items())


def _finite(seconds: float) -> float | None:
    return seconds if math.isfinite(seconds) else None
