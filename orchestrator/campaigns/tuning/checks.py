"""A known kernel on every device that a campaign measures on, and what follows where it drifts."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from orchestrator.campaigns.tuning.causes import causes
from orchestrator.campaigns.tuning.limits import MAX_ATTEMPTS
from orchestrator.campaigns.tuning.patience import Patience
from orchestrator.campaigns.tuning.watch import Watch
from orchestrator.devices.drift import PATIENCE, Level, Verdict
from orchestrator.devices.known_kernel import EVALUATOR, first_line, kernel_name
from orchestrator.fleet.completions import CandidateBuilt, Completion, DeviceChecked, WorkFailed
from orchestrator.fleet.port import Device, Work
from orchestrator.fleet.work import ArtifactHandle, BuildWork, CheckWork
from orchestrator.storage import CheckState, MeasurementKey, NewDeviceCheck, Storage, drift_words
from workers.messages import (
    Candidate,
    CheckedDevice,
    DeviceInfo,
    Measurement,
    TrialState,
    Workload,
)

__all__ = ["Checks", "Steps"]

#: Seconds after the last measurement in which a device may be checked for the last time: one that is gone
#: can't be. And for so long one that has drifted is waited for, where a campaign has time: a tenth of
#: what it took so far, at most.
LAST_SECONDS, PATIENT_SECONDS, PATIENT_PART = 30.0, 75.0, 0.1


class Steps(Protocol):
    """What a campaign does for its checks."""

    def store_results(self) -> None:
        """Store what was measured: some of it is to be marked."""

    def measure_again(self, device_class: str) -> int:
        """Have the best of what is marked measured again; return how many that are."""


@dataclass(eq=False)
class _Kernel:
    """The known kernel of one device class."""

    device: DeviceInfo
    workload: Workload
    candidate: Candidate
    artifact: ArtifactHandle | None = None
    building: bool = False
    tries: int = 0

    @property
    def name(self) -> str:
        """What its times are filed under."""
        return kernel_name(self.workload, self.candidate)

    @property
    def to_build(self) -> bool:
        """It can't be run, for it isn't built, nor being built."""
        return self.artifact is None and not self.building and self.tries < MAX_ATTEMPTS


class Checks:
    """The checks of one campaign.

    Parameters
    ----------
    run : str
        Names this run of the campaign.
    known : mapping of str to tuple of (Workload, Candidate)
        The known kernel, by device class. Classes that aren't in it are not checked.
    build_timeout_s : float
    patient : bool, optional
        At the end a device that has drifted is waited for, so that the best of what is marked can be measured
        again.
    clock : callable, optional
        Seconds, steady.

    Attributes
    ----------
    marked, again : int
        Measurements that were marked, and candidates that were measured again for it.
    """

    def __init__(
        self,
        store: Storage,
        campaign_id: int,
        owner: str,
        run: str,
        devices: Sequence[DeviceInfo],
        known: Mapping[str, tuple[Workload, Candidate]],
        steps: Steps,
        patience: Patience,
        say: Callable[[str], None],
        *,
        build_timeout_s: float,
        patient: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._id, self._owner, self._run = store, campaign_id, owner, run
        self._steps, self._patience, self._say, self._clock = steps, patience, say, clock
        self._limit_s, self._patient = build_timeout_s, patient
        self._kernels = {
            device.device_class: _Kernel(device, *known[device.device_class])
            for device in devices
            if device.device_class in known
        }
        self._versions: dict[str, str] = {}
        self._watches: dict[str, Watch] = {}
        self._intervals: dict[str, tuple[Watch, int]] = {}
        self._under_way: dict[Work, _Kernel] = {}
        self._began = clock()
        # What earlier campaigns left marked is measured again as well.
        self._marks_left = dict.fromkeys(self._kernels, True)
        self._most: dict[str, float] = {}
        self._told: list[str] = []
        self.marked = self.again = 0

    def begin(self, versions: Mapping[str, str]) -> None:
        """Begin, on a fleet of these versions."""
        self._versions, self._began = dict(versions), self._clock()

    @property
    def remarks(self) -> list[str]:
        """What is to be known about the devices' speed."""
        drifted = [watch for watch in self._watches.values() if watch.name in self._most]
        if not drifted:
            return list(self._told)
        still = ", ".join(watch.name for watch in drifted if watch.drift is not None)
        most = "; ".join(f"{watch.name} was up to {drift_words(self._most[watch.name])}" for watch in drifted)
        text = f"devices drifted ({most}): {self.marked} measurements are marked"
        if self.again:
            text += f", and {self.again} of the best were taken again"
        if still:
            text += (
                f"; {still} had not come back at the end, so the next campaign takes the best of these again"
            )
        return [*self._told, text]

    # -- giving out work

    @property
    def wants_cores(self) -> bool:
        """There is a kernel to build."""
        return any(kernel.to_build for kernel in self._kernels.values())

    def next_build(self) -> BuildWork | None:
        """Return the build of a known kernel, where one is missing."""
        kernel = next((kernel for kernel in self._kernels.values() if kernel.to_build), None)
        if kernel is None:
            return None
        kernel.building, kernel.tries = True, kernel.tries + 1
        work = BuildWork(kernel.workload, kernel.device.target, kernel.candidate, self._limit_s)
        self._under_way[work] = kernel
        return work

    def wanted_on(self, device: Device, *, last: bool) -> bool:
        """Say whether a device is to be checked now, also where there is nothing else to measure.

        Parameters
        ----------
        last : bool
            Nothing is left to be measured on any.
        """
        watch = self._watches.get(device.name)
        if watch is None or watch.busy or self._artifact(device) is None:
            return False
        level = watch.level
        if level is not None and level.unsure:
            return True
        return last and (watch.dirty or (self._awaited(watch) and watch.due(self._clock())))

    def next_check(self, device: Device, *, last: bool) -> CheckWork | None:
        """Return the check of an idle device, where one is due; `last` as for :meth:`wanted_on`."""
        artifact = self._artifact(device)
        if artifact is None:
            return None
        watch = self._watch(device)
        if watch.busy or not (watch.due(self._clock()) or self.wanted_on(device, last=last)):
            return None
        watch.busy = True
        work = CheckWork(artifact, device, EVALUATOR)
        self._under_way[work] = self._kernels[device.device_class]
        return work

    def slowdown(self, device: Device) -> float:
        """Return how many times as long as usual everything takes on a device, as far as that is known."""
        watch = self._watches.get(device.name)
        return 1.0 + max(0.0, watch.drift or 0.0) if watch is not None else 1.0

    @property
    def lacking(self) -> bool:
        """Where nothing is left to be measured: a device is still to be checked for the last time."""
        now = self._clock()
        watches = [w for w in self._watches.values() if self._kernels[w.device_class].artifact is not None]
        return any(
            self._awaited(watch) or ((watch.busy or watch.dirty) and now < watch.measured_at + LAST_SECONDS)
            for watch in watches
        )

    def _awaited(self, watch: Watch) -> bool:
        """Say whether a device that has drifted is waited for at the end, as far as that is of use."""
        if watch.drift is None or not (self._patient and self._marks_left[watch.device_class]):
            return False
        patience_s = min(PATIENT_SECONDS, PATIENT_PART * (watch.measured_at - self._began))
        return self._clock() < watch.measured_at + patience_s

    # -- what was measured

    def measured(self, device: Device, token: str) -> None:
        """Take that something was measured on a device."""
        if device.device_class in self._kernels:
            watch = self._watch(device)
            self._intervals[token] = watch, watch.measured(self._clock())

    def judge(self, key: MeasurementKey, token: str = "") -> float | None:
        """Say by how much its device had drifted when a measurement was made that is about to be stored.

        None for what was not measured, or where that isn't known. A later check may mark it then.

        Parameters
        ----------
        token : str, optional
            Of the measurement, where it is stored together with others under the token of one of them.
        """
        found = self._intervals.pop(token or key.token, None)
        return None if found is None else found[0].judge(found[1], key)

    # -- taking results

    def take(self, completion: Completion) -> bool:
        """Take what came of a piece of work, where it is one of these; say whether it was."""
        kernel = self._under_way.pop(completion.work, None)
        if kernel is None:
            return False
        match completion:
            case CandidateBuilt(_, result, artifact):
                kernel.building = False
                if result.state is TrialState.OK:
                    kernel.artifact, kernel.tries = artifact, 0
                else:
                    kernel.tries = MAX_ATTEMPTS
                    self._unchecked(kernel, result.message)
            case DeviceChecked(work, checked):
                self._checked(kernel, work.device, checked)
            case WorkFailed(work, error):
                kernel.building = False
                # What was built may have gone with the node that had it.
                kernel.artifact = None
                if isinstance(work, CheckWork):
                    lost = Measurement(TrialState.DEVICE_LOST, message=str(error), host=work.device.host)
                    self._checked(kernel, work.device, CheckedDevice(lost))
                elif kernel.tries >= MAX_ATTEMPTS:
                    self._unchecked(kernel, str(error))
        return True

    def _unchecked(self, kernel: _Kernel, why: str) -> None:
        name = kernel.device.device_class
        self._tell(f"{name} is not checked for drift: no known kernel can be built ({first_line(why)})")

    def _checked(self, kernel: _Kernel, device: Device, checked: CheckedDevice) -> None:
        measured, watch = checked.measurement, self._watch(device)
        watch.busy = False
        now = self._clock()
        check = NewDeviceCheck(
            kernel.device.device_class,
            device.station.key,
            measured.host or device.host,
            kernel.name,
            CheckState.FAILED,
            run=self._run,
            at_s=now - self._began,
            versions=kernel.device.with_driver(self._versions),
            times=measured.times,
            message=measured.message,
            condition=checked.condition,
        )
        if watch.level is None:
            watch.level = Level(self._patience.ask(lambda: self._store.device_checks.reference(check)))
        seconds = statistics.median(measured.times) if measured.state is TrialState.OK else None
        watch.tried.append((seconds, measured.times))
        verdict = watch.level.checked(seconds, now)
        if verdict is None:
            return
        tried, watch.tried = dict(watch.tried), []
        check = replace(check, times=tried.get(verdict.time_s, ()))
        self._mark(check, watch, verdict)
        self._store_check(check, watch, verdict)
        if watch.drift is None and verdict.drift is not None and self._marks_left[watch.device_class]:
            count = self._steps.measure_again(watch.device_class)
            self.again += count
            self._marks_left[watch.device_class] = count > 0

    def _mark(self, check: NewDeviceCheck, watch: Watch, verdict: Verdict) -> None:
        """Mark what was measured since the check before, or longer ago, where that was not as it seemed."""
        if not watch.begun and verdict.off is not None:
            # Of a run that was killed, nobody looked at what it measured last.
            off = verdict.off
            watch.marked += self._patience.ask(
                lambda: self._store.measurements.mark_unchecked(
                    check, off, campaign_id=self._id, owner=self._owner
                )
            )
        watch.begun = watch.begun or verdict.state is not CheckState.FAILED
        for drift, keys in watch.checked(verdict):
            if keys:
                # What waits to be stored would be passed over.
                self._steps.store_results()
                watch.marked += self._patience.ask(
                    partial(
                        self._store.measurements.mark, keys, drift, campaign_id=self._id, owner=self._owner
                    )
                )
        if verdict.off is not None:
            self._marks_left[watch.device_class] = True
            self._most[watch.name] = max(self._most.get(watch.name, 0.0), verdict.off, key=abs)

    def _store_check(self, check: NewDeviceCheck, watch: Watch, verdict: Verdict) -> None:
        failed = verdict.state is CheckState.FAILED
        message = check.message
        if not failed:
            message = told(watch.name, verdict, causes(watch.condition, check.condition))
        if watch.drift is None and verdict.drift is not None:
            watch.condition = check.condition
        known = replace(
            check,
            state=verdict.state,
            time_s=verdict.time_s,
            reference_s=verdict.reference_s,
            drift=verdict.drift,
            tries=verdict.tries,
            marked=watch.marked,
            message=message,
        )
        self.marked += watch.marked
        watch.marked = 0
        self._patience.ask(
            lambda: self._store.device_checks.put(known, campaign_id=self._id, owner=self._owner)
        )
        if verdict.state is CheckState.LEVEL:
            self._tell(message)
        elif failed and not watch.failing:
            # Of checks that fail one after the other, the first is told.
            self._say(f"{watch.name} could not be checked for drift: {first_line(message)}")
        elif message and not failed:
            self._say(message)
        watch.failing = failed

    # -- helpers

    def _tell(self, text: str) -> None:
        self._told.append(text)
        self._say(text)

    def _watch(self, device: Device) -> Watch:
        return self._watches.setdefault(device.name, Watch(device.name, device.device_class))

    def _artifact(self, device: Device) -> ArtifactHandle | None:
        kernel = self._kernels.get(device.device_class)
        return None if kernel is None else kernel.artifact


def told(name: str, verdict: Verdict, why: str) -> str:
    """Say what a check found, where that is news, and why that may be; else nothing."""
    if verdict.drift is None or verdict.time_s is None or verdict.reference_s is None:
        return ""
    before_s = verdict.time_s / (1 + verdict.drift)
    took = f"its known kernel takes {verdict.time_s * 1e3:.3g} ms, and took {before_s * 1e3:.3g}"
    took += f"; {why}" if why else ""
    off = f"{name} is {drift_words(verdict.drift)} than it was"
    if verdict.state is CheckState.LEVEL:
        return (
            f"{off}, in {PATIENCE + 1} checks on end: {took}. From now on it is held against that, and what "
            "was measured before does not compare with what will be"
        )
    if verdict.began:
        return f"{off} ({took}): what is measured meanwhile is marked"
    return f"{name} is as fast as it was again" if verdict.ended else ""
