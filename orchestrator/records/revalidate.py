"""The fastest records of another toolchain, or of a device that had drifted, measured with what is here."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from orchestrator.devices.stations import find_station
from orchestrator.errors import EngineLostError
from orchestrator.storage import MeasurementKind, NewMeasurement, Storage
from orchestrator.toolbox import Toolbox
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

__all__ = ["DEFAULT_MOST", "Revalidated", "revalidate"]

#: Records of each workload that are measured anew, where nothing else is said.
DEFAULT_MOST = 3
_BUILD_SECONDS = 60.0
# So many are built before they are measured: with other work on its cores none is timed.
_BATCH = 24
# A workload's hash, one of its candidates, and as what that is measured.
_Wanted = tuple[str, Candidate, MeasurementKind]


@dataclass(frozen=True)
class Revalidated:
    """What came of it.

    Attributes
    ----------
    device_class : str
    versions : dict of str to str
        The toolchain.
    workloads : int
        Of which something was measured.
    measured, failed : int
        Records that were, and how many of them can't be built or run any more.
    rechecked : int
        How many of them were of this toolchain, and measured while their device had drifted.
    changed : int
        Workloads whose best is another record than the one that was the fastest before.
    left : int
        Workloads whose best is stale all the same: all that was tried of them failed, or was lost.
    """

    device_class: str
    versions: dict[str, str]
    workloads: int
    measured: int
    failed: int
    changed: int
    left: int
    rechecked: int = 0


def revalidate(
    store: Storage,
    tools: Toolbox,
    workloads: Sequence[str] | None = None,
    *,
    most: int = DEFAULT_MOST,
    target: str = "auto",
    key: str | None = None,
    tracker: tuple[str, int] | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Revalidated:
    """Measure the few fastest stale records of each workload with the toolchain that is here.

    Also what signed packs claim to be faster than all that was measured with it, and those that were measured
    with it while their device had drifted, where they are the best or may be.

    The device class is measured with it from then on. What was stored stays, whatever comes of it; where it
    is broken off, the next time goes on with the rest.

    Parameters
    ----------
    workloads : sequence of str, optional
        Their hashes; left out, all that have records on the device.
    most : int, optional
        Records of each workload, at most; those that were measured with this toolchain already count, but
        not where packs claim to have faster ones.
    target, key, tracker
        On which device; see :func:`.stations.find_station`.

    Raises
    ------
    UsageError, TargetError
        There is no such device.
    EngineLostError
        The device went away and did not come back.
    """
    say("looking for the device")
    builder, measurer = BuildActor(tools.engine), MeasureActor(tools.engine)
    tools.take_along(builder, measurer)
    try:
        _, _, versions = measurer.start()
        station = find_station(tools, measurer, target=target, key=key, tracker=tracker)
        device = station.device
        versions = device.with_driver(versions)
        store.device_classes.put(tools.engine, device)
        store.toolchains.adopt(device.device_class, versions)
        if workloads is None:
            stored = store.answers.best(device_class=device.device_class)
            workloads = [row.workload_hash for row in stored]
        wanted = [
            *_stale(store, device, workloads, most),
            *_drifted(store, device, workloads, most),
        ]
        before = {
            h: rows[0].candidate
            for h in dict.fromkeys(h for h, _, _ in wanted)
            if (rows := store.trials.best(h, device.device_class))
        }
        if wanted:
            builder.start()
        run = _Run(store, device, station, versions, builder, measurer, say)
        for done in range(0, len(wanted), _BATCH):
            say(f"measuring records, {done} of {len(wanted)}")
            run.take(wanted[done : done + _BATCH])
    finally:
        builder.stop()
        measurer.stop()
    best = {h: store.trials.best(h, device.device_class) for h in before}
    return Revalidated(
        device_class=device.device_class,
        versions=versions,
        workloads=len(before),
        measured=run.measured,
        failed=run.failed,
        changed=sum(bool(b) and not b[0].stale and b[0].candidate != before[h] for h, b in best.items()),
        left=sum(not b or b[0].stale for b in best.values()),
        rechecked=run.rechecked,
    )


def _stale(store: Storage, device: DeviceInfo, workloads: Sequence[str], most: int) -> list[_Wanted]:
    return [
        (h, candidate, MeasurementKind.REVALIDATED)
        for h in dict.fromkeys(workloads)
        for candidate in store.seeds.to_revalidate(h, device.device_class, most)
    ]


def _drifted(store: Storage, device: DeviceInfo, workloads: Sequence[str], most: int) -> list[_Wanted]:
    found = store.seeds.to_recheck(device.device_class, workloads, most)
    return [(h, one, MeasurementKind.RECHECKED) for h, candidates in found.items() for one in candidates]


class _Run:
    """One device, and what was measured on it so far."""

    def __init__(
        self,
        store: Storage,
        device: DeviceInfo,
        station: Station,
        versions: dict[str, str],
        builder: BuildActor,
        measurer: MeasureActor,
        say: Callable[[str], None],
    ) -> None:
        self._store, self._device, self._station, self._versions = store, device, station, versions
        self._builder, self._measurer, self._say = builder, measurer, say
        self.measured = self.failed = self.rechecked = 0

    def take(self, batch: Sequence[_Wanted]) -> None:
        """Build some records' kernels, measure them one after the other, and store each."""
        modules = {w.hash: w for w in self._store.workloads.get_many(sorted({h for h, _, _ in batch}))}
        with ThreadPoolExecutor(self._device.cores or 1) as pool:
            built = list(pool.map(lambda pair: self._build(modules[pair[0]], pair[1]), batch))
        for (workload, candidate, kind), (build_s, failure, artifact) in zip(batch, built, strict=True):
            measured = failure or self._measure(workload, artifact)
            self._store.measurements.add(
                [
                    NewMeasurement(
                        workload,
                        self._device.device_class,
                        candidate.hash,
                        measured,
                        kind,
                        uuid.uuid4().hex,
                        self._versions,
                        build_s,
                    )
                ]
            )
            self.measured += 1
            self.rechecked += kind is MeasurementKind.RECHECKED
            self.failed += measured.state is not TrialState.OK

    def _build(
        self, workload: Workload, candidate: Candidate
    ) -> tuple[float, Measurement | None, Artifact | None]:
        result, artifact = self._builder.build(workload, self._device.target, candidate, _BUILD_SECONDS)
        if artifact is None:
            return result.build_s, Measurement(result.state, message=result.message), None
        return result.build_s, None, artifact

    def _measure(self, workload: str, artifact: Artifact | None) -> Measurement:
        assert artifact is not None
        # A device that is lost says nothing about the record; it gets one more chance to be there.
        for _ in range(2):
            measured = self._measurer.measure(artifact, self._station, EvaluatorConfig())
            if measured.state is not TrialState.DEVICE_LOST:
                return measured
        raise EngineLostError(
            f"the device went away while {workload[:12]} was measured, and did not come back: "
            f"{measured.message}; what was measured before is stored, and the same command goes on"
        )
