"""The best of every workload."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    case,
    func,
    or_,
    select,
)

from orchestrator.storage._group import Group
from orchestrator.storage._standing import best_id, is_stale
from orchestrator.storage._tables import (
    DeviceClass,
    ModelTask,
    Target,
    Trial,
    Workload,
)
from orchestrator.storage.rows import (
    BestOrder,
    BestRow,
)

__all__ = ["BestAnswer"]


class BestAnswer(Group):
    """What is the best that is stored?"""

    def best(
        self,
        *,
        device_class: str | None = None,
        engine: str | None = None,
        workload_prefix: str = "",
        name_pattern: str | None = None,
        order: BestOrder = BestOrder.LATEST,
        limit: int | None = None,
        stale: bool = True,
    ) -> list[BestRow]:
        """Return the best of each workload on each device class, where a trial succeeded.

        The fastest of the current toolchain, or else the fastest stale one.

        Parameters
        ----------
        workload_prefix : str
            Only workloads whose hash starts so.
        name_pattern : str or None
            Only workloads in whose name, or in whose name as a task of any model, this regular expression is
            found. SQLite has Python's, PostgreSQL its own.
        order : BestOrder
        limit : int or None
            The first of that order.
        stale : bool
            Whether workloads count of which nothing was measured with the current toolchain.
        """
        # One step down the index for each workload and class: nothing here grows with the number of trials.
        pairs = (
            select(_best_id().label("best_id"))
            .select_from(Workload)
            .join(Target, Target.engine == Workload.engine)
            .join(DeviceClass, DeviceClass.target_id == Target.id)
        )
        if device_class is not None:
            pairs = pairs.where(DeviceClass.name == device_class)
        if engine is not None:
            pairs = pairs.where(Workload.engine == engine)
        if workload_prefix:
            pairs = pairs.where(Workload.hash.startswith(workload_prefix, autoescape=True))
        if name_pattern is not None:
            in_a_model = select(ModelTask.id).where(
                ModelTask.workload_id == Workload.id, ModelTask.name.regexp_match(name_pattern)
            )
            pairs = pairs.where(or_(Workload.name.regexp_match(name_pattern), in_a_model.exists()))
        best = pairs.subquery("best")
        by = {
            BestOrder.LATEST: (Trial.id.desc(),),
            BestOrder.NAME: (Workload.name, Workload.hash, DeviceClass.name),
            BestOrder.SLOWEST: (Trial.cost_s.desc(), Trial.id),
        }[order]
        ranked = (
            select(
                Workload.name,
                Workload.hash.label("workload_hash"),
                Workload.engine,
                Workload.flops,
                DeviceClass.name.label("device_class"),
                Trial.cost_s.label("best_s"),
                Trial.id.label("trial_id"),
                Trial.campaign_id,
                Trial.created_at.label("recorded_at"),
                case((is_stale(), 1), else_=0).label("stale"),
                Trial.workload_id,
                Trial.device_class_id,
                func.row_number().over(order_by=by).label("place"),
            )
            .select_from(best)
            .join(Trial, Trial.id == best.c.best_id)
            .join(Workload, Workload.id == Trial.workload_id)
            .join(DeviceClass, DeviceClass.id == Trial.device_class_id)
            .order_by(*by)
            .limit(limit)
        )
        first = (ranked if stale else ranked.where(~is_stale())).subquery("first")
        # Counted after the limit, for the rows that are shown.
        counted = select(func.count(Trial.id)).where(
            Trial.workload_id == first.c.workload_id, Trial.device_class_id == first.c.device_class_id
        )
        unseen = {"place", "workload_id", "device_class_id"}
        query = select(
            *(column for column in first.c if column.key not in unseen),
            counted.correlate(first).scalar_subquery().label("trials"),
            counted.where(Trial.cost_s.is_(None)).correlate(first).scalar_subquery().label("failures"),
        ).order_by(first.c.place)
        return [
            BestRow(**{**row._mapping, "stale": bool(row.stale)})
            for row in self._database.read(lambda c: c.execute(query).all())
        ]


def _best_id() -> Any:
    here = (Trial.workload_id == Workload.id) & (Trial.device_class_id == DeviceClass.id)
    return best_id(here, Workload, DeviceClass)
