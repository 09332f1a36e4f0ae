"""Backends of the conformance suite, and a filled storage to ask."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL, make_url

from benchmarks.postgres_server import PostgresServer, new_database
from orchestrator.storage import Storage

# A PostgreSQL to run the suite on: the URL of a database whose user may create others. Without it, one is
# started for the tests.
POSTGRES = os.environ.get("TUNEFLEET_TEST_POSTGRES", "")


@pytest.fixture(scope="session")
def postgres(own_postgres: Callable[..., PostgresServer]) -> Iterator[URL]:
    """URL of a PostgreSQL server for all tests that leave it as it is."""
    if POSTGRES:
        yield make_url(POSTGRES).set(drivername="postgresql+psycopg")
        return
    with own_postgres() as server:
        yield server.url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a database that nothing was stored in."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'records.db'}"
        return
    with new_database(request.getfixturevalue("postgres")) as made:
        yield made.render_as_string(hide_password=False)


@pytest.fixture
def storage(url: str) -> Iterator[Storage]:
    """A new storage."""
    with Storage.open(url) as opened:
        yield opened
