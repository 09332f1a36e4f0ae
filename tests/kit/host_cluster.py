"""A Ray cluster on hosts that are kept apart, and a campaign on it, watched from outside."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orchestrator as tf
from orchestrator.storage import CampaignState, MeasurementKind, TaskState, TrialRow
from tests.kit.separate_hosts import PYTHON, Host, Network
from workers.messages import TrialState

#: How soon a node that is silent counts as dead. Ray's own values (asked every 3 s, 10 s for an answer, five
#: times) are kinder to a network that is slow now and then.
HEALTH = {
    "RAY_health_check_initial_delay_ms": "2000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
}

TRIALS = 12
# Long enough for a machine whose cores are wanted by others: none of the tests is about how fast this is.
JOIN_SECONDS = 240.0
_END_SECONDS = 600.0

_WATCH = """
import json, sys, time
import ray
ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")
last = None
while True:
    alive = sorted(n["NodeManagerAddress"] for n in ray.nodes() if n["Alive"])
    if alive != last:
        print(json.dumps([time.time(), alive]), flush=True)
        last = alive
    time.sleep(0.1)
"""


def ray_start(host: Host) -> list[str]:
    """Return the beginning of the command that makes a host a node."""
    return [
        "ray",
        "start",
        f"--node-ip-address={host.address}",
        "--num-cpus=1",
        "--object-store-memory=100000000",
        "--disable-usage-stats",
    ]


@dataclass
class Cluster:
    """A head and a CPU node, started by hand, with a token."""

    network: Network
    head: Host
    cpu: Host
    token: str

    @property
    def address(self) -> str:
        return f"{self.head.address}:6379"

    @property
    def database(self) -> str:
        """URL of a database on the head, as the head sees it."""
        return f"sqlite:///{self.head.me / 'home' / 'records.db'}"

    def store(self) -> tf.Storage:
        """Open the same database from out here."""
        return tf.Storage.open(f"sqlite:///{self.head.home / 'records.db'}")

    def admit(self, host: Host) -> None:
        """Give a host the token."""
        folder = host.home / ".ray"
        folder.mkdir()
        (folder / "auth_token").write_text(self.token)
        (folder / "auth_token").chmod(0o600)

    def start_head(self) -> None:
        """Start Ray on the head."""
        self.admit(self.head)
        self.head.run(
            *ray_start(self.head), "--head", "--port=6379", "--include-dashboard=false", seconds=120
        )

    def join(self, host: Host) -> None:
        """Have a host join as a node that is supervised: whenever its Ray ends, it is started again.

        As systemd, KubeRay and the autoscaler of `ray up` do it, each in its way.
        """
        self.admit(host)
        start = [*ray_start(host), f"--address={self.address}", "--block"]
        host.start("bash", "-c", 'while :; do "$@"; sleep 1; done', "bash", *start, log="ray.log")

    def watch(self) -> NodeLog:
        """Write down from now on which nodes Ray has."""
        self.head.start(PYTHON, "-c", _WATCH, self.address, log="nodes.log")
        return NodeLog(self.head)


class NodeLog:
    """Which nodes Ray had when."""

    def __init__(self, head: Host) -> None:
        self._file = head.folder / "nodes.log"

    def lines(self) -> list[tuple[float, list[str]]]:
        """Return when (seconds since the epoch) it became which addresses."""
        found = []
        for line in self._file.read_text().splitlines():
            if line.startswith("["):
                when, alive = json.loads(line)
                found.append((when, alive))
        return found

    def wait(self, addresses: set[str], since: float, seconds: float) -> float:
        """Wait until these are the nodes; return how long after `since` Ray knew it."""
        until = time.monotonic() + seconds
        while True:
            lines = self.lines()
            if lines and set(lines[-1][1]) == addresses:
                return max(lines[-1][0] - since, 0.0)
            assert time.monotonic() < until, f"Ray does not have the nodes {addresses}: {lines}"
            time.sleep(0.1)


class Tune:
    """A `tunefleet tune` on the head, watched from outside."""

    def __init__(self, cluster: Cluster, *options: str, trials: int = TRIALS) -> None:
        self.cluster, self.trials = cluster, trials
        head = cluster.head
        self._log = head.folder / "tune.log"
        command: list[str | Path] = [
            PYTHON.parent / "tunefleet",
            "tune",
            "tiny.onnx",
            "--db",
            cluster.database,
        ]
        budget = ["--trials", str(trials), "--tasks", "conv2d|matmul", "--min-repeat-ms", "40"]
        self.started = time.monotonic()
        self.process = head.start(*command, *budget, *options, log="tune.log")

    def said(self) -> str:
        """Return the end of what it wrote."""
        return self._log.read_text()[-4000:]

    def trials_stored(self) -> list[TrialRow]:
        """Return the trials."""
        if not (self.cluster.head.home / "records.db").exists():
            return []
        with self.cluster.store() as store:
            return [trial for row in store.campaigns.newest() for trial in store.trials.of_campaign(row.id)]

    def over(self, seconds: float) -> bool:
        """Say whether it runs longer than this."""
        return time.monotonic() > self.started + seconds

    def wait_for(self, condition: Callable[[], Any], what: str, seconds: float = 240.0) -> float:
        """Wait until something holds while the campaign runs; return how long (seconds) it took."""
        began = time.monotonic()
        while not condition():
            assert self.process.poll() is None, f"it ended before {what}: {self.said()}"
            assert time.monotonic() < began + seconds, f"not after {seconds:g} s: {what}\n{self.said()}"
            time.sleep(0.1)
        return time.monotonic() - began

    def ended_well(self, seconds: float = _END_SECONDS) -> list[TrialRow]:
        """Wait for the end and return the trials: all that were asked for, each candidate once.

        None of them may have suffered from what happened to a node.
        """
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end within {seconds:g} s: {self.said()}") from None
        assert self.process.returncode == 0, self.said()
        with self.cluster.store() as store:
            row = store.campaigns.get(1)
            assert (row.state, row.message) == (CampaignState.DONE, said_of(store.trials.of_campaign(1)))
            assert {task.state for task in store.tasks.of_campaign(1)} == {TaskState.SATISFIED}
        found = self.trials_stored()
        assert len({(trial.workload_hash, trial.candidate) for trial in found}) == len(found) == self.trials
        assert [trial.message for trial in found if trial.state is TrialState.DEVICE_LOST] == []
        return found


def said_of(trials: Sequence[TrialRow]) -> str:
    """Return what a campaign that measured these trials, and took over none, says when it is done."""
    again = sum(trial.kind is MeasurementKind.AGAIN for trial in trials)
    return f"measured {len(trials)} trials" + (f", and {again} of the best again" if again else "")


def work_of(host: Host, role: str) -> float:
    """Return the CPU seconds that an engine process's forks have used there, those that ended included."""
    total = 0.0
    for process in host.processes("workers.process.host", f"--role {role}"):
        times = process.cpu_times()
        parent = process.parent()
        forked = parent is not None and parent.cmdline() == process.cmdline()
        # The engine process itself only warms up, and forks.
        total += times.children_user + (times.user if forked else 0.0)
    return total
