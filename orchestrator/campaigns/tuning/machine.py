"""The campaign as a state machine: events in, actions out. No Ray, no SQL, no clock of its own.

One machine runs the tasks of one campaign. Its life with each task is a round trip::

    (revalidating ->) idle -> opening -> proposing -> (build -> measure)* -> learning -> idle -> ...

When all have had enough, the best of those that matter are measured again, in turns with what comes close to
them: of many measurements the least is also the luckiest.

A round's candidates are built and measured as capacity allows; when the last result is in, the search learns
and may propose again. Several tasks are on their way at once, which is what keeps all cores busy.

What it knows is in :mod:`~orchestrator.campaigns.tuning.ledger`; rounds and remeasurement have a file each.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from orchestrator.campaigns.tuning.actions import Build, Learn, Measure, Note, OpenSearch, Propose
from orchestrator.campaigns.tuning.events import (
    Built,
    Contenders,
    Decided,
    Event,
    Failed,
    Learned,
    Measured,
    NewPlan,
    Opened,
    Proposed,
)
from orchestrator.campaigns.tuning.ledger import Ledger
from orchestrator.campaigns.tuning.limits import MAX_ATTEMPTS, MAX_MOVES, SAYS_NOTHING
from orchestrator.campaigns.tuning.rechecks import Rechecks
from orchestrator.campaigns.tuning.remeasurement import MAX_PASSES, Remeasurement
from orchestrator.campaigns.tuning.revalidation import Revalidation
from orchestrator.campaigns.tuning.rounds import Rounds
from orchestrator.campaigns.tuning.tasks import Place, Task
from orchestrator.campaigns.tuning.tryouts import TriedTasks, Tryouts
from workers.messages import Candidate, Measurement, TrialState

__all__ = ["MAX_ATTEMPTS", "MAX_MOVES", "MAX_PASSES", "Machine"]


class Machine:
    """The tasks of one campaign.

    Parameters
    ----------
    name : str
        Prefix of the tokens it gives out; two machines must not share one.
    batch, first : int
        Candidates of one round, and of a task's very first.
    plateau : int or None
        See :class:`orchestrator.campaigns.spec.CampaignSpec`.
    max_open : int
        Searches kept open at once; each holds a process of some 100 MB.
    turns : int
        How often a contender for the best of its task is measured again, in turns with the others; 0 for not
        at all.
    tryouts : sequence of TriedTasks, optional
        Models of which two layouts are to be tried out.
    """

    def __init__(
        self,
        name: str,
        tasks: list[Task],
        *,
        batch: int = 16,
        first: int = 4,
        plateau: int | None = None,
        max_open: int = 24,
        turns: int = 0,
        tryouts: Sequence[TriedTasks] = (),
    ) -> None:
        self._ledger = Ledger(name, tasks)
        self._rounds = Rounds(self._ledger, batch=batch, first=first, plateau=plateau, max_open=max_open)
        self._revalidation = Revalidation(self._ledger, self._rounds)
        self._remeasurement = Remeasurement(self._ledger, turns)
        self._rechecks = Rechecks(self._ledger)
        self._tryouts = Tryouts(self._ledger, tryouts)
        self._tryouts.ask_if_due()

    # -- what is next

    @property
    def done(self) -> bool:
        """Nothing is left to do, and nothing under way."""
        return not self._ledger.busy and (self._ledger.ending or not self._ledger.active)

    @property
    def measurable(self) -> int:
        """Candidates that are built and wait for a device."""
        return sum(map(len, self._ledger.to_measure.values()))

    def measurable_on(self, device_class: str) -> int:
        """Count those that wait for a device of this class."""
        return len(self._ledger.to_measure.get(device_class, ()))

    @property
    def in_flight(self) -> int:
        """Candidates that were proposed and have no result yet."""
        return len(self._ledger.attempts)

    def outbox(self) -> list[Note]:
        """Take the actions that need no capacity."""
        actions, self._ledger.outbox = self._ledger.outbox, []
        return actions

    def fit(self, devices: int, *, max_open: int) -> None:
        """Follow a fleet that changes.

        A task proposes again when its round is over, and many devices would wait for that. So a round has a
        candidate for each device, within limits.
        """
        self._rounds.fit(devices, max_open)

    def next_compute(self) -> OpenSearch | Propose | Learn | Build | None:
        """Return the next piece of work for a core, None where there is none now.

        Learning first, for it lets a task go on; then builds, for devices wait for them; then new proposals,
        of the task where a trial promises most.
        """
        return self._rounds.next_lesson() or self._next_build() or self._rounds.next_search()

    def _next_build(self) -> Build | None:
        if not self._ledger.to_build:
            return None
        token = self._ledger.to_build.popleft()
        attempt = self._ledger.attempts[token]
        attempt.at = Place.BUILDING
        return Build(attempt.task, attempt.candidate, token)

    @property
    def computable(self) -> bool:
        """:meth:`next_compute` has something."""
        return bool(self._ledger.to_build) or self._rounds.computable

    def next_measure(self, device_class: str) -> Measure | None:
        """Return the next candidate for a device of this class, None where none is built."""
        if not self._ledger.to_measure.get(device_class):
            return None
        token = self._ledger.to_measure[device_class].popleft()
        attempt = self._ledger.attempts[token]
        attempt.at = Place.MEASURING
        best_known_s = math.inf if attempt.again else self._ledger.tasks[attempt.task].best_s
        return Measure(attempt.task, attempt.candidate, token, best_known_s, attempt.remeasured)

    @property
    def trying(self) -> bool:
        """It isn't decided yet which layout a model has."""
        return self._tryouts.open

    def end_tryouts(self) -> None:
        """Try no layouts out any longer, for the time for it is over."""
        self._tryouts.end()

    def recheck(self, found: Mapping[int, Sequence[Candidate]]) -> int:
        """Have candidates of tasks measured again; see :meth:`.Rechecks.begin`."""
        return self._rechecks.begin(found)

    def wind_up(self) -> None:
        """Propose nothing more, for the end is near: what time is left is for measuring the best again."""
        self._ledger.winding_up = True
        self._ledger.drop_first_builds()
        self._revalidation.wind_up()
        self._rounds.wind_up()
        self._remeasurement.begin_if_due()

    def stop(self) -> None:
        """Propose nothing more. What is under way may end; :attr:`done` says when it has."""
        self._ledger.stopping = True
        self._ledger.drop_all_waiting()
        self._remeasurement.stop()

    # -- what happened

    def handle(self, event: Event) -> None:
        """Take an event. A lost worker's late report belongs to nothing under way and changes nothing."""
        tasks = self._ledger.tasks
        match event:
            case Opened(task):
                self._rounds.opened(tasks[task])
            case Proposed(task, candidates):
                self._rounds.proposed(tasks[task], candidates)
            case Learned(task):
                self._rounds.learned(tasks[task])
            case Built():
                self._built(event)
            case Measured(token, measurement):
                if self._ledger.is_at(token, Place.MEASURING):
                    self._ended(token, measurement)
            case Failed():
                self._failed(event)
            case Contenders(task, candidates):
                self._remeasurement.contended(tasks[task], candidates)
            case Decided(_, plans):
                self._decided(plans)
        self._tryouts.ask_if_due()
        self._remeasurement.begin_if_due()

    def _decided(self, plans: Mapping[int, NewPlan]) -> None:
        for number, task in self._ledger.tasks.items():
            if number in plans:
                self._rounds.planned_anew(task, plans[number])
            elif not task.dropped:
                self._rounds.drop(task)

    def _built(self, event: Built) -> None:
        token = event.token
        if not self._ledger.is_at(token, Place.BUILDING):
            return
        attempt = self._ledger.attempts[token]
        attempt.build_s = event.build_s
        if event.failure is not None:
            self._ended(token, event.failure)
        elif self._ledger.stopping or self._ledger.tasks[attempt.task].dropped:
            self._drop(token)
        else:
            attempt.at = Place.BUILT
            task = self._ledger.tasks[attempt.task]
            self._ledger.to_measure[task.task.device_class].append(token)

    def _ended(self, token: str, measurement: Measurement) -> None:
        """Take what came of a candidate, or have it tried again where that says nothing about it.

        That its device was lost doesn't. Nor does it, the first time, that one which was fast before took too
        long: something may have been in its way.
        """
        attempt = self._ledger.attempts[token]
        hindered = measurement.state in SAYS_NOTHING and (attempt.revalidated or attempt.rechecked)
        if measurement.state is TrialState.DEVICE_LOST or (hindered and attempt.tries == 1):
            self._try_again(token, measurement)
        else:
            self._result(token, measurement)

    def _result(self, token: str, measurement: Measurement) -> None:
        task, attempt = self._ledger.take_back(token)
        if attempt.rechecked:
            self._rechecks.measured(task, attempt, measurement, token)
        elif attempt.remeasured:
            self._remeasurement.measured(task, attempt, measurement, token)
        elif attempt.revalidated:
            self._revalidation.measured(task, attempt, measurement, token)
        else:
            self._rounds.measured(task, attempt, measurement, token)

    def _drop(self, token: str) -> None:
        """Let a candidate go without a result."""
        task, attempt = self._ledger.take_back(token)
        if attempt.remeasured:
            self._remeasurement.go_on(task)
        self._revalidation.go_on(task)
        self._rounds.end_if_last(task)

    def _try_again(self, token: str, measurement: Measurement, *, moved: bool = False) -> None:
        """Give a candidate out anew, under another token: the old attempt's report may still come."""
        attempt = self._ledger.attempts[token]
        tries, moves = attempt.tries + (not moved), attempt.moves + moved
        if tries > MAX_ATTEMPTS or moves > MAX_MOVES:
            self._result(token, measurement)
        elif self._ledger.stopping or self._ledger.tasks[attempt.task].dropped:
            self._drop(token)
        else:
            task, _ = self._ledger.take_back(token)
            self._ledger.give_out(
                task,
                attempt.candidate,
                tries=tries,
                moves=moves,
                remeasured=attempt.remeasured,
                revalidated=attempt.revalidated,
                rechecked=attempt.rechecked,
            )

    def _failed(self, event: Failed) -> None:
        token = event.token
        if not token:
            task = self._ledger.tasks[event.task]
            self._rounds.failed(task, event.message, lost=event.lost, moved=event.moved)
        elif self._ledger.is_at(token, Place.BUILDING, Place.MEASURING):
            lost = Measurement(TrialState.DEVICE_LOST, message=event.message)
            self._try_again(token, lost, moved=event.moved)
