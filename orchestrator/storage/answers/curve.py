"""How a campaign's models became faster."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, func, select

from orchestrator.storage._campaign_rows import span_of
from orchestrator.storage._group import Group
from orchestrator.storage._inside_rows import insides_of_campaign
from orchestrator.storage._standing import cost_of, counting, judged_by
from orchestrator.storage._tables import (
    Beginning,
    CampaignModel,
    DeviceClass,
    Measurement,
    Task,
    Toolchain,
    Trial,
    Workload,
)
from orchestrator.storage.answers.history import improvements_of, in_time
from orchestrator.storage.rows import CurveRow, Inside, MeasurementKind, expected_call_s

__all__ = ["CurveAnswer"]

# When a workload took how many seconds.
_Event = tuple[datetime, str, float]
# A point that is less than this part below the one before it is left out, but for the last.
_LEAST_STEP = 0.001


class CurveAnswer(Group):
    """How fast were its models estimated to be, and when?"""

    def curves(self, campaign_id: int) -> list[CurveRow]:
        """Return the curve of a campaign on each of its device classes; none before its tasks are known.

        With the toolchain that it measured with: of one that has ended, a later one changes nothing.

        Raises
        ------
        NotFoundError
            No such campaign.
        """

        def work(connection: Connection) -> list[CurveRow]:
            started, ended = span_of(connection, campaign_id)
            return [
                CurveRow(
                    of_class.name,
                    *_beginning(connection, campaign_id, of_class.id),
                    _points(_sums(*_known(connection, campaign_id, of_class, ended=ended)), started, ended),
                )
                for of_class in connection.execute(_classes(campaign_id)).all()
            ]

        return self._database.read(work)


def _classes(campaign_id: int) -> Any:
    """Select the device classes of the tasks that a campaign's models call."""
    return (
        select(DeviceClass.id, DeviceClass.name, DeviceClass.toolchain)
        .join(Task, Task.device_class_id == DeviceClass.id)
        .where(Task.campaign_id == campaign_id, Task.weight > 0)
        .group_by(DeviceClass.id, DeviceClass.name, DeviceClass.toolchain)
        .order_by(DeviceClass.name)
    )


def _known(
    connection: Connection, campaign_id: int, of_class: Any, *, ended: datetime | None
) -> tuple[dict[str, int], dict[str, Inside], list[_Event]]:
    """Return what :func:`_sums` takes, with the toolchain that the campaign measured with."""
    current = of_class.toolchain
    key = (_measured_with(connection, campaign_id, of_class.id) if ended is not None else None) or current
    found = insides_of_campaign(connection, campaign_id, key)
    insides = {task: one for (task, name), one in found.items() if name == of_class.name}
    rows = connection.execute(_improvements(campaign_id, of_class.id, key))
    events = [(row.recorded_at, row.workload_hash, row.cost_s) for row in in_time(rows.all())]
    if key != current:
        events += _set_aside(connection, campaign_id, of_class.id, key)
    return _weights(connection, campaign_id, of_class.id), insides, events


def _measured_with(connection: Connection, campaign_id: int, class_id: int) -> str | None:
    """Return the key of the toolchain that a campaign's last trial was first measured with."""
    query = (
        select(Toolchain.key)
        .join(Measurement, Measurement.toolchain_id == Toolchain.id)
        .join(Trial, Trial.id == Measurement.trial_id)
        .where(Trial.campaign_id == campaign_id, Trial.device_class_id == class_id)
        .order_by(Trial.id.desc(), Measurement.id)
        .limit(1)
    )
    return connection.execute(query).scalar_one_or_none()


def _set_aside(connection: Connection, campaign_id: int, class_id: int, key: str) -> Iterator[_Event]:
    """Yield what was measured with a toolchain, of trials that were measured with another since."""
    query = (
        select(Trial.id, Workload.hash, Trial.created_at, *judged_by())
        .join(Trial, Trial.id == Measurement.trial_id)
        .join(Toolchain, Toolchain.id == Measurement.toolchain_id)
        .join(Workload, Workload.id == Trial.workload_id)
        .join(Task, Task.workload_id == Trial.workload_id)
        .where(
            Toolchain.key == key,
            ~Measurement.counts,
            Trial.toolchain != key,
            Trial.device_class_id == class_id,
            Task.campaign_id == campaign_id,
            Task.device_class_id == class_id,
            Task.weight > 0,
        )
        .order_by(Trial.id, Measurement.id)
    )
    for _, rows in itertools.groupby(connection.execute(query), lambda row: row.id):
        of_trial = list(rows)
        counted = of_trial[counting(of_trial, key)]
        cost_s = cost_of(counted.state, counted.times)
        if cost_s is not None:
            anew = counted.kind == MeasurementKind.REVALIDATED.value
            yield counted.measured_at if anew else counted.created_at, counted.hash, cost_s


def _weights(connection: Connection, campaign_id: int, class_id: int) -> dict[str, int]:
    """Return how often a campaign's models call each of its tasks, by the hash of the workload."""
    query = (
        select(Workload.hash, Task.weight)
        .join(Task, Task.workload_id == Workload.id)
        .where(Task.campaign_id == campaign_id, Task.device_class_id == class_id, Task.weight > 0)
    )
    return {row.hash: row.weight for row in connection.execute(query)}


def _improvements(campaign_id: int, class_id: int, toolchain: str) -> Select[Any]:
    tasks = select(Task.workload_id, Task.name, Task.weight).where(
        Task.campaign_id == campaign_id, Task.device_class_id == class_id, Task.weight > 0
    )
    return improvements_of(tasks.subquery("tasks"), class_id, toolchain=toolchain)


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
    weights: Mapping[str, int], insides: Mapping[str, Inside], measured: Iterable[_Event]
) -> Iterator[tuple[datetime, float]]:
    """Yield what all tasks take in one inference, from when that is known of each, whenever it changes."""
    best_s: dict[str, float | None] = {}
    calls_s: dict[str, float] = {}
    # What was seen inside a model is known before anything of it was measured alone.
    events: list[tuple[datetime, str, float | None]] = [
        (inside.seen_at, workload, None) for workload, inside in insides.items() if workload in weights
    ]
    events += measured
    # Sorting keeps the order of what was recorded at one instant.
    for at, workload, cost_s in sorted(events, key=lambda event: event[0]):
        known_s = best_s.get(workload)
        if workload in best_s and (cost_s is None or (known_s is not None and cost_s >= known_s)):
            continue
        call_s = expected_call_s(insides.get(workload), cost_s)
        if call_s is not None:
            best_s[workload], calls_s[workload] = cost_s, call_s
        if len(calls_s) == len(weights):
            yield at, sum(weights[one] * each_s for one, each_s in calls_s.items())
