"""Converters with their real frameworks: tests ask for `make`, and are skipped where one is missing."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.conversion import ConversionSettings, convert, find_source
from orchestrator.conversion.convert import Conversion
from orchestrator.toolbox import Toolbox

Make = Callable[[str, str], Path]
Convert = Callable[..., Conversion]

_MODELS = Path(__file__).parent / "models"
# TensorFlow takes ten seconds to be imported where others compute.
_LIMIT_S = 600


@pytest.fixture(scope="module")
def tools() -> Iterator[Toolbox]:
    """The reference, in a process of its own."""
    with Toolbox("metaschedule") as opened:
        yield opened


@pytest.fixture
def make(converter_python: Callable[[str], str], tmp_path: Path) -> Make:
    """Makes a model with a framework: the framework's name, and a function of its script."""

    def run(framework: str, function: str) -> Path:
        python = converter_python(framework)
        script = _MODELS / f"{framework}_models.py"
        done = subprocess.run(
            [python, str(script), function, str(tmp_path)], capture_output=True, text=True, timeout=_LIMIT_S
        )
        assert done.returncode == 0, done.stderr
        return Path(done.stdout.splitlines()[-1])

    return run


@pytest.fixture
def converted(tools: Toolbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Convert:
    """Converts what an argument names, compares it, and keeps it in a folder of the test's."""
    monkeypatch.setenv("TUNEFLEET_CONVERTED", str(tmp_path / "converted"))

    def run(named: Path | str, framework: str | None = None, **settings: object) -> Conversion:
        source = find_source(str(named), framework)
        assert source is not None, named
        return convert(tools, source, ConversionSettings(**settings))  # type: ignore[arg-type]

    return run
