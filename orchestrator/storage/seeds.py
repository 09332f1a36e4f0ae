"""What a search starts from: the fastest trials of its own workload and of related ones."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import (
    Connection,
    and_,
    func,
    select,
    true,
)

from orchestrator.storage._database import chunks
from orchestrator.storage._group import Group
from orchestrator.storage._standing import best_rows, is_stale, that_counts
from orchestrator.storage._tables import (
    DeviceClass,
    Measurement,
    Trial,
    Workload,
)
from orchestrator.storage._toolchain_rows import keys_of_packs
from orchestrator.storage._trial_rows import (
    of_pair,
    toolchain_of,
)
from workers.messages import (
    Candidate,
    Record,
)
from workers.messages import Workload as WorkloadMessage

__all__ = ["RECHECKED_WITHIN", "Seeds"]

#: What was measured while its device had drifted is measured again where it is no further behind the best
#: than this (a part of its time).
RECHECKED_WITHIN = 0.1

#: Other workloads whose trials :meth:`latest_related` looks at.
_RELATED_WORKLOADS = 64

#: Those of them whose fastest trials :meth:`fastest_related` returns.
_LENDERS = 8


class Seeds(Group):
    """Successful trials that a search or a cost model begins with.

    Times are those of one device class, and never another's.
    """

    def fastest(self, workload_hash: str, device_class: str, limit: int = 512) -> list[Record]:
        """Return up to ``limit`` successful trials, the fastest first, as a search is seeded with them.

        Those of the current toolchain come before those of others: a schedule that was good under another is
        still a good one to begin with.
        """
        query = (
            select(Trial.candidate, Trial.trace, Measurement.times)
            .join(Measurement, that_counts())
            .where(of_pair(workload_hash, device_class), Trial.cost_s.is_not(None))
            .order_by(Trial.cost_s, Trial.id)
        )
        old = is_stale(toolchain_of(device_class))

        return [
            Record(Candidate(row.candidate, row.trace.decode()), tuple(row.times))
            for rows in self._database.read(lambda c: best_rows(c, query, old, limit))
            for row in rows
        ]

    def to_revalidate(
        self, workload_hash: str, device_class: str, most: int, *, toolchain: str | None = None
    ) -> list[Candidate]:
        """Return the fastest stale trials, to be measured before all else with the current toolchain.

        So many that with those that were measured with it already, good or not, there are ``most``. Of what
        came in signed packs also those that claim to be faster than the best that was measured here, up to
        ``most`` in all.

        Parameters
        ----------
        toolchain : str or None
            Key of the one that is current for the asker; left out, what the device class is measured with.
        """
        current = toolchain_of(device_class) if toolchain is None else toolchain
        here, old = of_pair(workload_hash, device_class), is_stale(current)
        there = select(func.count()).select_from(Trial).where(here, ~old)
        best = select(func.min(Trial.cost_s)).where(here, ~old)
        fastest = (
            select(Trial.id, Trial.candidate, Trial.trace)
            .where(here, old, Trial.cost_s.is_not(None))
            .order_by(Trial.cost_s, Trial.id)
        )

        def work(connection: Connection) -> Sequence[Any]:
            missing = max(0, most - int(connection.execute(there).scalar_one()))
            found = connection.execute(fastest.limit(missing)).all() if missing else ()
            packs = keys_of_packs(connection) if missing < most else []
            if not packs:
                return found
            claimed = fastest.where(Trial.toolchain.in_(packs))
            if (best_s := connection.execute(best).scalar_one()) is not None:
                claimed = claimed.where(Trial.cost_s < best_s)
            ids = {row.id for row in found}
            more = [row for row in connection.execute(claimed.limit(most)) if row.id not in ids]
            return [*found, *more[: most - len(found)]]

        return [Candidate(row.candidate, row.trace.decode()) for row in self._database.read(work)]

    def to_recheck(
        self, device_class: str, workload_hashes: Collection[str], most: int
    ) -> dict[str, list[Candidate]]:
        """Return trials to be measured again, for their device had drifted and they are the best, or may be.

        By workload, of those that were measured with the current toolchain: the fastest first, as measured or
        as they would have been where the device was slower by as much as the known kernel. None that is
        further from the best of the others than :data:`RECHECKED_WITHIN`.
        """
        wanted = set(workload_hashes)
        marked = select(Measurement.trial_id, Measurement.drift).where(
            Measurement.drift.is_not(None), Measurement.counts == true()
        )
        timed = (
            select(Trial.id, Trial.cost_s, Trial.workload_id, Workload.hash)
            .join(Workload, Workload.id == Trial.workload_id)
            .join(DeviceClass, DeviceClass.id == Trial.device_class_id)
            .where(DeviceClass.name == device_class, ~is_stale(), Trial.cost_s.is_not(None))
        )

        def work(connection: Connection) -> dict[str, list[Candidate]]:
            # What is marked, first: it is little, and an index has it.
            drifts = {row.trial_id: row.drift for row in connection.execute(marked)}
            of_workload: dict[str, list[Any]] = {}
            for part in chunks(sorted(drifts)):
                for row in connection.execute(timed.where(Trial.id.in_(part))):
                    if row.hash in wanted:
                        of_workload.setdefault(row.hash, []).append(row)
            chosen: dict[str, list[int]] = {}
            for name, rows in of_workload.items():
                limit_s = math.inf
                best = _best_unmarked(connection, name, device_class)
                if best is not None:
                    limit_s = (1 + RECHECKED_WITHIN) * best
                found = sorted((_at_best(row.cost_s, drifts[row.id]), row.id) for row in rows)
                if ids := [number for seconds, number in found if seconds <= limit_s][:most]:
                    chosen[name] = ids
            traced: dict[int, Candidate] = {}
            for part in chunks(number for ids in chosen.values() for number in ids):
                query = select(Trial.id, Trial.candidate, Trial.trace).where(Trial.id.in_(part))
                for number, candidate, trace in connection.execute(query):
                    traced[number] = Candidate(candidate, trace.decode())
            return {name: [traced[number] for number in ids] for name, ids in chosen.items()}

        return self._database.read(work)

    def fastest_related(
        self, workload_hash: str, device_class: str, each: int
    ) -> list[tuple[WorkloadMessage, Record]]:
        """Return the fastest trials of other workloads of the same engine and name, `each` of every one.

        Of the few that are nearest in their work, among those that were stored last. Never those of another
        device class.
        """
        own = select(Workload.engine, Workload.name, Workload.flops).where(Workload.hash == workload_hash)

        def work(connection: Connection) -> list[tuple[WorkloadMessage, Record]]:
            row = connection.execute(own).one_or_none()
            if row is None:
                return []
            # Not their modules, which are large: most of them are only to be compared in size.
            alike = (
                select(Workload.id, Workload.flops)
                .where(
                    Workload.engine == row.engine, Workload.name == row.name, Workload.hash != workload_hash
                )
                .order_by(Workload.id.desc())
                .limit(_RELATED_WORKLOADS)
            )
            found = sorted(
                connection.execute(alike).all(),
                key=lambda other: abs(math.log(max(other.flops, 1.0) / max(row.flops, 1.0))),
            )
            class_id = select(DeviceClass.id).where(DeviceClass.name == device_class).scalar_subquery()
            old = is_stale(toolchain_of(device_class))
            trials: list[Any] = []
            for other in found:
                fastest = (
                    select(Trial.workload_id, Trial.candidate, Trial.trace, Measurement.times)
                    .join(Measurement, that_counts())
                    .where(
                        Trial.workload_id == other.id,
                        Trial.device_class_id == class_id,
                        Trial.cost_s.is_not(None),
                    )
                    .order_by(Trial.cost_s, Trial.id)
                )
                found_here = connection.execute(fastest.where(~old).limit(each)).all()
                # What is stale is of use where there is nothing else.
                trials += found_here or connection.execute(fastest.where(old).limit(each)).all()
                if len(trials) >= each * _LENDERS:
                    break
            return _with_workloads(connection, trials)

        return self._database.read(work)

    def latest_related(
        self, workload_hash: str, device_class: str, limit: int = 512
    ) -> list[tuple[WorkloadMessage, Record]]:
        """Return the latest successful trials of other workloads of the same engine and name.

        Of the 64 such workloads that were stored last, so that it takes as long in a large
        store as in a small one. They are what a cost model can learn from before its own workload has a
        trial. Never those of another device class.
        """
        own = select(Workload.engine, Workload.name).where(Workload.hash == workload_hash).subquery("own")
        class_id = select(DeviceClass.id).where(DeviceClass.name == device_class).scalar_subquery()
        succeeded = and_(Trial.device_class_id == class_id, Trial.cost_s.is_not(None))
        alike = (
            select(Workload.id)
            .join(own, and_(own.c.engine == Workload.engine, own.c.name == Workload.name))
            .where(
                Workload.hash != workload_hash,
                # Not EXISTS: PostgreSQL would make a join of that, over all trials there are.
                select(Trial.id)
                .where(Trial.workload_id == Workload.id, succeeded)
                .limit(1)
                .correlate(Workload)
                .scalar_subquery()
                .is_not(None),
            )
            .order_by(Workload.id.desc())
            .limit(_RELATED_WORKLOADS)
            .subquery("alike")
        )
        # First which ones, from the index alone: traces are large, and sorting would carry them along.
        latest = (
            select(Trial.id)
            .join(alike, alike.c.id == Trial.workload_id)
            .where(succeeded)
            .order_by(Trial.id.desc())
            .limit(limit)
            .subquery("latest")
        )
        trials = (
            select(Trial.workload_id, Trial.candidate, Trial.trace, Measurement.times)
            .join(latest, latest.c.id == Trial.id)
            .join(Measurement, that_counts())
            .order_by(Trial.id.desc())
        )
        return self._database.read(lambda c: _with_workloads(c, c.execute(trials).all()))


def _with_workloads(connection: Connection, trials: Sequence[Any]) -> list[tuple[WorkloadMessage, Record]]:
    """Return each trial with its workload, in their order; a workload is read once."""
    wanted = {row.workload_id for row in trials}
    workloads = select(*Workload.__table__.c).where(Workload.id.in_(wanted))
    found = {
        row.id: WorkloadMessage(row.hash, row.engine, row.name, row.flops, row.module)
        for row in connection.execute(workloads)
    }
    return [
        (found[row.workload_id], Record(Candidate(row.candidate, row.trace.decode()), tuple(row.times)))
        for row in trials
    ]


def _at_best(cost_s: float, drift: float) -> float:
    """Return what a trial took, or would have where its device was slower meanwhile."""
    return min(cost_s, cost_s / (1 + drift))


def _best_unmarked(connection: Connection, workload_hash: str, device_class: str) -> float | None:
    """Return the cost of the fastest trial whose device had not drifted."""
    query = (
        select(Trial.cost_s)
        .join(Measurement, that_counts())
        .where(
            of_pair(workload_hash, device_class),
            Trial.toolchain == toolchain_of(device_class),
            Trial.cost_s.is_not(None),
            Measurement.drift.is_(None),
        )
        .order_by(Trial.cost_s, Trial.id)
        .limit(1)
    )
    return connection.execute(query).scalar_one_or_none()
