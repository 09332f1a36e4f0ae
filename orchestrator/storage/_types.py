"""The corner where databases differ: the clock, instants, compressed columns, "insert unless there"."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from sqlalchemy import DateTime, Dialect, Double, LargeBinary, Table, bindparam
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator

__all__ = ["Compressed", "Instant", "db_now", "insert_unless_there"]


class Instant(TypeDecorator[datetime]):
    """A point in time: UTC in the database, with its time zone in Python."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse local times; SQLite keeps no zone, so UTC goes in."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant needs a time zone")
        return value.astimezone(timezone.utc)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Say that it is UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value.astimezone(timezone.utc)


class Compressed(TypeDecorator[bytes]):
    """Bytes, kept deflated: a trace is repetitive JSON and shrinks to a quarter or less."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        """Deflate.

        Level 4 takes half the time of zlib's own choice, 6, for a trace of MetaSchedule, and 7 % more bytes.
        """
        return None if value is None else zlib.compress(value, 4)

    def process_result_value(self, value: Any, dialect: Dialect) -> bytes | None:
        """Inflate."""
        return None if value is None else zlib.decompress(value)


class db_now(FunctionElement[datetime]):  # noqa: N801 - used like a function
    """The database's clock, plus ``offset_s`` seconds where given.

    Leases of several hosts can only be compared on one clock. ``CURRENT_TIMESTAMP`` won't do: SQLite's has
    whole seconds, PostgreSQL's stands still during a transaction.
    """

    type = Instant()
    inherit_cache = True

    def __init__(self, offset_s: float | None = None) -> None:
        super().__init__(*([] if offset_s is None else [bindparam(None, float(offset_s), Double)]))


@compiles(db_now, "sqlite")
def _now_sqlite(element: db_now, compiler: SQLCompiler, **kw: Any) -> str:
    # Written as SQLAlchemy writes SQLite's instants, so that text order is time order.
    offset = compiler.process(element.clauses, **kw)
    offset = f", {offset} || ' seconds'" if offset else ""
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now'{offset})"


@compiles(db_now, "postgresql")
def _now_postgresql(element: db_now, compiler: SQLCompiler, **kw: Any) -> str:
    offset = compiler.process(element.clauses, **kw)
    return f"(clock_timestamp() + {offset} * interval '1 second')" if offset else "clock_timestamp()"


def insert_unless_there(
    table: Table, dialect: str, unique: Sequence[str]
) -> sqlite.Insert | postgresql.Insert:
    """Build an INSERT that does nothing where a row with the same ``unique`` columns is there."""
    if dialect == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing(index_elements=list(unique))
    return sqlite.insert(table).on_conflict_do_nothing(index_elements=list(unique))
