"""Alembic's entry: runs migrations on the connection that :mod:`orchestrator.storage._schema` hands in."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from orchestrator.storage._tables import Base


def _run() -> None:
    connection = context.config.attributes.get("connection")
    if not isinstance(connection, Connection):
        raise RuntimeError("migrations run through `tunefleet db upgrade`, not through the alembic command")
    # SQLite can't alter most of a table in place; batch mode copies it instead.
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()


_run()
