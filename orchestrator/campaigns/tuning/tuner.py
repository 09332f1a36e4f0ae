"""One campaign's tuning: its machine, and what comes of what the machine wants done.

It is a :class:`~orchestrator.campaigns.scheduling.job.TuningJob`: asked for work, it returns what its machine
wants next; handed a completion, it tells the machine, and stores what that wants stored.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from orchestrator.campaigns.planning.plan import CampaignPlan
from orchestrator.campaigns.planning.tryouts import Key, Tryout
from orchestrator.campaigns.spec import CampaignSpec
from orchestrator.campaigns.tuning.actions import (
    Build,
    CloseSearch,
    Decide,
    EndTask,
    FindContenders,
    Learn,
    Measure,
    Note,
    OpenSearch,
    RecordRecheck,
    RecordRemeasurement,
    RecordRevalidation,
    RecordTrial,
)
from orchestrator.campaigns.tuning.again import Again
from orchestrator.campaigns.tuning.answers import Assigned, event_of
from orchestrator.campaigns.tuning.assignments import HISTORY, RELATED, Assignments
from orchestrator.campaigns.tuning.checks import Checks
from orchestrator.campaigns.tuning.decisions import decide
from orchestrator.campaigns.tuning.ending import Ending
from orchestrator.campaigns.tuning.entering import entering
from orchestrator.campaigns.tuning.events import Contenders, Decided, NewPlan
from orchestrator.campaigns.tuning.lessons import Lessons
from orchestrator.campaigns.tuning.machine import Machine
from orchestrator.campaigns.tuning.patience import Patience
from orchestrator.campaigns.tuning.progress import latencies
from orchestrator.campaigns.tuning.rechecks import AT_ONCE
from orchestrator.campaigns.tuning.results import Results
from orchestrator.campaigns.tuning.searching import Searching
from orchestrator.campaigns.tuning.subjects import Subject
from orchestrator.campaigns.tuning.tryouts import TriedTasks
from orchestrator.fleet.completions import (
    CandidateBuilt,
    CandidateMeasured,
    Completion,
    ModelTrained,
    ResultsLearned,
    SearchOpened,
)
from orchestrator.fleet.port import Device, Work
from orchestrator.fleet.work import ArtifactHandle, CoreWork, DeviceWork, OpenWork, TrainWork
from orchestrator.storage import CampaignTaskRow, MeasurementKey, NewTrial, Storage, TaskState
from workers.messages import Candidate, TrialState, Workload

__all__ = ["HISTORY", "RELATED", "Tuning"]

#: Candidates of one round: what MetaSchedule calls num_trials_per_iter. Its 64 would be a small task's whole
#: budget.
BATCH = 16
#: Built candidates that may wait, for each device.
WINDOW = 64
#: How often contenders for the best of their task are measured again.
REMEASURED_TURNS = 2
#: Seconds that a measurement under way gets to end when the campaign stops.
LAST_WORDS_SECONDS = 3.0


class Tuning:
    """One campaign's tuning.

    Parameters
    ----------
    say, changed
        Told what is going on, and that the store has news.
    transfers : bool, optional
        The engine's searches learn from records of other workloads.
    lends : int, optional
        Of how many records of each related workload they try the schedules.
    packed : callable, optional
        Returns the samples that come with the engine, of a kind; see :class:`.lessons.Lessons`.
    until : mapping of (int, str) to float, optional
        By model and device class, the seconds of one inference at which it is fast enough.
    known : mapping of str to tuple of (Workload, Candidate), optional
        The known kernel by which devices are checked for drift, by their class.
    clock : callable, optional
        Seconds, steady: what those checks go by.

    Attributes
    ----------
    ending : Ending
        When its time is over, and why it ended before.
    plan : CampaignPlan
        With what was decided since it was made.
    """

    def __init__(
        self,
        store: Storage,
        campaign_id: int,
        owner: str,
        spec: CampaignSpec,
        plan: CampaignPlan,
        say: Callable[[str], None],
        changed: Callable[[], None],
        *,
        transfers: bool = False,
        lends: int = 0,
        packed: Callable[[str], bytes] = lambda _: b"",
        until: Mapping[Key, float] | None = None,
        known: Mapping[str, tuple[Workload, Candidate]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._id, self._owner, self._changed = store, campaign_id, owner, changed
        self.plan, self._spec, self._tryouts = plan, spec, plan.undecided
        models = (*plan.models, *(one.left_out for one in plan.undecided))
        workloads = {task.workload.hash: task.workload for m in models for task in m.tasks}
        devices = {device.device_class: device for device in plan.devices}
        rows = [row for row in store.tasks.of_campaign(campaign_id) if row.state is TaskState.OPEN]
        standings = store.tasks.standings([(row.workload_hash, row.device_class) for row in rows])
        self._subjects = {
            row.id: Subject(workloads[row.workload_hash], devices[row.device_class]) for row in rows
        }
        planned = {(one.task.workload_hash, one.task.device_class): one for one in plan.tasks}
        self._device_classes = tuple(dict.fromkeys(row.device_class for row in rows))
        # Campaigns come back to a fleet that knows their earlier searches.
        name = f"{campaign_id}-{time.time_ns():x}"
        self._machine = Machine(
            name,
            [
                entering(row, s, planned[row.workload_hash, row.device_class], self._stale(row))
                for row, s in zip(rows, standings, strict=True)
            ],
            batch=BATCH,
            plateau=spec.plateau,
            turns=REMEASURED_TURNS,
            tryouts=[self._tried_tasks(tryout) for tryout in self._tryouts],
        )
        self._say = say
        self._patience = Patience(say, lambda: self._stop_at is not None)
        self._checks = Checks(
            store,
            campaign_id,
            owner,
            name,
            plan.devices,
            known or {},
            self,
            self._patience,
            say,
            build_timeout_s=spec.build_timeout_s,
            patient=spec.time_s is None,
            clock=clock,
        )
        self._again = Again(
            store, campaign_id, owner, self._subjects, self._patience, changed, self._checks.judge
        )
        self._results = Results(store, campaign_id, owner, self._subjects.values(), say, changed)
        self._lessons = Lessons(store, campaign_id, plan.devices, packed, plan.missing)
        self._model = self._lessons.model
        self._assignments = Assignments(
            name,
            store,
            spec,
            self._subjects,
            self._model,
            self._patience,
            say,
            transfers=transfers,
            lends=lends,
        )
        self._searching = Searching(store, campaign_id, owner, clock)
        self._under_way: dict[Work, Assigned] = {}
        self._artifacts: dict[str, ArtifactHandle] = {}
        self._open: set[int] = set()
        self._closed: list[str] = []
        self._measuring = 0
        self._devices_ready = 0
        self._stop_at: float | None = None
        self.ending = Ending(self._machine, until or {}, say)
        self._over = False

    @property
    def recorded(self) -> int:
        """Trials that were stored."""
        return self._results.recorded

    @property
    def measured_again(self) -> int:
        """Trials whose times were taken again and stored."""
        return len(self._again.measured)

    @property
    def revalidated(self) -> int:
        """Trials of another toolchain that were measured with this one."""
        return self._again.revalidated

    @property
    def remarks(self) -> list[str]:
        """What is to be known about what it was measured with, and on."""
        return [*self._again.remarks, *self._checks.remarks]

    # -- what the scheduler asks

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
        return self._machine.done and (self._stop_at is not None or not self._checks.lacking)

    @property
    def flush_in_s(self) -> float | None:
        """Seconds until there is something to store; None where nothing waits."""
        return self._results.flush_in_s

    def begin(self, versions: Mapping[str, str]) -> None:
        """Begin, on a fleet of these versions."""
        self._again.begin(versions, self._say)
        self._checks.begin(versions)
        self.ending.begin()
        self._carry_out_notes()  # of tasks that had enough before they began

    def fit(self, ready: Mapping[str, int], max_open: int) -> None:
        """Follow a fleet that changes: devices by their class, and how many searches may be open."""
        self._devices_ready = sum(ready.get(name, 0) for name in self._device_classes)
        self._machine.fit(self._devices_ready, max_open=max_open)

    @property
    def wants_cores(self) -> bool:
        """There is something for a core to do."""
        due = self._train_due or self._checks.wants_cores or self._machine.computable
        return not self._enough_built and due

    def measurable_on(self, device: Device) -> int:
        """Count what waits for a device: candidates for its class, and the known kernel where that is due."""
        return self._machine.measurable_on(device.device_class) + self._checks.wanted_on(
            device, last=self._machine.done
        )

    def closed_searches(self) -> list[str]:
        """Take the names of the searches that it is through with."""
        closed, self._closed = self._closed, []
        return closed

    def tend(self) -> None:
        """Do what it is time for."""
        if self._stop_at is None and self.ending.tend(self.recorded, self._latencies):
            self._carry_out_notes()
        self._results.flush_if_due()
        self._searching.keep_if_due()

    def stop(self) -> None:
        """Begin nothing more. A measurement under way gets some time to end: it is nearly paid for."""
        if self._stop_at is None:
            self._stop_at = time.monotonic() + LAST_WORDS_SECONDS
            self._machine.stop()

    def end(self) -> None:
        """Store what was measured, and close the searches: others may go on with the fleet.

        Raises
        ------
        StorageError
            Where the store would not take results for a minute: where those it never took are kept.
        LeaseLostError
            Where another coordinator has the campaign.
        """
        self._over = True
        self._closed += map(self._assignments.session, self._open)
        self._results.flush(final=True)
        self._searching.keep()
        self._lessons.keep()

    # -- giving out work

    @property
    def _enough_built(self) -> bool:
        return self._machine.measurable >= WINDOW * max(1, self._devices_ready)

    @property
    def _train_due(self) -> bool:
        return self._model.due and self._stop_at is None

    def next_work(self) -> CoreWork | None:
        """Return the next piece of work for a core, where there is any."""
        work = self._next_work()
        if work is not None:
            self._searching.began(work)
        return work

    def _next_work(self) -> CoreWork | None:
        if self._enough_built:
            return None
        if (build := self._checks.next_build()) is not None:
            return build
        if self._train_due:
            return self._model.train()
        action = self._machine.next_compute()
        if action is None:
            return None
        work = self._assignments.for_core(action)
        self._under_way[work] = action
        return work

    def next_measurement(self, device: Device) -> DeviceWork | None:
        """Return what an idle device is to do: be checked where that is due, or else the next measurement."""
        check = self._checks.next_check(device, last=self._machine.done)
        if check is not None:
            return check
        action = self._machine.next_measure(device.device_class)
        if action is None:
            return None
        self._measuring += 1
        slowdown = self._checks.slowdown(device)
        work = self._assignments.for_device(action, self._artifacts.pop(action.token), device, slowdown)
        self._under_way[work] = action
        return work

    # -- taking results

    def take(self, completion: Completion) -> None:
        """Take what came of a piece of work."""
        if self._over:
            # A search that was being opened when the others were closed.
            if isinstance(completion.work, OpenWork):
                self._closed.append(completion.work.session)
            return
        self._searching.ended(completion)
        if isinstance(completion.work, TrainWork):
            self._model.trained(completion.model if isinstance(completion, ModelTrained) else None)
            self._lessons.keep()
            return
        if self._checks.take(completion):
            self._carry_out_notes()
            return
        action = self._under_way.pop(completion.work)
        self._keep(action, completion)
        self._machine.handle(event_of(action, completion))
        self._carry_out_notes()

    def _keep(self, action: Assigned, completion: Completion) -> None:
        """Keep of a completion what the machine is not told."""
        match action, completion:
            case OpenSearch(task), SearchOpened(work, samples):
                self._open.add(task)
                subject = self._subjects[task]
                if not subject.remembered:
                    # Opened again it is seeded with the same once more, and with what this campaign taught.
                    subject.remembered = True
                    self._model.add(samples, len(work.history))
            case Learn(task, records), ResultsLearned(_, samples):
                self._model.add_new(self._subjects[task].workload.hash, samples, len(records))
            case Build(token=token), CandidateBuilt(_, result, artifact) if result.state is TrialState.OK:
                self._artifacts[token] = artifact
            case Measure(token=token), CandidateMeasured(work):
                self._measuring -= 1
                self._checks.measured(work.device, token)
            case Measure(), _:
                self._measuring -= 1

    # -- what checks of devices want done

    def store_results(self) -> None:
        """Store all that was measured."""
        self._results.flush(final=True)

    def measure_again(self, device_class: str) -> int:
        """Have what was measured while a device had drifted measured again, where it may be the best."""
        self.store_results()
        tasks = {
            s.workload.hash: n for n, s in self._subjects.items() if s.device.device_class == device_class
        }
        found = self._patience.ask(lambda: self._store.seeds.to_recheck(device_class, tasks, AT_ONCE))
        return self._machine.recheck({tasks[name]: candidates for name, candidates in found.items()})

    # -- what the machine wants noted

    def _carry_out_notes(self) -> None:
        while actions := self._machine.outbox():
            for action in actions:
                self._carry_out(action)

    def _carry_out(self, action: Note) -> None:
        match action:
            case RecordTrial(task, candidate, measurement, build_s, token):
                workload_hash, device_class = self._subjects[task].pair
                self._results.add(
                    NewTrial(
                        workload_hash=workload_hash,
                        device_class=device_class,
                        candidate=candidate,
                        measurement=measurement,
                        campaign_id=self._id,
                        build_s=build_s,
                        token=token,
                        versions=self._again.measured_with(task),
                        drift=self._checks.judge(
                            MeasurementKey(workload_hash, device_class, candidate.hash, token)
                        ),
                    )
                )
            case RecordRevalidation() | RecordRecheck():
                self._again.store(action)
            case FindContenders(task):
                self._find_contenders(task)
            case RecordRemeasurement():
                self._again.keep(action)
            case EndTask(task, state, note):
                self._results.flush()
                self._patience.ask(lambda: self._store.tasks.update(task, state=state, note=note))
                self._changed()
            case Decide(tryout, in_time):
                self._decide(tryout, in_time)
            case CloseSearch(task):
                self._open.discard(task)
                self._closed.append(self._assignments.session(task))

    def _latencies(self) -> dict[Key, float]:
        rows = self._patience.ask(lambda: self._store.tasks.of_campaign(self._id))
        return latencies(self.plan.models, rows)

    def _stale(self, row: CampaignTaskRow) -> tuple[Candidate, ...]:
        """Return what of other toolchains is measured before a task is searched."""
        pair = row.workload_hash, row.device_class
        return tuple(self._store.seeds.to_revalidate(*pair, self._spec.revalidate))

    def _tried_tasks(self, tryout: Tryout) -> TriedTasks:
        """Return the tasks of a tryout that are open; the others have had what they get."""
        pairs = {(key, tryout.key[1]) for key in tryout.needed}
        tasks = (number for number, subject in self._subjects.items() if subject.pair in pairs)
        return TriedTasks(frozenset(tasks), tryout.tried)

    def _decide(self, number: int, in_time: bool) -> None:
        """Decide which of two layouts a model has, once all that was measured for it is stored."""
        tryout = self._tryouts[number]
        self._results.flush(final=True)
        row, self.plan = self._patience.ask(
            lambda: decide(self._store, self._id, self._owner, self._spec, self.plan, tryout, in_time=in_time)
        )
        self._say(f"{tryout.name}: the layout is {row.chosen}, {row.reason}")
        planned = {(one.task.workload_hash, one.task.device_class): one for one in self.plan.tasks}
        plans = {
            task: NewPlan(one.task.weight, one.budget, one.tried, one.cap)
            for task, subject in self._subjects.items()
            if (one := planned.get(subject.pair)) is not None
        }
        self._machine.handle(Decided(number, plans))
        self._changed()

    def _find_contenders(self, task: int) -> None:
        """Store the times that were taken again, if they can be compared, and look for rivals of the best."""
        self._results.flush()
        self._machine.handle(Contenders(task, self._again.settle(task)))
