"""The databases that the storage's conformance suite runs on.

A backend's author adds a name to `BACKENDS` and says in `new_url` how a database of it is made; the suite in
``tests/contracts/storage`` then runs on it as it stands.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.postgres_server import new_database
from orchestrator.storage import Storage

__all__ = ["BACKENDS", "new_url", "storage", "url"]

BACKENDS = ("sqlite", "postgresql")


@contextlib.contextmanager
def new_url(backend: str, folder: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """Make an empty database of a backend and give its URL; it is gone afterwards.

    Parameters
    ----------
    folder : pathlib.Path
        Where files may be put.
    request : pytest.FixtureRequest
        To ask for a server by, which only tests on that backend wait for.
    """
    if backend == "sqlite":
        yield f"sqlite:///{folder / 'records.db'}"
        return
    with new_database(request.getfixturevalue("postgres")) as made:
        yield made.render_as_string(hide_password=False)


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
