"""An engine without a TVM that tunes: it proposes, builds and measures in milliseconds, in real processes."""

from __future__ import annotations

import itertools
import os
import signal
import time
from typing import Any

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
    Workload,
)
from workers.process.host import ready

#: Seconds that a measurement takes.
MEASURE_SECONDS = 0.05


class Search:
    """Proposes numbers."""

    def __init__(self, workload: Workload, exclude: frozenset[str]) -> None:
        names = (f"{workload.name}-{n}" for n in itertools.count())
        self._names = (name for name in names if name not in exclude)

    def propose(self, count: int, cost_model: bytes | None) -> tuple[Candidate, ...]:
        return tuple(Candidate(name, f"trace {name}") for name in itertools.islice(self._names, count))

    def transfer(self, records: tuple[Any, ...]) -> None:
        pass

    def learn(self, records: tuple[Record, ...]) -> bytes:
        return b""


class Quick:
    """What a fleet asks of an engine."""

    name = "quick"

    def warm(self, role: str) -> None:
        pass

    def versions(self) -> dict[str, str]:
        return {"quick": "1"}

    def resolve_target(self, spec: str) -> DeviceInfo:
        """Take ``one core`` for a part of the CPU, and ``rare`` for what only some machines have."""
        if spec == "one core":
            return DeviceInfo(spec, "cpu-a-1", "Some CPU", 1, "cpu")
        if spec == "rare":
            has = "QUICK_IS_RARE" in os.environ
            return DeviceInfo(spec, "rare", "Rare" if has else "unknown", 2, "cpu", "" if has else "too rare")
        return DeviceInfo(spec, "cpu-a-2", "Some CPU", 2, "cpu")

    def open_search(self, workload: Workload, target: str, options: SearchOptions) -> Search:
        return Search(workload, options.exclude)

    def train(self, samples: tuple[bytes, ...], threads: int) -> bytes:
        return b""

    def build(self, workload: Workload, target: str, candidate: Candidate) -> Artifact:
        if candidate.hash == "kills its engine":
            os.kill(os.getppid(), signal.SIGKILL)
        return Artifact(candidate.hash.encode(), ".so", "")

    def measure(
        self,
        artifact: Artifact,
        endpoint: Endpoint,
        evaluator: EvaluatorConfig,
        best_known_s: float | None = None,
    ) -> Timing:
        time.sleep(MEASURE_SECONDS)
        return Timing((1.0 + len(artifact.data),))

    def serve_tracker(self, host: str, port: int | None = None) -> None:
        ready((host, 1))
        time.sleep(600)

    def serve_device(self, host: str, tracker: tuple[str, int], station: Station) -> None:
        ready((host, 1))
        time.sleep(600)


ENGINE = Quick()
