"""An engine without a TVM that tunes: it proposes, builds and measures in milliseconds, in real processes.

Its compiler is of the version that the environment variable ``QUICK_VERSION`` names, 1 if left out. With the
first, candidates of short names are the fastest, with later ones those of long names; and what is named
``only version 1`` can't be built by any other. ``QUICK_SLOW`` is how many times as long everything takes, 1
if left out. ``QUICK_SLOW_ONCE`` is a folder for notes of what was tried: what is called ``slow to build`` or
``slow to run`` takes too long the first time, and ``always slow`` every time.
"""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from workers.enginekit.contract import Engine
from workers.enginekit.roles import Address, NoComparison
from workers.messages import (
    Artifact,
    Candidate,
    DeviceInfo,
    Endpoint,
    EvaluatorConfig,
    Record,
    SearchOptions,
    Station,
    Timing,
    Traits,
    Workload,
)
from workers.process.host import ready, stage

#: Seconds that a measurement takes.
MEASURE_SECONDS = 0.05
VERSION = os.environ.get("QUICK_VERSION", "1")
SLOW = float(os.environ.get("QUICK_SLOW", "1"))


class TaskSearch:
    """Proposes numbers."""

    def __init__(self, workload: Workload, exclude: frozenset[str]) -> None:
        names = (f"{workload.name}-{n}" for n in itertools.count())
        self._names: Iterator[str] = (name for name in names if name not in exclude)

    def propose(self, count: int, cost_model: bytes | None) -> tuple[Candidate, ...]:
        return tuple(Candidate(name, f"trace {name}") for name in itertools.islice(self._names, count))

    def transfer(self, records: tuple[tuple[Workload, Record], ...]) -> None:
        pass

    def lend(self, records: tuple[tuple[Workload, Record], ...]) -> None:
        pass

    def learn(self, records: tuple[Record, ...]) -> bytes:
        return b""


class Quick(Engine):
    """What a fleet asks of an engine: one object in all the roles that it needs, and no models."""

    traits = Traits("quick")

    def warm(self, role: str) -> None:
        pass

    @property
    def toolchain(self) -> Roles:
        return Roles()

    @property
    def targets(self) -> Roles:
        return Roles()

    @property
    def search(self) -> Roles:
        return Roles()

    @property
    def build(self) -> Roles:
        return Roles()

    @property
    def measure(self) -> Roles:
        return Roles()

    @property
    def devices(self) -> Roles:
        return Roles()

    @property
    def model(self) -> NoReturn:
        raise NotImplementedError("it has no models")


class Roles(NoComparison):
    """All of them."""

    def version(self) -> str:
        return "1"

    def versions(self) -> dict[str, str]:
        return {"quick": VERSION}

    def resolve_target(self, spec: str) -> DeviceInfo:
        """Take ``one core`` for a part of the CPU, and ``rare`` for what only some machines have."""
        if spec == "one core":
            return DeviceInfo(spec, "cpu-a-1", "Some CPU", 1, "cpu")
        if spec == "rare":
            has = "QUICK_IS_RARE" in os.environ
            return DeviceInfo(spec, "rare", "Rare" if has else "unknown", 2, "cpu", "" if has else "too rare")
        return DeviceInfo(spec, "cpu-a-2", "Some CPU", 2, "cpu")

    def known_kernel(self, target: str) -> tuple[Workload, Candidate]:
        return Workload("known", "quick", "known", 1.0, b""), Candidate("known", "trace known")

    def unfit(self, target: str, endpoint: Endpoint) -> str:
        return ""

    def open_search(self, workload: Workload, target: str, options: SearchOptions) -> TaskSearch:
        return TaskSearch(workload, options.exclude)

    def train(self, samples: tuple[bytes, ...], threads: int) -> bytes:
        return b""

    def build(self, workload: Workload, target: str, candidate: Candidate) -> Artifact:
        if candidate.hash == "kills its engine":
            os.kill(os.getppid(), signal.SIGKILL)
        if candidate.hash == "only version 1" and VERSION != "1":
            raise ValueError(f"version {VERSION} knows no such instruction")
        _linger("slow to build", candidate.hash)
        return Artifact(candidate.hash.encode(), ".so", "")

    def describe(self, workload: Workload, candidate: Candidate | None = None) -> str:
        return workload.name if candidate is None else candidate.trace

    def measure(
        self,
        artifact: Artifact,
        endpoint: Endpoint,
        evaluator: EvaluatorConfig,
        best_known_s: float | None = None,
    ) -> Timing:
        time.sleep(MEASURE_SECONDS)
        seconds = 1.0 + len(artifact.data)
        _linger("slow to run", artifact.data.decode())
        return Timing((SLOW * (seconds if VERSION == "1" else 1.0 / seconds),))

    def serve_tracker(self, host: str, port: int | None = None) -> None:
        ready((host, 1))
        time.sleep(600)

    def serve_device(self, host: str, tracker: Address, station: Station) -> None:
        ready((host, 1))
        time.sleep(600)

    def tracked(self, host: str, port: int) -> dict[str, int]:
        return {}

    def count_devices(self, kind: str) -> int:
        return 1


def _linger(at: str, name: str) -> None:
    """Take too long, the first time."""
    folder = os.environ.get("QUICK_SLOW_ONCE")
    if folder is None or name not in (at, "always slow"):
        return
    try:
        Path(folder, name).touch(exist_ok=name == "always slow")
    except FileExistsError:
        return
    stage("taking its time")
    time.sleep(600)


ENGINE = Quick()
