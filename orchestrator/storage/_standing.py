"""What a trial is judged by, of all its measurements; and which trial is a task's best."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, literal, select, true, update

from orchestrator.storage._database import chunks
from orchestrator.storage._tables import DeviceClass, Measurement, Toolchain, Trial
from orchestrator.storage._toolchain_rows import is_of_pack
from orchestrator.storage.rows import MeasurementKind
from workers.messages import TrialState

__all__ = [
    "best_id",
    "best_rows",
    "cost_of",
    "counting",
    "is_stale",
    "judge_anew",
    "judged_by",
    "that_counts",
]


def is_stale(current: ColumnElement[Any] | str | None = None) -> ColumnElement[bool]:
    """Match trials that were not measured with a toolchain; with the device class's own, if none is named.

    A query that names none has the device class in it.
    """
    stale: ColumnElement[bool] = Trial.toolchain != _key(current)
    return stale


def best_id(
    here: ColumnElement[bool], *outer: Any, current: ColumnElement[Any] | str | None = None
) -> ColumnElement[Any]:
    """Select the id of the best trial: the fastest of the current toolchain, or else the fastest stale one.

    Parameters
    ----------
    here : ColumnElement
        Which trials of one workload on one device class.
    outer
        What the query around has for those.
    current
        As for :func:`is_stale`; ``outer`` has the device class where it is left out.
    """
    key = _key(current)

    def fastest(same: ColumnElement[bool]) -> ColumnElement[Any]:
        return (
            select(Trial.id)
            .where(here, Trial.cost_s.is_not(None), same)
            .order_by(Trial.cost_s, Trial.id)
            .limit(1)
            .correlate(*outer)
            .scalar_subquery()
        )

    # The second is looked for only where the first isn't there: it is not in one place of the index.
    return func.coalesce(fastest(Trial.toolchain == key), fastest(Trial.toolchain != key))


def best_rows(
    connection: Connection, fastest: Select[Any], old: ColumnElement[bool], limit: int, *, stale: bool = True
) -> tuple[Sequence[Any], Sequence[Any]]:
    """Return the first rows that are of the current toolchain, and after them, up to the limit, stale ones.

    Parameters
    ----------
    fastest : Select
        Of trials, in their order.
    old : ColumnElement
        Which are stale, see :func:`is_stale`.
    stale : bool, optional
        Whether any of those are wanted.
    """
    found = connection.execute(fastest.where(~old).limit(limit)).all()
    rest = limit - len(found)
    return found, connection.execute(fastest.where(old).limit(rest)).all() if rest and stale else ()


def _key(current: ColumnElement[Any] | str | None) -> Any:
    if current is None:
        return DeviceClass.toolchain
    return literal(current) if isinstance(current, str) else current


def judged_by() -> tuple[Any, ...]:
    """Return the columns that :func:`counting` and :func:`cost_of` ask for; the query joins toolchains."""
    return (
        Measurement.state,
        Measurement.kind,
        Measurement.measured_at,
        Measurement.times,
        Measurement.drift,
        Toolchain.key.label("toolchain"),
        is_of_pack().label("of_pack"),
    )


def counting(measurements: Sequence[Any], current: str) -> int:
    """Return which of a trial's measurements counts, by its place.

    That it computes something else than its workload counts whatever else is known; where others say so in a
    signed pack, only as long as nothing else than packs is. Otherwise those of the current toolchain come
    before all others, good ones before failures, what was timed in full before short looks, what was timed on
    a device that had not drifted before the rest, and of several the latest.

    Parameters
    ----------
    measurements : sequence
        With the columns of :func:`judged_by`, in the order they were stored.
    """
    only_packs = all(one.of_pack for one in measurements)
    return max(
        range(len(measurements)),
        key=lambda place: (
            measurements[place].state == TrialState.WRONG_OUTPUT.value
            and (only_packs or not measurements[place].of_pack),
            measurements[place].toolchain == current,
            measurements[place].state == TrialState.OK.value,
            measurements[place].kind != MeasurementKind.SHORT.value,
            measurements[place].drift is None,
            measurements[place].measured_at,
            place,
        ),
    )


def judge_anew(connection: Connection, trial_ids: Collection[int]) -> None:
    """Have trials judged by the measurement that counts by now, where that is another than before."""
    for part in chunks(sorted(trial_ids)):
        query = (
            select(
                Measurement.id,
                Measurement.trial_id,
                Measurement.counts,
                *judged_by(),
                DeviceClass.toolchain.label("current"),
            )
            .join(Trial, Trial.id == Measurement.trial_id)
            .join(DeviceClass, DeviceClass.id == Trial.device_class_id)
            .join(Toolchain, Toolchain.id == Measurement.toolchain_id)
            .where(Measurement.trial_id.in_(part))
            .order_by(Measurement.trial_id, Measurement.id)
        )
        of_trial: dict[int, list[Any]] = {}
        for row in connection.execute(query):
            of_trial.setdefault(row.trial_id, []).append(row)
        moved, judged = [], []
        for trial_id, rows in of_trial.items():
            chosen = rows[counting(rows, rows[0].current)]
            if chosen.counts and sum(row.counts for row in rows) == 1:
                continue
            moved.append({"of": trial_id, "chosen": chosen.id})
            judged.append(
                {
                    "of": trial_id,
                    "to_state": chosen.state,
                    "to_cost_s": cost_of(chosen.state, chosen.times),
                    "to_toolchain": chosen.toolchain,
                }
            )
        if not moved:
            continue
        measurements: Any = Measurement.__table__
        trials: Any = Trial.__table__
        connection.execute(
            update(measurements)
            .where(measurements.c.trial_id == bindparam("of"))
            .values(counts=measurements.c.id == bindparam("chosen")),
            moved,
        )
        connection.execute(
            update(trials)
            .where(trials.c.id == bindparam("of"))
            .values(
                state=bindparam("to_state"),
                cost_s=bindparam("to_cost_s"),
                toolchain=bindparam("to_toolchain"),
            ),
            judged,
        )


def cost_of(state: str, times: Sequence[float]) -> float | None:
    """Return what a measurement makes of a trial's cost.

    The median: one repeat that was disturbed must not decide which schedule is the best.
    """
    return statistics.median(times) if state == TrialState.OK.value and times else None


def that_counts() -> ColumnElement[bool]:
    """Match the one measurement of a trial that counts."""
    return (Measurement.trial_id == Trial.id) & (Measurement.counts == true())
