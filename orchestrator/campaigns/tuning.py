"""The loop that carries a machine's actions out on the fleet, and brings what came of them back."""

from __future__ import annotations

import contextlib
import math
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from orchestrator.campaigns.extraction import CampaignPlan
from orchestrator.campaigns.machine import (
    Action,
    Build,
    Built,
    CloseSearch,
    EndTask,
    Failed,
    Learn,
    Learned,
    Machine,
    Measure,
    Measured,
    Opened,
    OpenSearch,
    Propose,
    Proposed,
    RecordTrial,
    Task,
)
from orchestrator.campaigns.spec import CampaignSpec
from orchestrator.errors import LeaseLostError, StorageError, UsageError
from orchestrator.jsonl import save_unstored, unstored_path
from orchestrator.storage import CampaignTaskRow, NewTrial, Sighting, Storage, TaskState
from workers.messages import DeviceInfo, Measurement, Record, TrialState, Workload

__all__ = ["Tuning"]

#: Candidates of one round: what MetaSchedule calls num_trials_per_iter. Its 64 would be a small task's whole
#: budget.
BATCH = 16
#: Searches open at once, at least; each holds a process of some 100 MB. Every core may have one.
OPEN = 24
#: Built candidates that end a turn of searching and building where these share cores with the device.
TURN = 16
#: Built candidates that may wait, for each device.
WINDOW = 64
#: Records a search is seeded with, the fastest first.
HISTORY = 128
#: Records of other workloads of the same kind, which a cost model may start from.
RELATED = 512
# The cost model is trained anew when there is this much more to learn from, and never for less than a
# handful: MetaSchedule's own rule (adaptive_training).
_TRAIN_GROWTH, _TRAIN_LEAST = 1.2, 32
_TRAIN_SECONDS = 300.0
#: Seconds for which results that can't be stored are kept, and storing them tried again.
STORE_PATIENCE_SECONDS = 60.0
#: Seconds a result waits for others: a commit costs milliseconds, however many trials are in it.
GATHER_SECONDS = 0.25
_STORE_PAUSE_SECONDS = 1.0
_TELL_SECONDS = 5.0
#: Seconds that a measurement under way gets to end when the campaign stops.
LAST_WORDS_SECONDS = 3.0


_Value = TypeVar("_Value")


class Fleet:
    """What this loop needs of a fleet; see :class:`orchestrator.fleet.ray_fleet.RayFleet`."""

    versions: dict[str, str]
    total_slots: int
    free_slots: int
    computing: int
    ready_devices: int
    all_devices: list[Any]
    idle_devices: Callable[[], list[Any]]
    search: Callable[..., None]
    train: Callable[..., None]
    close: Callable[[str], None]
    build: Callable[..., None]
    measure: Callable[..., None]
    wait: Callable[[float], list[Any]]
    pause: Callable[[Any], None]
    resume: Callable[[Any], None]


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


class Tuning:
    """One campaign's tuning.

    Parameters
    ----------
    say, changed
        Told what is going on, and that the store has news.
    transfers : bool, optional
        The engine's searches learn from records of other workloads.
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
    ) -> None:
        self._store, self._fleet, self._id, self._owner = store, fleet, campaign_id, owner
        self._spec, self._say, self._changed = spec, say, changed
        self._transfers = transfers
        workloads = {task.workload.hash: task.workload for m in plan.models for task in m.tasks}
        devices = {device.device_class: device for device in plan.devices}
        rows = [row for row in store.campaign_tasks(campaign_id) if row.state is TaskState.OPEN]
        standings = store.standings([(row.workload_hash, row.device_class) for row in rows])
        self._subjects = {
            row.id: _Subject(workloads[row.workload_hash], devices[row.device_class]) for row in rows
        }
        self._machine = Machine(
            f"{campaign_id}-{time.time_ns():x}",
            [_task(row, s.stored, s.since_best) for row, s in zip(rows, standings, strict=True)],
            batch=BATCH,
            plateau=spec.plateau,
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
        self._began = self._told_at = time.monotonic()
        self._flush_at = 0.0
        self._stopped: Callable[[], bool] = lambda: False
        self.recorded = 0

    def run(self, stopped: Callable[[], bool]) -> None:
        """Tune until all tasks have had enough, or `stopped` says so.

        Raises
        ------
        StorageError
            Where the store would not take results for a minute: where those it never took are kept.
        LeaseLostError
            Where another coordinator has the campaign.
        """
        machine = self._machine
        self._stopped = stopped
        try:
            self._take_notes()  # of tasks that had enough before they began
            while not machine.done and not stopped():
                # Devices first: none shall wait for the store.
                self._dispatch()
                if self._unsaved and time.monotonic() >= self._flush_at:
                    self._flush()
                for completion in self._fleet.wait(self._pause_s()):
                    self._take(completion)
                self._tell_devices()
            machine.stop()
            self._last_words()
        finally:
            self._flush(final=True)
            self._tell_devices(final=True)

    def _pause_s(self) -> float:
        """Say how long nothing has to happen."""
        return min(0.5, max(0.0, self._flush_at - time.monotonic())) if self._unsaved else 0.5

    # -- giving out work

    def _dispatch(self) -> None:
        """Give every idle device its next candidate, and every free core its next piece of work.

        A device that shares its cores has turns: what is searched and built on them stands still from the
        moment when enough candidates wait for it until none does, so that the device is quiet.
        """
        fleet, machine = self._fleet, self._machine
        machine.fit(fleet.ready_devices, max_open=max(OPEN, fleet.total_slots))
        idle = fleet.idle_devices()
        for device in idle:
            if device.shares_cores and device.paused and not machine.measurable_on(device.device_class):
                fleet.resume(device)
        if machine.measurable < WINDOW * max(1, fleet.ready_devices):
            self._give_to_cores()
        nothing_else = any(device.shares_cores for device in idle) and fleet.computing == 0
        for device in idle:
            waiting = machine.measurable_on(device.device_class)
            if not waiting:
                continue
            if device.shares_cores and not device.paused:
                if waiting < TURN and not nothing_else:
                    continue
                fleet.pause(device)
            action = machine.next_measure(device.device_class)
            assert action is not None, "a candidate waits, and there is none"
            self._measure(action, device)

    def _give_to_cores(self) -> None:
        while self._fleet.free_slots > 0:
            if self._train_if_due():
                continue
            action = self._machine.next_compute()
            if action is None:
                return
            self._begin(action)

    def _measure(self, action: Measure, device: Any) -> None:
        self._say(f"measuring {self._subjects[action.task].workload.name}")
        self._measuring += 1
        self._fleet.measure(action, self._artifacts.pop(action.token), device, self._spec.evaluator)

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
                    exclude=frozenset(self._patiently(lambda: self._store.known_candidates(*pair))),
                )
                history = tuple(self._patiently(lambda: self._store.history(*pair, limit=HISTORY)))
                related: tuple[tuple[Workload, Record], ...] = ()
                if self._transfers:
                    related = tuple(self._patiently(lambda: self._store.related(*pair, limit=RELATED)))
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
                fleet.search(action, self._session(action.task), "propose", count, news, limit)
            case Learn(_, records):
                fleet.search(action, self._session(action.task), "learn", records, limit)
            case Build(_, candidate, _):
                fleet.build(
                    action, subject.workload, subject.device.target, candidate, self._spec.build_timeout_s
                )

    def _session(self, task: int) -> str:
        """Name a task's search. Opened anew it has another name: the end of the old one may come late."""
        return f"{self._id}-{task}-{self._subjects[task].opened}"

    def _train_if_due(self) -> bool:
        if self._training or self._sampled < max(_TRAIN_LEAST, _TRAIN_GROWTH * self._trained):
            return False
        self._training = True
        self._fleet.train(_Train(self._sampled), tuple(self._samples), _TRAIN_SECONDS)
        return True

    # -- taking results

    def _take(self, completion: Any) -> None:
        tag, value, error = completion.tag, completion.value, completion.error
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
            case EndTask(task, state, note):
                self._flush()
                self._patiently(lambda: self._store.update_task(task, state=TaskState(state), note=note))
                self._changed()
            case CloseSearch(task):
                self._fleet.close(self._session(task))

    def _patiently(self, work: Callable[[], _Value]) -> _Value:
        """Ask the store, and ask again where it fails: what is under way is worth some waiting."""
        until = time.monotonic() + STORE_PATIENCE_SECONDS
        while True:
            try:
                return work()
            except StorageError as error:
                if isinstance(error, LeaseLostError) or time.monotonic() > until or self._stopped():
                    raise
                self._say(f"waiting for the database: {error}")
                time.sleep(_STORE_PAUSE_SECONDS)

    def _flush(self, *, final: bool = False) -> None:
        """Store what was measured. A store that fails is tried again for a while; the results wait here."""
        while self._unsaved:
            try:
                self.recorded += self._store.record_trials(
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

    def _tell_devices(self, *, final: bool = False) -> None:
        """Store how the devices stand, for whoever asks meanwhile; now and then, and where one changed."""
        now = time.monotonic()
        if now < self._told_at + _TELL_SECONDS and not final:
            return
        elapsed, self._told_at = now - self._began, now
        found = []
        for device in self._fleet.all_devices:
            state = device.state if device.state != "ready" else "busy" if device.busy else "free"
            found.append(
                Sighting(
                    device.station.key,
                    device.host,
                    device.station.device,
                    "seen" if final and device.state == "ready" else state,
                    device.last_error,
                    device.measured / elapsed * 3600 if elapsed > 0 else None,
                )
            )
        # It is told for people: a store that fails now is told the next time.
        with contextlib.suppress(StorageError):
            self._store.see_devices(found)

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

    def _last_words(self) -> None:
        """Let a measurement under way end: it is nearly paid for."""
        until = time.monotonic() + LAST_WORDS_SECONDS
        while self._measuring and time.monotonic() < until:
            for completion in self._fleet.wait(0.2):
                self._take(completion)


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
    )
