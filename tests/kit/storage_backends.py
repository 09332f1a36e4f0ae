"""The databases that the storage's conformance suite runs on.

A backend's author adds a name to `BACKENDS` and says in `new_url` how a database of it is made; the suite in
``tests/contracts/storage`` then runs on it as it stands.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL

from benchmarks.postgres_server import new_database
from orchestrator.storage import Storage

__all__ = ["BACKENDS", "new_url", "postgres_template", "storage", "url"]

BACKENDS = ("sqlite", "postgresql")


@contextlib.contextmanager
def new_url(
    backend: str, folder: Path, request: pytest.FixtureRequest, *, tables: bool = False
) -> Iterator[str]:
    """Make a database of a backend and give its URL; it is gone afterwards.

    Parameters
    ----------
    folder : pathlib.Path
        Where files may be put.
    request : pytest.FixtureRequest
        To ask for a server by, which only tests on that backend wait for.
    tables : bool
        It may have this release's tables, where that is less work than making them in it.
    """
    if backend == "sqlite":
        yield f"sqlite:///{folder / 'records.db'}"
        return
    template = request.getfixturevalue("postgres_template") if tables else None
    with new_database(request.getfixturevalue("postgres"), template) as made:
        yield made.render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def postgres_template(postgres: URL) -> Iterator[URL]:
    """A database with this release's tables, to copy: half of the work of making them in another."""
    with new_database(postgres) as made:
        Storage.open(made.render_as_string(hide_password=False)).close()
        yield made


@pytest.fixture(params=BACKENDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a database that nothing was stored in."""
    with new_url(request.param, tmp_path, request) as made:
        yield made


@pytest.fixture
def storage(url: str) -> Iterator[Storage]:
    """A new storage."""
    with Storage.open(url) as opened:
        yield opened
