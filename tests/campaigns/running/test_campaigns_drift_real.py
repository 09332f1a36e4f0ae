"""A real device that gets a tenth of its cores for a while, and has them all again."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

import orchestrator as tf
from orchestrator.devices import drift
from orchestrator.storage import CampaignState, CheckState, MeasurementKind, Storage
from tests.kit.followed import url_of
from tests.kit.tiny_models import save

#: Where RPC servers listen; trackers begin at 9190.
SERVER_PORTS = range(9090, 9190)
#: Seconds between two looks at what is stored, and after which nobody waits for anything any more.
LOOK_SECONDS, LIMIT_SECONDS = 0.2, 240.0


@contextmanager
def slowed() -> Iterator[None]:
    """Let the RPC servers of this process's fleet run for a tenth of the time, as a busy machine would.

    By signals: how much work besides would do that depends on what else the machine has to do.
    """
    servers = [
        child.pid
        for child in psutil.Process().children(recursive=True)
        if any(one.laddr and one.laddr.port in SERVER_PORTS for one in _listening(child))
    ]
    assert servers
    over = threading.Event()

    def pulse() -> None:
        while not over.is_set():
            _tell(servers, signal.SIGSTOP)
            time.sleep(0.018)
            _tell(servers, signal.SIGCONT)
            time.sleep(0.002)

    thread = threading.Thread(target=pulse, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        _tell(servers, signal.SIGCONT)


def _listening(process: psutil.Process) -> list[Any]:
    with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        return [one for one in process.net_connections("tcp") if one.status == psutil.CONN_LISTEN]
    return []


def _tell(servers: list[int], number: signal.Signals) -> None:
    """Send a signal to servers and their sessions, which are of one group."""
    for server in servers:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(os.getpgid(server), number)


class Neighbour(threading.Thread):
    """Takes the cores once a campaign's device was found steady, until some of its trials are marked."""

    def __init__(self, url: str, campaign: int) -> None:
        super().__init__(daemon=True)
        self._url, self._campaign = url, campaign
        self.over = threading.Event()
        self.marked = 0

    def run(self) -> None:
        with Storage.open(self._url) as store:
            while not self._states(store) & {CheckState.STEADY}:
                if self.over.wait(LOOK_SECONDS):
                    return
            with slowed():
                while self.marked < 4 and not self.over.wait(LOOK_SECONDS):
                    ids = [row.id for row in store.trials.of_campaign(self._campaign)]
                    self.marked = len(store.measurements.drifts(ids))

    def _states(self, store: Storage) -> set[CheckState]:
        return {row.state for row in store.device_checks.of_campaign(self._campaign)}


@pytest.mark.slow
def test_what_a_slow_device_measures_is_marked_and_the_best_of_it_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whatever else the machine has to do, it doesn't make a tenth of it.
    monkeypatch.setattr(drift, "DRIFT", 1.5)
    monkeypatch.setattr(drift, "EVERY_SECONDS", 3.0)
    monkeypatch.setattr(drift, "SOON_SECONDS", 1.0)
    monkeypatch.setattr(drift, "PATIENCE", 1000)
    url = url_of(tmp_path / "records.db")
    with Storage.open(url) as store:
        spec = tf.CampaignSpec.of(
            {
                "models": [{"path": str(save(tmp_path / "tiny.onnx"))}],
                "tasks": "conv2d|matmul",
                "trials_per_task": 40,
                "search": {"population": 32, "generations": 1},
                "evaluator": {"min_repeat_ms": 40},
            }
        )
        campaign = tf.submit(store, spec, hold=True).id
        neighbour = Neighbour(url, campaign)
        neighbour.start()
        try:
            outcome = tf.follow(store, campaign)
        finally:
            neighbour.over.set()
            neighbour.join(LIMIT_SECONDS)
        assert outcome.campaign.state is CampaignState.DONE
        assert outcome.measured == 80
        checks = store.device_checks.of_campaign(campaign)
        assert checks[0].state is CheckState.FIRST
        off = [row for row in checks if row.state is CheckState.DRIFTED]
        assert off
        assert max(row.drift or 0.0 for row in off) > 2.0
        assert checks[-1].state is CheckState.STEADY
        # The machine said what it could.
        assert all(row.condition.load is not None for row in checks)
        trials = store.trials.of_campaign(campaign)
        kept = store.measurements.of_trials([row.id for row in trials])
        marked = [one for found in kept.values() for one in found if one.drift is not None]
        assert len(marked) >= neighbour.marked >= 4
        assert sum(row.marked for row in checks) == len(marked)
        # What is a task's best now was not measured then, or once more after it.
        bests = [row.best_trial_id for row in store.tasks.of_campaign(campaign)]
        assert store.measurements.drifts([number for number in bests if number is not None]) == {}
        again = [one for found in kept.values() for one in found if one.kind is MeasurementKind.RECHECKED]
        assert len(again) <= 12
        assert any("slower than it was" in row.message for row in off)
        assert any("devices drifted (" in remark for remark in outcome.remarks)
