"""A store that a service is on, and a world in which nothing says where that is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.storage import Storage
from tests.kit.cli_builders import Cli
from tests.kit.served_cli import ServedCli


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable of who runs the tests says where records are."""
    for name in ("DB", "SERVER", "TOKEN", "TOKEN_FILE", "CA"):
        monkeypatch.delenv(f"TUNEFLEET_{name}", raising=False)
    for name in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Storage]:
    """A store that nothing was put into."""
    with Storage.open(str(tmp_path / "records.db")) as opened:
        yield opened


@pytest.fixture
def here(tmp_path: Path) -> Cli:
    """Commands on the database."""
    return Cli(tmp_path / "records.db")


@pytest.fixture
def served(store: Storage, tmp_path: Path) -> ServedCli:
    """The same commands through a service on it."""
    return ServedCli(store, tmp_path / "uploads", tmp_path / "records.db")
