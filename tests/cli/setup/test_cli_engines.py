"""What runs the engines: listed, installed, chosen, and asked for before a campaign is stored."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from orchestrator.doctor import Status
from orchestrator.doctor.engine import check_environment
from orchestrator.storage import Storage
from tests.kit.cli_builders import Cli
from workers.environments import packages

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture(autouse=True)
def _two_engines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One that runs on this Python, and one that needs an environment, with nothing in it."""
    for name in ("simple", "classic"):
        package = tmp_path / "packages" / name
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
    requirements = tmp_path / "packages" / "classic" / "requirements.txt"
    requirements.write_text(f"# python: {HERE}\n# check: import json\n")
    monkeypatch.setattr(packages, "OWN", tmp_path / "packages")


def test_engines_are_listed_with_what_is_missing(cli: Cli, tmp_path: Path) -> None:
    answer = cli("engines")
    assert answer.code == 0, answer.err
    classic, simple = answer.out.splitlines()[1:3]
    assert classic.split()[:2] == ["classic", "missing"]
    assert simple.split()[:2] == ["simple", "ready"]
    assert sys.executable in simple
    assert "→ `tunefleet engines install classic`" in answer.out
    document = cli("engines", "--json").document
    assert document["folder"] == str(tmp_path / "data" / "tunefleet" / "engines")
    assert [(one["name"], one["ready"]) for one in document["engines"]] == [
        ("classic", False),
        ("simple", True),
    ]


@pytest.mark.slow
def test_an_engine_is_installed_where_it_is_said(cli: Cli, tmp_path: Path) -> None:
    answer = cli("engines", "install", "classic", "--python", sys.executable)
    assert answer.code == 0, answer.err
    python = tmp_path / "data" / "tunefleet" / "engines" / "classic" / "bin" / "python"
    assert answer.out.startswith(f"the classic engine runs on {python}, Python {HERE}")
    assert cli("engines", "install", "classic").code == 0
    assert "ready" in cli("engines").out.splitlines()[1]


def test_a_python_of_one_s_own_is_used(cli: Cli) -> None:
    answer = cli("engines", "use", "classic", "--python", sys.executable)
    assert answer.code == 0, answer.err
    assert answer.out.startswith(f"the classic engine runs on {sys.executable}")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["install", "tuna"], "there is no engine 'tuna'; there are: classic, simple"),
        (["install", "simple"], "nothing to install"),
        (["install", "classic", "--python", "no-such-python"], "no-such-python is no program"),
        (["use", "tuna", "--python", sys.executable], "there is no engine 'tuna'"),
        (["use", "classic", "--python", "no-such-python"], "no-such-python is no program"),
    ],
)
def test_what_can_not_be_is_wrong_usage(cli: Cli, words: list[str], said: str) -> None:
    answer = cli("engines", *words)
    assert answer.code == 2
    assert said in answer.err


def test_a_campaign_on_an_engine_that_is_not_installed_is_refused(
    cli: Cli, store: Storage, model: Path
) -> None:
    for command in ("submit", "tune"):
        answer = cli(command, str(model), "--engine", "classic")
        assert answer.code == 2
        assert "`tunefleet engines install classic`" in answer.err
        assert "`tunefleet engines use classic --python PATH`" in answer.err
    assert store.campaigns.newest() == []


def test_the_doctor_names_an_engine_that_could_be_installed() -> None:
    check = check_environment("classic", optional=True)
    assert check is not None
    assert (check.status, check.found) == (Status.OK, "not installed (optional)")
    assert check.mend.startswith("`tunefleet engines install classic`")
    assert check_environment("simple") is None


def test_the_doctor_fails_where_the_engine_it_was_asked_for_is_not_installed(cli: Cli) -> None:
    answer = cli("doctor", "--engine", "classic")
    assert answer.code == 1
    assert "the environment of the classic engine is not installed" in answer.out
    assert "classic environment" in answer.err
    assert cli("engines", "use", "classic", "--python", sys.executable).code == 0
    check = check_environment("classic")
    assert check is not None
    assert check.status is Status.OK
