"""A service on a store of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from orchestrator.storage import Storage
from tests.kit.service_client import client_of


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Storage]:
    """A store that nothing was put into."""
    with Storage.open(str(tmp_path / "records.db")) as opened:
        yield opened


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Where uploads go; nothing is there yet."""
    return tmp_path / "records.db.models"


@pytest.fixture
def client(store: Storage, files: Path) -> Iterator[TestClient]:
    """A client on the service's own machine, where there are no tokens."""
    with client_of(store, files) as made:
        yield made
