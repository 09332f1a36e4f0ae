"""What runs the converters: listed, installed, chosen."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.kit.cli_builders import Cli
from tests.kit.toys import TOYS
from workers.converters import find

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture(autouse=True)
def _one_converter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One that takes an environment, with nothing in it."""
    package = tmp_path / "packages" / "boxed"
    package.mkdir(parents=True)
    text = (TOYS / "toy" / "__init__.py").read_text()
    (package / "__init__.py").write_text(text.replace("toy", "boxed"))
    (package / "requirements.txt").write_text(f"# python: 3.99 {HERE}\n# check: import json\n")
    monkeypatch.setattr(find, "_OWN", tmp_path / "none")
    monkeypatch.setenv("TUNEFLEET_CONVERTER_PATH", str(package.parent))


def test_converters_are_listed_with_what_they_take_and_cost(cli: Cli, tmp_path: Path) -> None:
    answer = cli("converters")
    assert answer.code == 0, answer.err
    row = answer.out.splitlines()[1]
    assert row.split()[:3] == ["boxed", "not", "installed"]
    assert "0.0 GB, about 0.5 min" in row
    assert "  a text that begins with 'boxed model'\n" in answer.out
    assert "  one that begins with 'boxed pickle'  (--trust)\n" in answer.out
    assert "weights" not in answer.out
    assert "→ `tunefleet converters install boxed`" in answer.out
    document = cli("converters", "--json").document
    assert document["folder"] == str(tmp_path / "data" / "tunefleet" / "converters")


@pytest.mark.slow
def test_a_converter_is_installed_and_says_beforehand_what_that_takes(cli: Cli, tmp_path: Path) -> None:
    answer = cli("converters", "install", "boxed")
    assert answer.code == 0, answer.err
    place = tmp_path / "data" / "tunefleet" / "converters" / "boxed"
    first = answer.err.splitlines()[0]
    assert first == (f"the environment of the Toy converter takes 0.0 GB, about 0.5 min; it comes to {place}")
    assert answer.out.startswith(f"the Toy converter runs on {place / 'bin' / 'python'}, Python {HERE}")
    assert "ready" in cli("converters").out.splitlines()[1]


def test_a_python_of_one_s_own_runs_a_converter(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answer = cli("converters", "use", "boxed", "--python", sys.executable)
    assert answer.code == 0, answer.err
    assert answer.out.startswith(f"the Toy converter runs on {sys.executable}")
    monkeypatch.setenv("TUNEFLEET_CONVERTER_BOXED_PYTHON", str(tmp_path / "gone"))
    assert "correct TUNEFLEET_CONVERTER_BOXED_PYTHON, or unset it" in cli("converters").out


def test_a_converter_that_there_is_none_of_is_refused(cli: Cli) -> None:
    for words in (["install", "caffe"], ["use", "caffe", "--python", sys.executable]):
        answer = cli("converters", *words)
        assert answer.code == 2
        assert "there is no converter 'caffe'; there are: boxed" in answer.err
