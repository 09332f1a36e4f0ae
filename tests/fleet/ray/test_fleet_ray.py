"""The fleet on a Ray of its own: what it says when it can't start, and what it leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from orchestrator.errors import EngineError, UsageError
from orchestrator.fleet.port import DevicesWanted
from orchestrator.fleet.ray.fleet import RayFleet
from workers.messages import DeviceInfo

DEVICE = DeviceInfo("llvm", "cpu-a", "Some CPU", 1, "cpu")


@pytest.fixture
def fleet(request: pytest.FixtureRequest) -> Iterator[RayFleet]:
    made = RayFleet(request.param, DevicesWanted((DEVICE,)), slots=2)
    yield made
    made.stop()


@pytest.mark.slow
@pytest.mark.parametrize("fleet", ["stand_in_engines.broken"], indirect=True)
def test_an_engine_that_cannot_start_is_reported_through_ray_and_leaves_nothing(
    fleet: RayFleet, eventually: Callable[..., None], running: Callable[[int], bool]
) -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    kept = signal.getsignal(signal.SIGTERM)
    with pytest.raises(EngineError, match="a_tvm_that_is_not_installed"):
        fleet.start()
    assert signal.getsignal(signal.SIGTERM) is kept
    started = {child.pid for child in psutil.Process().children(recursive=True)} - before
    assert started
    fleet.stop()
    eventually(lambda: not any(map(running, started)), "Ray and the actors are gone", 15)


def test_a_cluster_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "RAY_gcs_server_request_timeout_seconds", "1")
    fleet = RayFleet("stand_in_engines.plain", DevicesWanted((DEVICE,)), address="127.0.0.1:9")
    with pytest.raises(UsageError, match=r"127\.0\.0\.1:9"):
        fleet.start()
    fleet.stop()


def test_a_ray_that_was_started_here_is_of_what_it_takes_and_nobody_else_can_read_its_token(
    tmp_path: Path,
) -> None:
    """In another process, for Ray reads its token once; with a home of its own, where there is none yet."""
    start = (
        "import psutil\n"
        "from orchestrator.fleet.port import DevicesWanted as W\n"
        "from orchestrator.fleet.ray.fleet import RayFleet as F\n"
        "f = F('none', W()); f.join()\n"
        "for child in psutil.Process().children(recursive=True): print(' '.join(child.cmdline()))\n"
        "f.stop()"
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith("RAY_AUTH")}
    said = subprocess.run(
        [sys.executable, "-c", start],
        env={**environment, "HOME": str(tmp_path)},
        check=True,
        timeout=120,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    assert "raylet" in said
    assert "/monitor.py" not in said
    assert "log_monitor" not in said
    assert (tmp_path / ".ray" / "auth_token").stat().st_mode & 0o777 == 0o600
