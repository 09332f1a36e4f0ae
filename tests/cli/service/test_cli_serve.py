"""``serve --coordinator``: a coordinator beside the service, as long as the service."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.cli.kit.session import Session
from orchestrator.cli.service import serve as serving
from orchestrator.service import run
from orchestrator.storage import Storage
from tests.kit.cli_builders import Cli

_LIMIT_SECONDS = 20.0


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happens when a service is started, whose server ends at once."""
    found: list[str] = []

    @contextlib.contextmanager
    def coordinator(_: Session) -> Iterator[None]:
        found.append("coordinator begins")
        yield
        found.append("coordinator ends")

    monkeypatch.setattr(serving, "_coordinator", coordinator)
    monkeypatch.setattr(run._Server, "run", lambda *_, **__: found.append("serves"))
    return found


def test_a_coordinator_is_started_for_a_service_that_listens(
    cli: Cli, store: Storage, events: list[str]
) -> None:
    assert cli("serve", "--port", "0").code == 0
    assert events == ["serves"]
    events.clear()
    answer = cli("serve", "--port", "0", "--coordinator")
    assert answer.code == 0, answer.err
    assert "serving on http://127.0.0.1:" in answer.err
    assert events == ["coordinator begins", "serves", "coordinator ends"]


def test_no_coordinator_is_started_for_a_service_that_can_t_be(
    cli: Cli, store: Storage, events: list[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for words, said in (
            (["--port", "0", "--host", "0.0.0.0"], "there is no token"),
            (["--port", "0", "--tls-cert", "missing.pem"], "belong together"),
            (["--port", port], "can't be listened on"),
        ):
            answer = cli("serve", "--coordinator", *words)
            assert answer.code == 2
            assert said in answer.err
    assert events == []


@pytest.mark.parametrize("command", ["raise SystemExit(7)", "import os; os.kill(os.getpid(), 9)"])
def test_a_coordinator_that_dies_is_said_with_its_exit_code(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(serving, "_COMMAND", command)
    said = ""
    until = time.monotonic() + _LIMIT_SECONDS
    with serving._coordinator(Session("serve")):
        while "\n" not in said:
            assert time.monotonic() < until, "nothing was said"
            time.sleep(0.01)
            said += capsys.readouterr().err
    code = 7 if "7" in command else -9
    assert f"the coordinator beside this service has ended, with exit code {code}: " in said


def test_a_coordinator_ends_with_its_service_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begun, ended = tmp_path / "begun", tmp_path / "ended"
    command = (
        "import pathlib, signal\n"
        f"signal.signal(signal.SIGINT, lambda *_: pathlib.Path({str(ended)!r}).touch())\n"
        f"pathlib.Path({str(begun)!r}).touch()\n"
        "signal.pause()\n"
    )
    monkeypatch.setattr(serving, "_COMMAND", command)
    until = time.monotonic() + _LIMIT_SECONDS
    with serving._coordinator(Session("serve")):
        while not begun.exists():
            assert time.monotonic() < until, "it was not started"
            time.sleep(0.01)
    assert ended.exists()
    time.sleep(0.05)
    assert capsys.readouterr().err == ""
