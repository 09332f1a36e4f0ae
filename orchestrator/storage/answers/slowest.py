"""Where the time of a model goes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, and_, case, func, select

from orchestrator.storage._group import Group
from orchestrator.storage._ids import extraction_ids
from orchestrator.storage._inside_rows import insides_of_model
from orchestrator.storage._standing import best_id, is_stale
from orchestrator.storage._tables import DeviceClass, ModelTask, Trial, Workload
from orchestrator.storage.rows import Inside, ModelShares, TaskShareRow, expected_call_s

__all__ = ["SlowestAnswer"]

# What depends on all tasks of the model.
_OF_THE_WHOLE = ("expected_s", "share", "cumulative")


class SlowestAnswer(Group):
    """Which tasks take the most of a model's time?"""

    def slowest(
        self, model_id: int, device_class: str, engine_version: str, *, limit: int | None = None
    ) -> ModelShares:
        """Return where a model's time goes on a device class, by the best times that are stored.

        And by what kernels take longer, or less, inside the model, where that was looked into: of a task
        without a trial, too, that is known then.

        Parameters
        ----------
        limit : int or None
            Return the slowest so many tasks.

        Raises
        ------
        NotFoundError
            As :meth:`.Trials.best_for_model`.
        """

        def work(connection: Connection) -> tuple[Sequence[Any], dict[str, Inside]]:
            extraction_id, class_id = extraction_ids(connection, model_id, device_class, engine_version)
            rows = connection.execute(_tasks(extraction_id, class_id)).all()
            return rows, insides_of_model(connection, model_id, device_class)

        rows, insides = self._database.read(work)
        known = [_Timed(row, _expected_s(row, insides.get(row.workload_hash))) for row in rows]
        whole_s = sum(one.expected_s for one in known if one.expected_s is not None)
        # The slowest first; of equals, the earlier in the model.
        known.sort(key=lambda one: -1.0 if one.expected_s is None else one.expected_s, reverse=True)
        return ModelShares(
            len(known),
            sum(one.expected_s is not None for one in known),
            whole_s,
            tuple(itertools.islice(_shares(known, whole_s), limit)),
            sum(bool(one.row.stale) for one in known),
        )


class _Timed(NamedTuple):
    row: Any
    expected_s: float | None


def _expected_s(row: Any, inside: Inside | None) -> float | None:
    call_s = expected_call_s(inside, row.best_s)
    return None if call_s is None else row.weight * call_s


def _shares(known: Sequence[_Timed], whole_s: float) -> Iterator[TaskShareRow]:
    """Yield each task with its part of the sum of all."""
    names = [name for name in TaskShareRow.__dataclass_fields__ if name not in _OF_THE_WHOLE]
    above_s = 0.0
    for row, expected_s in known:
        found = {name: row._mapping[name] for name in names} | {"stale": bool(row.stale)}
        share = cumulative = None
        # A model may consist of kernels too fast to time.
        if expected_s is not None and whole_s:
            above_s += expected_s
            share, cumulative = expected_s / whole_s, above_s / whole_s
        yield TaskShareRow(**found, expected_s=expected_s, share=share, cumulative=cumulative)


def _tasks(extraction_id: int, class_id: int) -> Select[Any]:
    """Select a model's tasks, each with its best trial, in the order of the model."""
    here = and_(Trial.workload_id == ModelTask.workload_id, Trial.device_class_id == class_id)
    current = select(DeviceClass.toolchain).where(DeviceClass.id == class_id).scalar_subquery()
    best = best_id(here, ModelTask, current=current)
    stored = select(func.count(Trial.id)).where(here).correlate(ModelTask).scalar_subquery()
    tasks = (
        select(
            ModelTask.position,
            ModelTask.name,
            ModelTask.weight,
            ModelTask.workload_id,
            stored.label("trials"),
            best.label("best_id"),
        )
        .where(ModelTask.extraction_id == extraction_id)
        .subquery("tasks")
    )
    return (
        select(
            tasks.c.name,
            Workload.hash.label("workload_hash"),
            tasks.c.weight,
            Workload.flops,
            tasks.c.trials,
            Trial.cost_s.label("best_s"),
            Trial.id.label("trial_id"),
            Trial.created_at.label("recorded_at"),
            case((Trial.id.is_not(None) & is_stale(current), 1), else_=0).label("stale"),
        )
        .select_from(tasks)
        .join(Workload, Workload.id == tasks.c.workload_id)
        .outerjoin(Trial, Trial.id == tasks.c.best_id)
        .order_by(tasks.c.position)
    )
