"""Decisions between two layouts of a model."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Connection,
    Select,
    func,
    select,
    update,
)

from orchestrator.errors import NotFoundError
from orchestrator.storage._campaign_rows import require_lease
from orchestrator.storage._database import chunks
from orchestrator.storage._group import Group
from orchestrator.storage._ids import device_class_id, insert_row, storable
from orchestrator.storage._standing import is_stale
from orchestrator.storage._tables import (
    Campaign,
    CampaignModel,
    DeviceClass,
    LayoutDecision,
    Model,
    Task,
    Trial,
    Workload,
)
from orchestrator.storage.rows import LayoutDecisionRow, NewLayoutDecision, TaskChange, TaskState

__all__ = ["Layouts"]


class Layouts(Group):
    """Which layout a model has on a device class, where two of them were tried out.

    Written by the owner of the campaign that tried them; read by anyone. The first decision with times holds
    for all who come after.
    """

    def decide(
        self,
        campaign_id: int,
        decision: NewLayoutDecision,
        changes: Mapping[str, Sequence[TaskChange]],
        *,
        owner: str,
    ) -> LayoutDecisionRow:
        """Store a decision and what it makes of the campaign's tasks, all in one transaction.

        Returns what holds from now on. That is another decision where the campaign took one for this model
        before, or where another campaign had decided meanwhile, by times.

        Parameters
        ----------
        changes : mapping of str to sequence of TaskChange
            For each of both layouts, what becomes of the tasks where it is the one that holds.

        Raises
        ------
        LeaseLostError
            ``owner`` doesn't hold the campaign's lease.
        NotFoundError
            No such model or device class.
        """

        def work(connection: Connection) -> LayoutDecisionRow:
            require_lease(connection, campaign_id, owner)
            # Two campaigns that decide about one model at once: SQLite has one wait for the other's
            # transaction, PostgreSQL for this row.
            model = select(Model.id).where(Model.id == decision.model_id).with_for_update()
            if connection.execute(model).one_or_none() is None:
                raise NotFoundError(f"no model {decision.model_id} is stored")
            own = _decisions().where(
                LayoutDecision.campaign_id == campaign_id,
                LayoutDecision.model_id == decision.model_id,
                DeviceClass.name == decision.device_class,
            )
            there = connection.execute(own).one_or_none()
            if there is not None:
                return LayoutDecisionRow(**there._mapping)
            taken = vars(decision)
            known = connection.execute(
                _timed(decision.model_id, decision.device_class, decision.engine_version)
            ).first()
            if known is not None and {known.chosen, known.other} == {decision.chosen, decision.other}:
                names = ("chosen", "other", "chosen_s", "other_s", "reason")
                taken = {**taken, **{name: getattr(known, name) for name in names}}
            values = {
                **taken,
                "campaign_id": campaign_id,
                "device_class_id": device_class_id(connection, decision.device_class),
                "reason": storable(taken["reason"]),
            }
            del values["device_class"]
            insert_row(connection, LayoutDecision, values)
            for change in changes[taken["chosen"]]:
                _change(connection, campaign_id, change)
            return LayoutDecisionRow(**connection.execute(own).one()._mapping)

        return self._database.write(work)

    def decided(self, model_id: int, device_class: str, engine_version: str) -> LayoutDecisionRow | None:
        """Return the decision that holds for a model on a device class; None where none was taken by times.

        Parameters
        ----------
        engine_version : str
            Of the engine alone, without a layout.
        """
        query = _timed(model_id, device_class, engine_version)
        row = self._database.read(lambda c: c.execute(query).first())
        return None if row is None else LayoutDecisionRow(**row._mapping)

    def of_campaign(self, campaign_id: int) -> list[LayoutDecisionRow]:
        """Return what a campaign decided, in order; those without times among them."""
        query = _decisions().where(LayoutDecision.campaign_id == campaign_id).order_by(LayoutDecision.id)
        rows = self._database.read(lambda c: c.execute(query).all())
        return [LayoutDecisionRow(**row._mapping) for row in rows]

    def first_times(
        self, workload_hashes: Collection[str], device_class: str, trials: int
    ) -> dict[str, float]:
        """Return the least seconds among the first so many trials of each workload, failed ones counted.

        What came later doesn't count, so that layouts of which one was tuned before are judged alike; nor
        does what was measured with another toolchain than the device class is now. A workload of whose first
        trials none succeeded is left out.
        """
        found: dict[str, float] = {}
        for part in chunks(sorted(workload_hashes)):
            place = func.row_number().over(partition_by=Trial.workload_id, order_by=Trial.id)
            ranked = (
                select(Workload.hash, Trial.cost_s, place.label("place"))
                .join(Workload, Workload.id == Trial.workload_id)
                .join(DeviceClass, DeviceClass.id == Trial.device_class_id)
                .where(Workload.hash.in_(part), DeviceClass.name == device_class, ~is_stale())
                .subquery("ranked")
            )
            query = (
                select(ranked.c.hash, func.min(ranked.c.cost_s).label("cost_s"))
                .where(ranked.c.place <= trials, ranked.c.cost_s.is_not(None))
                .group_by(ranked.c.hash)
            )
            found |= {row.hash: row.cost_s for row in self._database.read(functools.partial(_rows, query))}
        return found

    def asked_for(self, model_id: int) -> set[str]:
        """Return the layouts in which campaigns were to tune a model because somebody named them."""
        query = (
            select(Campaign.spec)
            .join(CampaignModel, CampaignModel.campaign_id == Campaign.id)
            .where(CampaignModel.model_id == model_id)
        )
        specs = self._database.read(lambda c: c.scalars(query).all())
        return {str(spec["layout"]) for spec in specs if "layout" in spec} - {"auto"}


def _rows(query: Select[Any], connection: Connection) -> Sequence[Any]:
    return connection.execute(query).all()


def _decisions() -> Select[Any]:
    columns: list[Any] = [c for c in LayoutDecision.__table__.c if c.key != "device_class_id"]
    return select(*columns, DeviceClass.name.label("device_class")).join(
        DeviceClass, DeviceClass.id == LayoutDecision.device_class_id
    )


def _timed(model_id: int, device_class: str, engine_version: str) -> Select[Any]:
    return (
        _decisions()
        .where(
            LayoutDecision.model_id == model_id,
            DeviceClass.name == device_class,
            LayoutDecision.engine_version == engine_version,
            LayoutDecision.chosen_s.is_not(None),
            LayoutDecision.other_s.is_not(None),
        )
        .order_by(LayoutDecision.id)
        .limit(1)
    )


def _change(connection: Connection, campaign_id: int, change: TaskChange) -> None:
    task = update(Task).where(Task.id == change.task_id, Task.campaign_id == campaign_id)
    connection.execute(task.values(weight=change.weight))
    values: dict[str, Any] = {"budget": change.budget}
    if change.closed:
        values |= {"state": TaskState.SATISFIED.value, "note": storable(change.closed)}
    connection.execute(task.where(Task.state == TaskState.OPEN.value).values(**values))
