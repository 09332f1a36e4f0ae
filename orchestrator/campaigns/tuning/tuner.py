"""One campaign's tuning: what its machine wants is asked of the fleet, and what came of it is stored."""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from orchestrator.campaigns.planning.plan import CampaignPlan
from orchestrator.campaigns.scheduling.scheduler import Scheduler
from orchestrator.campaigns.spec import CampaignSpec
from orchestrator.campaigns.tuning.actions import (
    Action,
    Build,
    CloseSearch,
    EndTask,
    FindContenders,
    Learn,
    Measure,
    OpenSearch,
    Propose,
    RecordAgain,
    RecordTrial,
)
from orchestrator.campaigns.tuning.contenders import MOST, comparable, contenders
from orchestrator.campaigns.tuning.events import (
    Built,
    Contenders,
    Failed,
    Learned,
    Measured,
    Opened,
    Proposed,
)
from orchestrator.campaigns.tuning.machine import Machine
from orchestrator.campaigns.tuning.tasks import Task
from orchestrator.errors import LeaseLostError, StorageError, UsageError
from orchestrator.records.unstored import save_unstored, unstored_path
from orchestrator.storage import CampaignTaskRow, NewTrial, Storage, TaskState
from workers.messages import DeviceInfo, Measurement, Record, TrialState, Workload

__all__ = ["HISTORY", "RELATED", "Tuning"]

#: Candidates of one round: what MetaSchedule calls num_trials_per_iter. Its 64 would be a small task's whole
#: budget.
BATCH = 16
#: Built candidates that may wait, for each device.
WINDOW = 64
#: Records a search is seeded with, the fastest first.
HISTORY = 128
#: Records of other workloads of the same kind, which a cost model may start from.
RELATED = 512
#: Rounds of a task that look at the schedules of other workloads, of which there are more each time.
LENDING_ROUNDS = 3
# The cost model is trained anew when there is this much more to learn from, and never for less than a
# handful: MetaSchedule's own rule (adaptive_training).
_TRAIN_GROWTH, _TRAIN_LEAST = 1.2, 32
_TRAIN_SECONDS = 300.0
#: Seconds for which results that can't be stored are kept, and storing them tried again.
STORE_PATIENCE_SECONDS = 60.0
#: Seconds a result waits for others: a commit costs milliseconds, however many trials are in it.
GATHER_SECONDS = 0.25
_STORE_PAUSE_SECONDS = 1.0
#: How often contenders for the best of their task are measured again, and the repeats of each time.
FINALS_TURNS, FINALS_REPEAT = 2, 3
#: Of a campaign's time, where that is limited, the part that is kept for this, and seconds of it at most.
FINALS_TIME, FINALS_SECONDS = 0.05, 60.0
#: Seconds that a measurement under way gets to end when the campaign stops.
LAST_WORDS_SECONDS = 3.0
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class _Train:
    """The tag of a training run, and how many samples it knows."""

    size: int


@dataclass
class _Subject:
    workload: Workload
    device: DeviceInfo
    opened: int = 0  # how often its search was opened
    model_seen: int = 0  # version of the cost model this task's search has
    lent: int = 0  # rounds for which other workloads' schedules were looked at


class Tuning:
    """One campaign's tuning.

    Parameters
    ----------
    fleet
        What :meth:`run` tunes on; a loop that others share gives it one of its own.
    say, changed
        Told what is going on, and that the store has news.
    transfers : bool, optional
        The engine's searches learn from records of other workloads.
    lends : int, optional
        Of how many records of each related workload they try the schedules.
    """

    def __init__(
        self,
        store: Storage,
        fleet: Any,
        campaign_id: int,
        owner: str,
        spec: CampaignSpec,
        plan: CampaignPlan,
        say: Callable[[str], None],
        changed: Callable[[], None],
        *,
        transfers: bool = False,
        lends: int = 0,
    ) -> None:
        self._store, self._fleet, self._id, self._owner = store, fleet, campaign_id, owner
        self._spec, self._say, self._changed = spec, say, changed
        self._transfers, self._lends = transfers, lends
        workloads = {task.workload.hash: task.workload for m in plan.models for task in m.tasks}
        devices = {device.device_class: device for device in plan.devices}
        rows = [row for row in store.tasks.of_campaign(campaign_id) if row.state is TaskState.OPEN]
        standings = store.tasks.standings([(row.workload_hash, row.device_class) for row in rows])
        self._subjects = {
            row.id: _Subject(workloads[row.workload_hash], devices[row.device_class]) for row in rows
        }
        self._device_classes = tuple(dict.fromkeys(row.device_class for row in rows))
        # Campaigns come back to a fleet that knows their earlier searches.
        self._name = f"{campaign_id}-{time.time_ns():x}"
        self._machine = Machine(
            self._name,
            [_task(row, s.stored, s.since_best) for row, s in zip(rows, standings, strict=True)],
            batch=BATCH,
            plateau=spec.plateau,
            turns=FINALS_TURNS,
        )
        self._artifacts: dict[str, Any] = {}
        self._samples: list[bytes] = []
        self._sampled = self._trained = 0
        self._training = False
        self._model: bytes | None = None
        self._model_version = 0
        self._measuring = 0
        self._unsaved: list[NewTrial] = []
        self._unsaved_since = 0.0
        self._flush_at = 0.0
        self._stop_at: float | None = None
        self._over = False
        self._open: set[int] = set()
        self._devices_ready = 0
        self.recorded = 0
        self.measured_again: set[tuple[int, str]] = set()
        self._again: dict[int, dict[str, list[float]]] = {}
        self.ends_at: float | None = None
        self._began = time.monotonic()

    def run(self, stopped: Callable[[], bool]) -> None:
        """Tune alone on the fleet until all tasks have had enough, or `stopped` says so.

        Raises
        ------
        StorageError
            Where the store would not take results for a minute: where those it never took are kept.
        LeaseLostError
            Where another coordinator has the campaign.
        """
        wrong: list[Exception | None] = []
        loop = Scheduler(self._store, self._fleet)
        loop.add(self, stopped, wrong.append)
        try:
            while loop.busy:
                loop.step()
        except Exception as error:
            loop.stop(error)
        if wrong[0] is not None:
            raise wrong[0]

    # -- what the loop asks

    @property
    def id(self) -> int:
        """The campaign's."""
        return self._id

    @property
    def device_classes(self) -> tuple[str, ...]:
        """Those it measures on."""
        return self._device_classes

    @property
    def done(self) -> bool:
        """Nothing is left to do; or it was stopped, and what it was measuring had its time to end."""
        if self._stop_at is not None and (not self._measuring or time.monotonic() >= self._stop_at):
            return True
        return self._machine.done

    @property
    def flush_in_s(self) -> float | None:
        """Seconds until there is something to store; None where nothing waits."""
        return self._flush_at - time.monotonic() if self._unsaved else None

    def begin(self, fleet: Any) -> None:
        """Begin, on this fleet."""
        self._fleet = fleet
        self._began = time.monotonic()
        self._take_notes()  # of tasks that had enough before they began

    def fit(self, ready: Mapping[str, int], max_open: int) -> None:
        """Follow a fleet that changes: devices by their class, and how many searches may be open."""
        self._devices_ready = sum(ready.get(name, 0) for name in self._device_classes)
        self._machine.fit(self._devices_ready, max_open=max_open)

    @property
    def wants_cores(self) -> bool:
        """There is something for a core to do."""
        return not self._enough_built and (self._train_due or self._machine.computable)

    def measurable_on(self, device_class: str) -> int:
        """Count the candidates that wait for a device of this class."""
        return self._machine.measurable_on(device_class)

    def compute(self) -> bool:
        """Begin a piece of work on a core, where there is one to do."""
        if self._enough_built:
            return False
        if self._train_due:
            self._training = True
            self._fleet.train(_Train(self._sampled), tuple(self._samples), _TRAIN_SECONDS)
            return True
        action = self._machine.next_compute()
        if action is None:
            return False
        self._begin(action)
        return True

    def measure(self, device: Any) -> None:
        """Begin to measure the next candidate on an idle device."""
        action = self._machine.next_measure(device.device_class)
        assert action is not None, "a candidate waits, and there is none"
        self._measure(action, device)

    def tend(self) -> None:
        """Do what it is time for."""
        self._wind_up_if_due()
        if self._unsaved and time.monotonic() >= self._flush_at:
            self._flush()

    def _wind_up_if_due(self) -> None:
        """Keep some of a limited time for measuring the best again."""
        if self.ends_at is not None:
            kept = min(FINALS_SECONDS, FINALS_TIME * (self.ends_at - self._began))
            if time.monotonic() >= self.ends_at - kept:
                self.ends_at = None
                self._machine.wind_up()
                self._take_notes()

    def stop(self) -> None:
        """Begin nothing more. A measurement under way gets some time to end: it is nearly paid for."""
        if self._stop_at is None:
            self._stop_at = time.monotonic() + LAST_WORDS_SECONDS
            self._machine.stop()

    def end(self) -> None:
        """Store what was measured, and close the searches: others may go on with the fleet.

        Raises
        ------
        StorageError, LeaseLostError
            As :meth:`run`.
        """
        self._over = True
        for task in self._open:
            self._fleet.close(self._session(task))
        self._flush(final=True)

    # -- giving out work

    @property
    def _enough_built(self) -> bool:
        return self._machine.measurable >= WINDOW * max(1, self._devices_ready)

    @property
    def _train_due(self) -> bool:
        least = max(_TRAIN_LEAST, _TRAIN_GROWTH * self._trained)
        return not self._training and self._sampled >= least and self._stop_at is None

    def _measure(self, action: Measure, device: Any) -> None:
        self._say(f"measuring {self._subjects[action.task].workload.name}")
        self._measuring += 1
        best_known_s = (
            None if self._spec.full_timing or math.isinf(action.best_known_s) else action.best_known_s
        )
        artifact = self._artifacts.pop(action.token)
        evaluator = self._spec.evaluator
        if action.again:
            evaluator = replace(evaluator, repeat=max(FINALS_REPEAT, evaluator.repeat))
        self._fleet.measure(action, artifact, device, evaluator, best_known_s)

    def _begin(self, action: Action) -> None:
        fleet, limit = self._fleet, self._spec.search_timeout_s
        subject = self._subjects[action.task]
        match action:
            case OpenSearch():
                self._say(f"opening the search of {subject.workload.name}")
                subject.opened += 1
                pair = (subject.workload.hash, subject.device.device_class)
                options = replace(
                    self._spec.search,
                    seed=self._spec.seed,
                    exclude=frozenset(self._patiently(lambda: self._store.trials.known_candidates(*pair))),
                )
                history = tuple(self._patiently(lambda: self._store.seeds.fastest(*pair, limit=HISTORY)))
                related: tuple[tuple[Workload, Record], ...] = ()
                if self._transfers:
                    related = tuple(
                        self._patiently(lambda: self._store.seeds.latest_related(*pair, limit=RELATED))
                    )
                subject.model_seen = 0
                fleet.search(
                    action,
                    self._session(action.task),
                    "open",
                    subject.workload,
                    subject.device.target,
                    options,
                    history,
                    related,
                    limit,
                )
            case Propose(_, count):
                self._say(f"searching {subject.workload.name}")
                news = self._model if self._model_version > subject.model_seen else None
                subject.model_seen = self._model_version
                lent: tuple[tuple[Workload, Record], ...] = ()
                if subject.lent < LENDING_ROUNDS and self._lends:
                    subject.lent += 1
                    pair = (subject.workload.hash, subject.device.device_class)
                    lent = tuple(
                        self._patiently(lambda: self._store.seeds.fastest_related(*pair, self._lends))
                    )
                fleet.search(action, self._session(action.task), "propose", count, news, limit, lent)
            case Learn(_, records):
                fleet.search(action, self._session(action.task), "learn", records, limit)
            case Build(_, candidate, _):
                fleet.build(
                    action, subject.workload, subject.device.target, candidate, self._spec.build_timeout_s
                )

    def _session(self, task: int) -> str:
        """Name a task's search. Opened anew it has another name: the end of the old one may come late."""
        return f"{self._name}-{task}-{self._subjects[task].opened}"

    # -- taking results

    def take(self, completion: Any) -> None:
        """Take what came of a piece of work."""
        tag, value, error = completion.tag, completion.value, completion.error
        if self._over:
            # A search that was being opened when the others were closed.
            if isinstance(tag, OpenSearch):
                self._fleet.close(self._session(tag.task))
            return
        if isinstance(tag, _Train):
            self._training = False
            # A failed training costs nothing but its time: the searches keep the model they have.
            self._trained = tag.size
            if error is None:
                self._model, self._model_version = value, self._model_version + 1
            return
        if isinstance(tag, Measure):
            self._measuring -= 1
        if error is not None:
            token = tag.token if isinstance(tag, Build | Measure) else ""
            self._machine.handle(Failed(tag.task, str(error), completion.lost, token, completion.moved))
        else:
            match tag:
                case OpenSearch(task):
                    self._open.add(task)
                    self._sample(value, HISTORY)
                    self._machine.handle(Opened(task))
                case Propose(task):
                    self._machine.handle(Proposed(task, value))
                case Learn(task, records):
                    self._sample(value, len(records))
                    self._machine.handle(Learned(task))
                case Build(_, _, token):
                    result, artifact = value
                    failure = None
                    if result.state is TrialState.OK:
                        self._artifacts[token] = artifact
                    else:
                        failure = Measurement(result.state, message=result.message)
                    self._machine.handle(Built(token, result.build_s, failure))
                case Measure(_, _, token):
                    self._machine.handle(Measured(token, value))
        self._take_notes()

    def _sample(self, sample: bytes, count: int) -> None:
        if sample:
            self._samples.append(sample)
            self._sampled += count

    def _take_notes(self) -> None:
        for action in self._machine.outbox():
            self._note(action)

    def _note(self, action: Action) -> None:
        match action:
            case RecordTrial(task, candidate, measurement, build_s, token):
                subject = self._subjects[task]
                if not self._unsaved:
                    self._flush_at = time.monotonic() + GATHER_SECONDS
                self._unsaved.append(
                    NewTrial(
                        workload_hash=subject.workload.hash,
                        device_class=subject.device.device_class,
                        candidate=candidate,
                        measurement=measurement,
                        campaign_id=self._id,
                        build_s=build_s,
                        token=token,
                        versions=self._fleet.versions,
                    )
                )
            case FindContenders(task):
                self._flush()
                subject = self._subjects[task]
                pair = (subject.workload.hash, subject.device.device_class)
                best = self._patiently(lambda: self._store.trials.best(*pair, MOST))
                taken = self._again.pop(task, {})
                if comparable(best, taken):
                    self._patiently(
                        lambda: self._store.trials.record_remeasured(
                            *pair, taken, campaign_id=self._id, owner=self._owner
                        )
                    )
                    self.measured_again |= {(task, candidate) for candidate in taken}
                    self._changed()
                    best = self._patiently(lambda: self._store.trials.best(*pair, MOST))
                self._machine.handle(Contenders(task, contenders(best)))
            case RecordAgain(task, candidate, times):
                self._again.setdefault(task, {}).setdefault(candidate.hash, []).extend(times)
            case EndTask(task, state, note):
                self._flush()
                self._patiently(lambda: self._store.tasks.update(task, state=TaskState(state), note=note))
                self._changed()
            case CloseSearch(task):
                self._open.discard(task)
                self._fleet.close(self._session(task))

    def _patiently(self, work: Callable[[], _Value]) -> _Value:
        """Ask the store, and ask again where it fails: what is under way is worth some waiting."""
        until = time.monotonic() + STORE_PATIENCE_SECONDS
        while True:
            try:
                return work()
            except StorageError as error:
                if isinstance(error, LeaseLostError) or time.monotonic() > until or self._stop_at is not None:
                    raise
                self._say(f"waiting for the database: {error}")
                time.sleep(_STORE_PAUSE_SECONDS)

    def _flush(self, *, final: bool = False) -> None:
        """Store what was measured. A store that fails is tried again for a while; the results wait here."""
        while self._unsaved:
            try:
                self.recorded += self._store.trials.record(
                    self._unsaved, campaign_id=self._id, owner=self._owner
                )
            except LeaseLostError:
                raise
            except StorageError as error:
                now = time.monotonic()
                self._unsaved_since = self._unsaved_since or now
                if now - self._unsaved_since > STORE_PATIENCE_SECONDS:
                    raise StorageError(f"{error}\n{self._set_aside()}") from None
                self._say(f"{len(self._unsaved)} results wait for the database: {error}")
                time.sleep(_STORE_PAUSE_SECONDS)
                if not final:
                    return
            else:
                self._unsaved, self._unsaved_since = [], 0.0
                self._changed()

    def _set_aside(self) -> str:
        """Write what no store takes to a file of its own, and say where it is and what to do."""
        count = len(self._unsaved)
        told = f"{count} measured trials could not be stored for {STORE_PATIENCE_SECONDS:.0f} s"
        subjects = self._subjects.values()
        workloads = {s.workload.hash: s.workload for s in subjects}
        devices = {s.device.device_class: s.device for s in subjects}
        # Whatever becomes of them now, they are not tried again on the way out.
        unsaved, self._unsaved = self._unsaved, []
        try:
            path = unstored_path(self._id)
            save_unstored(path, unsaved, list(workloads.values()), devices.values())
        except (OSError, UsageError) as error:
            return (
                f"{told} and are lost, for they could not be written to a file either ({error}); all before "
                f"them are safe. Mend the database, then: tunefleet resume {self._id}"
            )
        return (
            f"{told}; they are in {path}. Mend the database, then: "
            f"tunefleet records import {shlex.quote(str(path))} && tunefleet resume {self._id}"
        )


def _task(row: CampaignTaskRow, stored: int, since_best: int) -> Task:
    return Task(
        id=row.id,
        workload_hash=row.workload_hash,
        device_class=row.device_class,
        name=row.name,
        weight=row.weight,
        flops=row.flops,
        budget=row.budget,
        stored=stored,
        since_best=since_best,
        best_s=math.inf if row.best_s is None else row.best_s,
        kind=row.workload_name,
    )
