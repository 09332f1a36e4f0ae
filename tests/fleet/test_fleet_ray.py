"""The fleet on a Ray of its own: what it says when it can't start, and what it leaves behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import psutil
import pytest

from orchestrator.errors import EngineError, UsageError
from orchestrator.fleet.ray_fleet import RayFleet
from workers.messages import DeviceInfo

DEVICE = DeviceInfo("llvm", "cpu-a", "Some CPU", 1, "cpu")


@pytest.fixture
def fleet(request: pytest.FixtureRequest) -> Iterator[RayFleet]:
    made = RayFleet(request.param, (DEVICE,), slots=2)
    yield made
    made.stop()


@pytest.mark.parametrize("fleet", ["stand_in_engines.broken"], indirect=True)
def test_an_engine_that_cannot_start_is_reported_through_ray_and_leaves_nothing(
    fleet: RayFleet, eventually: Callable[..., None], running: Callable[[int], bool]
) -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    kept = signal.getsignal(signal.SIGTERM)
    fleet.join()
    assert signal.getsignal(signal.SIGTERM) is kept
    with pytest.raises(EngineError, match="a_tvm_that_is_not_installed"):
        fleet.start()
    started = {child.pid for child in psutil.Process().children(recursive=True)} - before
    assert started
    fleet.stop()
    eventually(lambda: not any(map(running, started)), "Ray and the actors are gone", 15)


def test_a_cluster_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "RAY_gcs_server_request_timeout_seconds", "1")
    fleet = RayFleet("stand_in_engines.plain", (DEVICE,), address="127.0.0.1:9")
    with pytest.raises(UsageError, match=r"127\.0\.0\.1:9"):
        fleet.join()
    fleet.stop()
