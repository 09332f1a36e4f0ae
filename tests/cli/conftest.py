"""A command line on a database of its own, and stand-ins for what needs TVM or Ray."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.storage import Storage
from tests.kit.cli_builders import Cli
from tests.kit.stand_ins import CannedToolbox, run_campaign


@pytest.fixture(autouse=True)
def _own_world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the database, the terminal or the folder of whoever runs it."""
    monkeypatch.delenv("TUNEFLEET_DB", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    for variable in ("TUNEFLEET_ENGINES", "TUNEFLEET_AUTOTVM_PYTHON", "TUNEFLEET_METASCHEDULE_PYTHON"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("TUNEFLEET_CONVERTERS", "TUNEFLEET_CONVERTED", "TUNEFLEET_CONVERTER_TORCH_PYTHON"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("COLUMNS", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """Path of a database that isn't there yet."""
    return tmp_path / "records.db"


@pytest.fixture
def cli(db: Path) -> Cli:
    """The command line on that database."""
    return Cli(db)


@pytest.fixture
def store(db: Path) -> Iterator[Storage]:
    """The same database, to put something in."""
    with Storage.open(str(db)) as opened:
        yield opened


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A file that passes for a model as long as nobody reads it."""
    path = tmp_path / "squeezenet.onnx"
    path.write_bytes(b"onnx")
    return path


@pytest.fixture
def toolbox(cli: Cli) -> type[CannedToolbox]:
    """Engine processes that answer at once, from a can."""
    cli.launch(toolbox=CannedToolbox)
    return CannedToolbox


@pytest.fixture
def fleet(cli: Cli) -> None:
    """A coordinator that measures whatever is planned, at once."""
    cli.launch(follow=run_campaign)
