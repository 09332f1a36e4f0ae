"""Ids of what is named, and rows that are put where they aren't there yet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import (
    Connection,
    insert,
    select,
)

from orchestrator.errors import NotFoundError
from orchestrator.storage._database import chunks
from orchestrator.storage._tables import (
    Base,
    DeviceClass,
    Extraction,
    Target,
    Workload,
)
from orchestrator.storage._types import insert_unless_there

__all__ = [
    "add_rows",
    "device_class_id",
    "device_class_ids",
    "extraction_ids",
    "insert_row",
    "put_row",
    "put_target",
    "storable",
    "workload_ids",
]


def storable(text: str) -> str:
    """Make any text one that every database takes: a crash's output may hold NULs and broken characters."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "�")


def put_row(connection: Connection, model: type[Base], unique: Iterable[str], values: dict[str, Any]) -> int:
    """Return the id of the row with these ``unique`` columns, inserting it where it isn't there."""
    table: Any = model.__table__
    names = list(unique)
    connection.execute(insert_unless_there(table, connection.dialect.name, names).values(values))
    where = [table.c[name] == values[name] for name in names]
    return int(connection.execute(select(table.c.id).where(*where)).scalar_one())


def add_rows(
    connection: Connection, model: type[Base], unique: Sequence[str], rows: Sequence[dict[str, Any]]
) -> int:
    """Insert the rows of which none with these ``unique`` columns is there; return how many those were."""
    table: Any = model.__table__
    statement = insert_unless_there(table, connection.dialect.name, unique)
    # Not RETURNING: one statement for many rows is so long that psycopg parses it anew each time.
    counting = connection.execution_options(preserve_rowcount=True)
    return sum(counting.execute(statement, part).rowcount for part in chunks(rows))


def insert_row(connection: Connection, model: type[Base], values: dict[str, Any]) -> int:
    """Insert a row and return its id."""
    table: Any = model.__table__
    return int(connection.execute(insert(table).values(values).returning(table.c.id)).scalar_one())


def put_target(connection: Connection, engine: str, spec: str) -> int:
    """Return the id of an engine's target."""
    return put_row(connection, Target, ("engine", "spec"), {"engine": engine, "spec": spec})


def workload_ids(connection: Connection, hashes: Iterable[str]) -> dict[str, int]:
    """Ids of workloads by hash; :class:`NotFoundError` where one isn't stored."""
    wanted = sorted(set(hashes))
    found: dict[str, int] = {}
    for part in chunks(wanted):
        query = select(Workload.hash, Workload.id).where(Workload.hash.in_(part))
        found.update((row.hash, row.id) for row in connection.execute(query))
    missing = [h for h in wanted if h not in found]
    if missing:
        raise NotFoundError(f"no workload {missing[0]} is stored" + _and_more(missing))
    return found


def device_class_ids(connection: Connection, names: Iterable[str]) -> dict[str, int]:
    """Ids of device classes by name; :class:`NotFoundError` where one isn't stored."""
    wanted = sorted(set(names))
    query = select(DeviceClass.name, DeviceClass.id).where(DeviceClass.name.in_(wanted))
    found = {row.name: row.id for row in connection.execute(query)}
    missing = [n for n in wanted if n not in found]
    if missing:
        raise NotFoundError(f"no device class {missing[0]} is stored" + _and_more(missing))
    return found


def device_class_id(connection: Connection, name: str) -> int:
    """Id of one device class; :class:`NotFoundError` where it isn't stored."""
    return device_class_ids(connection, [name])[name]


def extraction_ids(
    connection: Connection, model_id: int, device_class: str, engine_version: str
) -> tuple[int, int]:
    """Ids of an extraction and of the device class it was asked for."""
    query = (
        select(Extraction.id, DeviceClass.id)
        .join(DeviceClass, DeviceClass.target_id == Extraction.target_id)
        .where(
            Extraction.model_id == model_id,
            Extraction.engine_version == engine_version,
            DeviceClass.name == device_class,
        )
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        device_class_id(connection, device_class)
        raise NotFoundError(
            f"model {model_id} was not extracted for {device_class} by version {engine_version}"
        )
    return row[0], row[1]


def _and_more(missing: list[str]) -> str:
    return f" (nor {len(missing) - 1} more)" if len(missing) > 1 else ""
