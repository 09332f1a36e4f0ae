"""What comes of measuring stored trials once more: in turns, with another toolchain, or after a drift."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from orchestrator.campaigns.tuning.actions import RecordRecheck, RecordRemeasurement, RecordRevalidation
from orchestrator.campaigns.tuning.aside import set_aside
from orchestrator.campaigns.tuning.contenders import MOST, comparable, contenders
from orchestrator.campaigns.tuning.patience import Patience
from orchestrator.campaigns.tuning.subjects import Subject
from orchestrator.errors import LeaseLostError, StorageError
from orchestrator.storage import (
    MeasurementKey,
    MeasurementKind,
    NewMeasurement,
    NewTrial,
    Storage,
    toolchain_text,
)
from workers.messages import Candidate, Measurement

__all__ = ["Again"]

# A trial's candidate, and what it took this time.
_Taken = tuple[Candidate, NewMeasurement]


class Again:
    """The later measurements of one campaign's trials.

    Parameters
    ----------
    judge : callable
        Says by how much its device had drifted when a measurement was made, by what is to be stored and the
        measurement's token.

    Attributes
    ----------
    measured : set of (int, str)
        Tasks and candidates whose times were taken again and stored.
    revalidated : int
        Trials of another toolchain that were measured with this one.
    remarks : list of str
        What is to be known about the fleet's toolchain.
    """

    def __init__(
        self,
        store: Storage,
        campaign_id: int,
        owner: str,
        subjects: Mapping[int, Subject],
        patience: Patience,
        changed: Callable[[], None],
        judge: Callable[[MeasurementKey, str], float | None],
    ) -> None:
        self._store, self._id, self._owner = store, campaign_id, owner
        self._subjects, self._patience, self._changed = subjects, patience, changed
        self._judge = judge
        self._versions: dict[str, str] = {}
        self._kept: dict[int, dict[str, list[RecordRemeasurement]]] = {}
        self.measured: set[tuple[int, str]] = set()
        self.revalidated = 0
        self.remarks: list[str] = []

    def begin(self, versions: Mapping[str, str], say: Callable[[str], None]) -> None:
        """Measure with a fleet's toolchain from now on, which may not be what this machine planned with."""
        self._versions = dict(versions)
        for name, device in {s.device.device_class: s.device for s in self._subjects.values()}.items():
            measured_with = device.with_driver(versions)
            planned = self._store.toolchains.find(self._store.toolchains.current_key(name))
            key = self._store.toolchains.adopt(name, measured_with)
            if planned is not None and planned.key != key:
                remark = (
                    f"{name} is measured with {toolchain_text(measured_with)}, and this machine has "
                    f"{planned}: while they differ, what either measures is stale to the other"
                )
                self.remarks.append(remark)
                say(remark)

    def measured_with(self, task: int) -> dict[str, str]:
        """Return the versions of what a task's candidates are measured with."""
        return self._subjects[task].device.with_driver(self._versions)

    def store(self, action: RecordRevalidation | RecordRecheck) -> None:
        """Store what came of measuring a trial with this toolchain, or after its device had drifted."""
        revalidated = isinstance(action, RecordRevalidation)
        kind = MeasurementKind.REVALIDATED if revalidated else MeasurementKind.RECHECKED
        self._add(
            [
                self._new(
                    action.task,
                    action.candidate,
                    action.measurement,
                    kind,
                    [action.token],
                    action.build_s,
                )
            ]
        )
        self.revalidated += revalidated

    def keep(self, action: RecordRemeasurement) -> None:
        """Keep what a trial took this time, until its rivals have been measured again as well."""
        self._kept.setdefault(action.task, {}).setdefault(action.candidate.hash, []).append(action)

    def settle(self, task: int) -> tuple[Candidate, ...]:
        """Store what was kept of a task, if it can be compared; return the rivals that its best has now."""
        pair, ask, trials = self._subjects[task].pair, self._patience.ask, self._store.trials
        taken = self._kept.pop(task, {})
        try:
            best = ask(lambda: trials.best(*pair, MOST, stale=False))
        except StorageError as error:
            if not taken or isinstance(error, LeaseLostError):
                raise
            raise StorageError(
                f"{error}\nwhat {len(taken)} of the fastest candidates took in turns is lost; "
                f"tunefleet resume {self._id} times them again"
            ) from None
        times = {
            candidate: [seconds for turn in turns for seconds in turn.measurement.times]
            for candidate, turns in taken.items()
        }
        if comparable(best, times):
            self._add(
                [
                    self._new(
                        task,
                        turns[-1].candidate,
                        # What its turns took together, as of the last of them.
                        replace(turns[-1].measurement, times=tuple(times[candidate]), message=""),
                        MeasurementKind.AGAIN,
                        [turn.token for turn in turns],
                    )
                    for candidate, turns in taken.items()
                ]
            )
            self.measured |= {(task, candidate) for candidate in taken}
            best = ask(lambda: trials.best(*pair, MOST, stale=False))
        return contenders(best)

    def _new(
        self,
        task: int,
        candidate: Candidate,
        measurement: Measurement,
        kind: MeasurementKind,
        tokens: Sequence[str],
        build_s: float = 0.0,
    ) -> _Taken:
        pair, versions, token = self._subjects[task].pair, self.measured_with(task), tokens[-1]
        key = MeasurementKey(*pair, candidate.hash, token)
        # Of several turns, one on a device that had drifted is enough.
        judged = [self._judge(key, each) for each in tokens]
        drift = max((one for one in judged if one is not None), key=abs, default=None)
        new = NewMeasurement(*pair, candidate.hash, measurement, kind, token, versions, build_s, drift)
        return candidate, new

    def _add(self, taken: list[_Taken]) -> None:
        """Store measurements. Where the store fails for too long, they are put into a file.

        Raises
        ------
        StorageError
            It did; where they are now.
        """
        measurements = [one for _, one in taken]
        try:
            self._patience.ask(
                lambda: self._store.measurements.add(measurements, campaign_id=self._id, owner=self._owner)
            )
        except LeaseLostError:
            raise
        except StorageError as error:
            told = f"{len(taken)} later measurements of trials could not be stored"
            aside = set_aside(self._id, self._subjects.values(), list(map(_as_trial, taken)), told)
            raise StorageError(f"{error}\n{aside}") from None
        self._changed()


def _as_trial(taken: _Taken) -> NewTrial:
    """Return a later measurement as a file of records has it: under its trial, and with the trace."""
    candidate, one = taken
    return NewTrial(
        workload_hash=one.workload_hash,
        device_class=one.device_class,
        candidate=candidate,
        measurement=one.measurement,
        build_s=one.build_s,
        token=one.token,
        versions=one.versions,
        kind=one.kind,
        drift=one.drift,
    )
