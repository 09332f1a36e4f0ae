"""The fastest records of another toolchain, or of a device that had drifted, measured with what is here."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from orchestrator.devices.known_kernel import KnownKernel
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
_EVALUATOR = EvaluatorConfig()
# So many are built before they are measured: with other work on its cores none is timed.
_BATCH = 24
# A workload's hash, one of its candidates, and as what that is measured.
_Wanted = tuple[str, Candidate, MeasurementKind]
# The seconds of a build, how it failed, and what was built.
_Built = tuple[float, Measurement | None, Artifact | None]
# What says little about a record: another time it may be fast enough.
_TOO_LONG = (TrialState.BUILD_TIMEOUT, TrialState.RUN_TIMEOUT)


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
    timed_out : int
        Records that took too long twice, the second time alone: they stay as they were.
    drift : float or None
        By which part of its time the known kernel took most more than before, below 0 for less; None where it
        took about as long. What was measured meanwhile is marked with it.
    waiting : int
        Records that had been measured while their device had drifted, and were left for when it is back.
    unchecked : str
        Why the known kernel can't be built or timed, so that nobody knows of a drift; empty where it can.
    """

    device_class: str
    versions: dict[str, str]
    workloads: int
    measured: int
    failed: int
    changed: int
    left: int
    rechecked: int = 0
    timed_out: int = 0
    drift: float | None = None
    waiting: int = 0
    unchecked: str = ""


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

    The known kernel is timed before and after: where the device has drifted, what is measured is marked with
    that, and what an earlier drift had marked is left for another time.

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
        known = KnownKernel(store, station, versions, measurer, say)
        if wanted:
            builder.start()
            known.build(tools, builder)
            known.check()
        run = _Run(store, device, station, versions, builder, measurer, known)
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
        workloads=len(run.workloads),
        measured=run.measured,
        failed=run.failed,
        changed=sum(bool(b) and not b[0].stale and b[0].candidate != before[h] for h, b in best.items()),
        left=sum(not b or b[0].stale for b in best.values()),
        rechecked=run.rechecked,
        timed_out=run.timed_out,
        drift=known.most,
        waiting=run.waiting,
        unchecked=known.unchecked,
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
        known: KnownKernel,
    ) -> None:
        self._store, self._device, self._station, self._versions = store, device, station, versions
        self._builder, self._measurer, self._known = builder, measurer, known
        self.measured = self.failed = self.rechecked = self.timed_out = self.waiting = 0
        self.workloads: set[str] = set()

    def take(self, batch: Sequence[_Wanted]) -> None:
        """Build some records' kernels, measure them one after the other, and store what came of it."""
        batch = self._without_rechecks(batch, self._known.drift)
        modules = {w.hash: w for w in self._store.workloads.get_many(sorted({h for h, _, _ in batch}))}
        with ThreadPoolExecutor(self._device.cores or 1) as pool:
            built = list(pool.map(lambda pair: self._build(modules[pair[0]], pair[1]), batch))
        taken: list[NewMeasurement] = []
        try:
            for (workload, candidate, kind), made in zip(batch, built, strict=True):
                measured, build_s = self._measured(modules[workload], candidate, made)
                if measured.state in _TOO_LONG:
                    self.timed_out += 1
                    continue
                taken.append(
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
                )
        except EngineLostError:
            self._store_all(taken, self._known.drift)
            raise
        if batch:
            self._store_all(taken, self._known.check(len(taken)))

    def _without_rechecks(self, batch: Sequence[_Wanted], drift: float | None) -> Sequence[_Wanted]:
        """Leave out what waits for a device that is as fast as it was."""
        if drift is None:
            return batch
        kept = [one for one in batch if one[2] is not MeasurementKind.RECHECKED]
        self.waiting += len(batch) - len(kept)
        return kept

    def _store_all(self, taken: Sequence[NewMeasurement], drift: float | None) -> None:
        """Store measurements, marked where the device had drifted; then none that was to take a mark away."""
        kept = [
            replace(one, drift=drift)
            for one in taken
            if drift is None or one.kind is not MeasurementKind.RECHECKED
        ]
        self.waiting += len(taken) - len(kept)
        self._store.measurements.add(kept)
        self.measured += len(kept)
        self.rechecked += sum(one.kind is MeasurementKind.RECHECKED for one in kept)
        self.failed += sum(one.measurement.state is not TrialState.OK for one in kept)
        self.workloads |= {one.workload_hash for one in kept}

    def _measured(self, workload: Workload, candidate: Candidate, built: _Built) -> tuple[Measurement, float]:
        """Return what came of a record, and the seconds its build took.

        What took too long is tried once more, with nothing beside it: something may have been in its way.
        """
        build_s, failure, artifact = built
        if failure is not None and failure.state is TrialState.BUILD_TIMEOUT:
            build_s, failure, artifact = self._build(workload, candidate)
        if artifact is None:
            assert failure is not None
            return failure, build_s
        measured = self._measure(workload.hash, artifact)
        if measured.state is TrialState.RUN_TIMEOUT:
            measured = self._measure(workload.hash, artifact)
        return measured, build_s

    def _build(self, workload: Workload, candidate: Candidate) -> _Built:
        result, artifact = self._builder.build(workload, self._device.target, candidate, _BUILD_SECONDS)
        if artifact is None:
            return result.build_s, Measurement(result.state, message=result.message), None
        return result.build_s, None, artifact

    def _measure(self, workload: str, artifact: Artifact) -> Measurement:
        # A device that is lost says nothing about the record; it gets one more chance to be there.
        for _ in range(2):
            measured = self._measurer.measure(artifact, self._station, _EVALUATOR)
            if measured.state is not TrialState.DEVICE_LOST:
                return measured
        raise EngineLostError(
            f"the device went away while {workload[:12]} was measured, and did not come back: "
            f"{measured.message}; what was measured before is stored, and the same command goes on"
        )
