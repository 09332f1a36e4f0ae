"""Is a device as fast as it was? A known kernel is timed on it, and compared with earlier times."""

from __future__ import annotations

import statistics
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace

from orchestrator.devices.stations import find_station
from orchestrator.errors import EngineError
from orchestrator.storage import NewTrial, Sighting, Storage
from orchestrator.toolbox import Toolbox
from workers.actors import BuildActor, MeasureActor
from workers.messages import DeviceInfo, EvaluatorConfig, TrialState

__all__ = ["DeviceCheck", "check_device"]

_EVALUATOR = EvaluatorConfig(number=5, repeat=5, min_repeat_ms=50)
_BUILD_SECONDS = 60.0


@dataclass(frozen=True)
class DeviceCheck:
    """What a device took for the known kernel.

    Attributes
    ----------
    time_s, gflops : float
        Median seconds of one call now, and its speed.
    checks : int
        Earlier checks of this device.
    before_s : float or None
        Median of their times; None where there was none.
    """

    key: str
    host: str
    device: DeviceInfo
    time_s: float
    gflops: float
    checks: int
    before_s: float | None

    @property
    def ratio(self) -> float | None:
        """Its time as a multiple of what it was before."""
        return None if self.before_s is None else self.time_s / self.before_s


def check_device(
    store: Storage,
    tools: Toolbox,
    *,
    target: str = "auto",
    key: str | None = None,
    tracker: tuple[str, int] | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> DeviceCheck:
    """Build the known kernel, run it on a device, and keep its time for the next check.

    Parameters
    ----------
    key, tracker : str and tuple of (str, int), optional
        A device behind a tracker; left out, this machine's.

    Raises
    ------
    UsageError, TargetError
        The tracker knows no such device, or this machine has none for the target.
    EngineError
        It can't be built, the tracker does not answer, or the device failed: with what it said.
    """
    say("looking for the device")
    builder, measurer = BuildActor(tools.engine), MeasureActor(tools.engine)
    try:
        _, _, versions = measurer.start()
        station = find_station(tools, measurer, target=target, key=key, tracker=tracker)
        workload, candidate = tools.known_kernel(station.device.target)
        say("building the known kernel")
        result, artifact = builder.build(workload, station.device.target, candidate, _BUILD_SECONDS)
        if artifact is None:
            raise EngineError(
                f"the known kernel can't be built for {station.device.target}: {result.message}"
            )
        say(f"running it on {station.key}")
        measured = measurer.measure(artifact, station, _EVALUATOR)
    finally:
        builder.stop()
        measurer.stop()
    device = station.device
    store.device_classes.put(tools.engine, device)
    store.workloads.put([workload])
    before = [
        trial.cost_s
        for trial in store.trials.of_workload(workload.hash, device.device_class)
        if trial.cost_s is not None and trial.device == station.key and trial.host == measured.host
    ]
    if measured.state is not TrialState.DEVICE_LOST:
        # A candidate is stored once; here the same one is measured again and again, so it gets a name of its
        # own each time.
        again = replace(candidate, hash=f"{candidate.hash[:16]}{time.time_ns():016x}")
        store.trials.record(
            [
                NewTrial(
                    workload.hash,
                    device.device_class,
                    again,
                    measured,
                    build_s=result.build_s,
                    token=uuid.uuid4().hex,
                    versions=device.with_driver(versions),
                )
            ]
        )
    ok = measured.state is TrialState.OK
    state = "seen" if ok else "lost"
    store.devices.see([Sighting(station.key, measured.host, device, state, measured.message)])
    if not ok:
        raise EngineError(
            f"device {station.key} failed the check, {measured.state.value}: {measured.message}"
        )
    now = statistics.median(measured.times)
    return DeviceCheck(
        key=station.key,
        host=measured.host,
        device=device,
        time_s=now,
        gflops=workload.flops / now / 1e9,
        checks=len(before),
        before_s=statistics.median(before) if before else None,
    )
