"""A converter of tests, folders of their own, and one toolbox that compares."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.toolbox import Toolbox
from tests.kit.toys import TOYS


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
