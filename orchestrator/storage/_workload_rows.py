"""The rows of workloads: inserted where they aren't there yet, and read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    Connection,
)

from orchestrator.storage._ids import (
    storable,
)
from orchestrator.storage._tables import (
    Workload,
)
from orchestrator.storage._types import insert_unless_there
from workers.messages import Workload as WorkloadMessage

__all__ = ["insert_workloads", "workload_message"]


def insert_workloads(connection: Connection, workloads: Iterable[WorkloadMessage]) -> None:
    # In the order of the hashes, so that two who insert the same workloads can't lock each other out.
    distinct = {w.hash: w for w in workloads}
    table: Any = Workload.__table__
    connection.execute(
        insert_unless_there(table, connection.dialect.name, ("hash",)),
        [
            {
                "hash": w.hash,
                "engine": w.engine,
                "name": storable(w.name),
                "flops": w.flops,
                "module": w.module,
            }
            for _, w in sorted(distinct.items())
        ],
    )


def workload_message(row: Any) -> WorkloadMessage:
    return WorkloadMessage(row.hash, row.engine, row.name, row.flops, row.module)
