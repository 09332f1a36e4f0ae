"""A converter of tests, folders of their own, and one toolbox that compares."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.conversion import Precise, PrecisionSettings, to_precision
from orchestrator.toolbox import Toolbox
from tests.kit.toys import TOYS
from workers.messages import Precision


@pytest.fixture(autouse=True)
def _own_world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    for name in ("TUNEFLEET_CONVERTED", "TUNEFLEET_CONVERTERS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TUNEFLEET_CONVERTER_PATH", str(TOYS))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def tools() -> Iterator[Toolbox]:
    """The reference, in a process of its own; the engine's is never started."""
    with Toolbox("metaschedule") as opened:
        yield opened


@pytest.fixture
def made(tools: Toolbox) -> Callable[..., Precise]:
    """Converts a model to another precision, to int8 if nothing else is said."""

    def run(model: Path, precision: str = "int8", **settings: object) -> Precise:
        return to_precision(tools, model, PrecisionSettings(Precision(precision), **settings))  # type: ignore[arg-type]

    return run
