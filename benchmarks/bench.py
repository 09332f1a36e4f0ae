"""A builder and a device of this machine, for benchmarks that measure candidates themselves."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from workers.actors import BuildActor, MeasureActor
from workers.messages import (
    Artifact,
    Candidate,
    DeviceInfo,
    EvaluatorConfig,
    Measurement,
    Station,
    TrialState,
    Workload,
)

__all__ = ["Bench", "bench"]

_BUILD_SECONDS = 60.0


@dataclass(frozen=True)
class Bench:
    """Builds and measures one candidate after the other, without Ray."""

    builder: BuildActor
    measurer: MeasureActor
    station: Station

    def build(self, workload: Workload, candidate: Candidate) -> Artifact | None:
        """Build a candidate for the device; None where that fails."""
        target = self.station.device.target
        return self.builder.build(workload, target, candidate, _BUILD_SECONDS)[1]

    def measure(self, artifact: Artifact, best_known_s: float | None = None) -> Measurement:
        """Time what was built, as campaigns do by default."""
        return self.measurer.measure(artifact, self.station, EvaluatorConfig(), best_known_s)

    def seconds(
        self, workload: Workload, candidate: Candidate, best_known_s: float | None = None
    ) -> float | None:
        """Build and time a candidate; None where either fails."""
        artifact = self.build(workload, candidate)
        measured = self.measure(artifact, best_known_s) if artifact is not None else None
        if measured is None or measured.state is not TrialState.OK:
            return None
        return statistics.median(measured.times)


@contextlib.contextmanager
def bench(device: DeviceInfo) -> Iterator[Bench]:
    """Start a builder and a server for a device of this machine; end them again."""
    builder, measurer = BuildActor("metaschedule"), MeasureActor("metaschedule")
    try:
        builder.start()
        measurer.start()
        (station,) = measurer.offer((device,))
        measurer.serve()
        yield Bench(builder, measurer, station)
    finally:
        builder.stop()
        measurer.stop()
