"""Backends of the conformance suite, and a filled storage to ask."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from orchestrator.storage import Storage

# A PostgreSQL to run the suite on as well: the URL of a database whose user may create others.
POSTGRES = os.environ.get("TUNEFLEET_TEST_POSTGRES", "")


@pytest.fixture(params=["sqlite", *(["postgresql"] if POSTGRES else [])])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a database that nothing was stored in."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'records.db'}"
        return
    server = make_url(POSTGRES).set(drivername="postgresql+psycopg")
    name = f"tunefleet_{uuid.uuid4().hex[:12]}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        engine.dispose()


@pytest.fixture
def storage(url: str) -> Iterator[Storage]:
    """A new storage."""
    with Storage.open(url) as opened:
        yield opened
