"""The known kernel on one device, for a single command that measures there: is it as fast as it was?"""

from __future__ import annotations

import statistics
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace

from orchestrator.devices.drift import Level, Verdict
from orchestrator.errors import EngineError
from orchestrator.storage import CheckState, NewDeviceCheck, Storage, drift_words
from orchestrator.toolbox import Toolbox
from workers.actors import BuildActor, MeasureActor
from workers.messages import (
    Artifact,
    Candidate,
    CheckedDevice,
    EvaluatorConfig,
    Station,
    TrialState,
    Workload,
)

__all__ = ["EVALUATOR", "KnownKernel", "first_line", "kernel_name"]

#: How it is timed: in a fifth of a second, so often that one disturbance is none of its median. Times of
#: another evaluator would not compare.
EVALUATOR = EvaluatorConfig(number=1, repeat=15, min_repeat_ms=8, timeout_s=10.0)
_BUILD_SECONDS = 60.0


class KnownKernel:
    """Times the known kernel on a device, against what it took when that was checked last, by whatever.

    Where it can't be built or timed, that is said once, and nothing has drifted as far as is known. A device
    that is slower for good is held against what it took before until a campaign finds that out.

    Parameters
    ----------
    versions : mapping of str to str
        The toolchain.

    Attributes
    ----------
    drift : float or None
        By which part of its time it took more at the last check; None where that was about as long as before.
    most : float or None
        The largest such part of all checks.
    unchecked : str
        Why it can't be built or timed; empty where it can.
    """

    def __init__(
        self,
        store: Storage,
        station: Station,
        versions: Mapping[str, str],
        measurer: MeasureActor,
        say: Callable[[str], None],
    ) -> None:
        self._store, self._station, self._versions = store, station, versions
        self._measurer, self._say = measurer, say
        self._began, self._run = time.monotonic(), f"revalidate-{uuid.uuid4().hex}"
        self._artifact: Artifact | None = None
        self._name = ""
        self._reference_s: float | None = None
        self.unchecked = ""
        self.drift: float | None = None
        self.most: float | None = None

    def build(self, tools: Toolbox, builder: BuildActor) -> None:
        """Build it."""
        target = self._station.device.target
        try:
            workload, candidate = tools.known_kernel(target)
            result, self._artifact = builder.build(workload, target, candidate, _BUILD_SECONDS)
        except EngineError as error:
            self._unchecked(str(error))
            return
        self._name = kernel_name(workload, candidate)
        if self._artifact is None:
            self._unchecked(result.message)

    def check(self, marked: int = 0) -> float | None:
        """Time it; return by what is to be marked that was measured since the check before, None for nothing.

        Parameters
        ----------
        marked : int
            Measurements that wait for this, and are marked where it has drifted.
        """
        if self._artifact is None:
            return None
        before = self.drift
        checked, verdict = self._timed(self._artifact)
        if verdict.state is CheckState.FAILED:
            self._unchecked(checked.measurement.message)
            return before
        self._reference_s = verdict.reference_s
        self.drift = verdict.drift if verdict.state is CheckState.DRIFTED else None
        found = [one for one in (before, self.drift) if one is not None]
        off = max(found, key=abs) if found else None
        name = self._station.key
        message = ""
        if self.drift is not None:
            message = f"{name} is {drift_words(self.drift)} than it was: what is measured meanwhile is marked"
            self.most = max(self.drift, self.most or 0.0, key=abs)
        elif before is not None:
            message = f"{name} is as fast as it was again"
        self._store.device_checks.put(
            replace(
                self._new(checked),
                state=verdict.state,
                time_s=verdict.time_s,
                reference_s=verdict.reference_s,
                drift=verdict.drift,
                tries=verdict.tries,
                marked=0 if off is None else marked,
                message=message,
            )
        )
        if message and (before is None or self.drift is None):
            self._say(message)
        return off

    def _timed(self, artifact: Artifact) -> tuple[CheckedDevice, Verdict]:
        """Time it until that says something."""
        level: Level | None = None
        while True:
            checked = self._measurer.check(artifact, self._station, EVALUATOR)
            if level is None:
                if self._reference_s is None:
                    self._reference_s = self._store.device_checks.reference(self._new(checked))
                # One that has no memory of checks before: it is to find no new level.
                level = Level(self._reference_s)
            measured = checked.measurement
            seconds = statistics.median(measured.times) if measured.state is TrialState.OK else None
            if (verdict := level.checked(seconds, time.monotonic())) is not None:
                return checked, verdict

    def _new(self, checked: CheckedDevice) -> NewDeviceCheck:
        return NewDeviceCheck(
            self._station.device.device_class,
            self._station.key,
            checked.measurement.host,
            self._name,
            CheckState.FAILED,
            run=self._run,
            at_s=time.monotonic() - self._began,
            versions=self._versions,
            times=checked.measurement.times,
            condition=checked.condition,
        )

    def _unchecked(self, why: str) -> None:
        if not self.unchecked:
            self.unchecked = first_line(why)
            self._say(f"{self._station.key} is not checked for drift: {self.unchecked}")


def kernel_name(workload: Workload, candidate: Candidate) -> str:
    """Return what times of a known kernel are filed under."""
    return f"{workload.hash[:32]}:{candidate.hash[:32]}"


def first_line(why: str) -> str:
    """Return what a reason begins with."""
    return (why.strip().splitlines() or ["no reason was given"])[0]
