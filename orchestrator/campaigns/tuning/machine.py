"""The campaign as a state machine: events in, actions out. No Ray, no SQL, no clock of its own.

One machine runs the tasks of one campaign. Its life with each task is a round trip::

    idle -> opening -> proposing -> (build -> measure)* -> learning -> idle -> ...

When all have had enough, the best of those that matter are measured again, in turns with what comes close to
them: of many measurements the least is also the luckiest.

A round's candidates are built and measured as capacity allows; when the last result is in, the search learns
and may propose again. Several tasks are on their way at once, which is what keeps all cores busy.
"""

from __future__ import annotations

import math
from collections import deque

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
from orchestrator.campaigns.tuning.events import (
    Built,
    Contenders,
    Event,
    Failed,
    Learned,
    Measured,
    Opened,
    Proposed,
)
from orchestrator.campaigns.tuning.tasks import Attempt, State, Task
from workers.messages import Candidate, Measurement, Record, TrialState

__all__ = ["MAX_ATTEMPTS", "MAX_MOVES", "MAX_PASSES", "Machine"]

#: How often a piece of work is given out again when the worker, not the work, was at fault.
MAX_ATTEMPTS = 3
#: The same, where the worker's node or its actor is gone: the work is innocent, but an end has to come.
MAX_MOVES = 20
#: Candidates of the largest round: MetaSchedule's num_trials_per_iter.
LARGEST_BATCH = 64
#: Rounds are made larger for many devices up to this part of a task's budget: searches learn between rounds.
LARGEST_PART = 4
#: What a task may still save, of the time that the fastest of its kind would take for its arithmetic.
STILL_TO_GAIN = 0.2
#: Of the trials of a run, the part that may be spent on measuring the best again.
FINALS_PART = 10
#: Tasks that take this part of the model's time have their best measured again, the dearest first.
FINALS_SHARE = 0.9
#: How often contenders are asked for: what was second may turn out the best, and have a rival of its own.
MAX_PASSES = 3


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
    ) -> None:
        self._name, self._batch, self._first = name, batch, first
        self._plateau, self._max_open, self._turns = plateau, max_open, turns
        self._devices = 1
        self._states = {t.id: State(t, t.stored, t.since_best, t.best_s) for t in tasks}
        self._active = set(self._states)
        # Operations a second of the fastest task, by device class and kind.
        self._rates: dict[tuple[str, str], float] = {}
        self._attempts: dict[str, Attempt] = {}
        self._to_learn: deque[int] = deque()
        self._to_build: deque[str] = deque()
        self._to_measure: dict[str, deque[str]] = {t.device_class: deque() for t in tasks}
        self._tokens = 0
        self._ticks = 0
        self._stopping = False
        self._winding_up = False
        self._finals_left: int | None = None  # measurements that finals may take; None until they begin
        self._outbox: list[Action] = []
        for state in list(self._states.values()):
            self._rate(state)
            self._settle(state)

    # -- what is next

    @property
    def done(self) -> bool:
        """Nothing is left to do, and nothing under way."""
        return not self._busy() and (self._stopping or self._winding_up or not self._active)

    @property
    def measurable(self) -> int:
        """Candidates that are built and wait for a device."""
        return sum(map(len, self._to_measure.values()))

    def measurable_on(self, device_class: str) -> int:
        """Count those that wait for a device of this class."""
        return len(self._to_measure.get(device_class, ()))

    @property
    def in_flight(self) -> int:
        """Candidates that were proposed and have no result yet."""
        return len(self._attempts)

    def outbox(self) -> list[Action]:
        """Take the actions that need no capacity."""
        actions, self._outbox = self._outbox, []
        return actions

    def fit(self, devices: int, *, max_open: int) -> None:
        """Follow a fleet that changes.

        A task proposes again when its round is over, and many devices would wait for that. So a round has a
        candidate for each device, within limits.
        """
        self._devices, self._max_open = devices, max_open

    def next_compute(self) -> Action | None:
        """Return the next piece of work for a core, None where there is none now.

        Learning first, for it lets a task go on; then builds, for devices wait for them; then new proposals,
        of the task where a trial promises most.
        """
        if self._to_learn:
            state = self._states[self._to_learn.popleft()]
            state.phase = "learning"
            records, state.results = tuple(state.results), []
            return Learn(state.task.id, records)
        if self._to_build:
            token = self._to_build.popleft()
            attempt = self._attempts[token]
            attempt.at = "building"
            return Build(attempt.task, attempt.candidate, token)
        if self._stopping or self._winding_up:
            return None
        ready = [self._states[i] for i in self._active if self._states[i].phase == "idle"]
        if not ready:
            return None
        state = max(ready, key=self._promise)
        if not state.open and not self._make_room():
            return None
        self._ticks += 1
        state.last_used = self._ticks
        if not state.open:
            state.phase = "opening"
            return OpenSearch(state.task.id)
        state.phase = "proposing"
        return Propose(state.task.id, self._round(state))

    @property
    def computable(self) -> bool:
        """:meth:`next_compute` has something."""
        if self._to_learn or self._to_build:
            return True
        if self._stopping or self._winding_up:
            return False
        ready = [self._states[i] for i in self._active if self._states[i].phase == "idle"]
        if not ready:
            return False
        opened = [s for s in self._states.values() if s.open or s.phase == "opening"]
        return (
            max(ready, key=self._promise).open
            or len(opened) < self._max_open
            or any(s.phase == "idle" for s in opened)
        )

    def next_measure(self, device_class: str) -> Measure | None:
        """Return the next candidate for a device of this class, None where none is built."""
        if not self._to_measure.get(device_class):
            return None
        token = self._to_measure[device_class].popleft()
        attempt = self._attempts[token]
        attempt.at = "measuring"
        best_known_s = math.inf if attempt.again else self._states[attempt.task].best_s
        return Measure(attempt.task, attempt.candidate, token, best_known_s, attempt.again)

    def wind_up(self) -> None:
        """Propose nothing more, for the end is near: what time is left is for measuring the best again."""
        self._winding_up = True
        for token in self._to_build:
            if not self._attempts[token].again:
                self._states[self._attempts.pop(token).task].waiting.discard(token)
        self._to_build = deque(token for token in self._to_build if token in self._attempts)
        while self._to_learn:
            self._states[self._to_learn.popleft()].phase = "idle"
        for state in self._states.values():
            self._round_over(state)
        self._finals_if_due()

    def stop(self) -> None:
        """Propose nothing more. What is under way may end; :attr:`done` says when it has."""
        self._stopping = True
        for waiting in (self._to_build, *self._to_measure.values()):
            for token in waiting:
                self._states[self._attempts.pop(token).task].waiting.discard(token)
            waiting.clear()
        for state in self._states.values():
            if state.phase == "final" and not state.waiting:
                state.phase = "over"

    # -- what happened

    def handle(self, event: Event) -> None:
        """Take an event. A lost worker's late report belongs to nothing under way and changes nothing."""
        match event:
            case Opened(task):
                self._opened(self._states[task])
            case Proposed(task, candidates):
                self._proposed(self._states[task], candidates)
            case Learned(task):
                self._learned(self._states[task])
            case Built(token, build_s, failure):
                if self._is(token, "building"):
                    self._attempts[token].build_s = build_s
                    if failure is not None:
                        self._result(token, failure)
                    elif self._stopping:
                        self._drop(token)
                    else:
                        self._attempts[token].at = "built"
                        state = self._states[self._attempts[token].task]
                        self._to_measure[state.task.device_class].append(token)
            case Measured(token, measurement):
                if self._is(token, "measuring"):
                    if measurement.state is TrialState.DEVICE_LOST:
                        self._again(token, measurement)
                    else:
                        self._result(token, measurement)
            case Failed(task, message, lost, token, moved):
                self._failed(self._states[task], message, lost, token, moved)
            case Contenders(task, candidates):
                self._contended(self._states[task], candidates)
        self._finals_if_due()

    def _opened(self, state: State) -> None:
        if state.phase == "opening":
            state.open, state.phase, state.tries = True, "idle", 0

    def _proposed(self, state: State, candidates: tuple[Candidate, ...]) -> None:
        if state.phase != "proposing":
            return
        # A search that was opened anew does not know what its predecessor had under way.
        fresh = [c for c in {c.hash: c for c in candidates}.values() if c.hash not in state.seen]
        if candidates and not fresh:
            state.phase = "idle"
            state.tries += 1
        if not candidates or state.tries >= MAX_ATTEMPTS:
            self._end(state, "exhausted", f"its space was used up after {state.stored} trials")
            return
        if not fresh:
            return
        state.tries = 0
        if self._stopping or self._winding_up:
            state.phase = "idle"
            return
        state.phase = "running"
        for candidate in fresh[: state.task.budget - state.stored]:
            state.seen.add(candidate.hash)
            token = self._token()
            self._attempts[token] = Attempt(state.task.id, candidate)
            state.waiting.add(token)
            self._to_build.append(token)

    def _learned(self, state: State) -> None:
        if state.phase == "learning":
            state.phase, state.tries, state.moves = "idle", 0, 0
            state.rounds += 1
            self._settle(state)

    def _result(self, token: str, measurement: Measurement) -> None:
        attempt = self._attempts.pop(token)
        state = self._states[attempt.task]
        state.waiting.discard(token)
        if attempt.again:
            if measurement.times:
                self._outbox.append(RecordAgain(attempt.task, attempt.candidate, measurement.times))
            self._next_pass(state)
            return
        state.stored += 1
        cost = _median(measurement.times) if measurement.times else math.inf
        if cost < state.best_s:
            state.best_s, state.since_best = cost, 0
            self._rate(state)
        else:
            state.since_best += 1
        state.results.append(Record(attempt.candidate, measurement.times, measurement.state))
        self._outbox.append(RecordTrial(attempt.task, attempt.candidate, measurement, attempt.build_s, token))
        self._round_over(state)

    def _round_over(self, state: State) -> None:
        if state.phase == "running" and not state.waiting:
            if state.results and not (self._stopping or self._winding_up):
                state.phase = "to learn"
                self._to_learn.append(state.task.id)
            else:
                state.phase = "idle"
                self._settle(state)

    def _drop(self, token: str) -> None:
        attempt = self._attempts.pop(token)
        state = self._states[attempt.task]
        state.waiting.discard(token)
        if attempt.again:
            self._next_pass(state)
        self._round_over(state)

    def _again(self, token: str, measurement: Measurement, *, moved: bool = False) -> None:
        """Give a candidate out anew, under another token: the old attempt's report may still come."""
        attempt = self._attempts[token]
        tries, moves = attempt.tries + (not moved), attempt.moves + moved
        if tries > MAX_ATTEMPTS or moves > MAX_MOVES:
            self._result(token, measurement)
            return
        if self._stopping:
            self._drop(token)
            return
        del self._attempts[token]
        state = self._states[attempt.task]
        state.waiting.discard(token)
        fresh = self._token()
        self._attempts[fresh] = Attempt(attempt.task, attempt.candidate, tries, moves, again=attempt.again)
        state.waiting.add(fresh)
        self._to_build.append(fresh)

    def _failed(self, state: State, message: str, lost: bool, token: str, moved: bool) -> None:
        if token:
            if self._is(token, "building", "measuring"):
                self._again(token, Measurement(TrialState.DEVICE_LOST, message=message), moved=moved)
            return
        if state.phase not in ("opening", "proposing", "learning"):
            return
        # Whatever went wrong, the search's process may be gone: it is opened anew, from the records.
        state.open = state.open or state.phase == "opening"
        self._close(state)
        state.tries += not moved
        state.moves += moved
        if state.phase == "learning":
            state.rounds += 1
        state.phase = "idle"
        # It may have been the last it was to learn.
        self._settle(state)
        spent = state.tries >= MAX_ATTEMPTS or state.moves > MAX_MOVES
        if state.phase != "over" and (not lost or spent):
            self._end(state, "failed", message)

    # -- the best, measured again

    def _finals_if_due(self) -> None:
        """Have contenders looked for, once all tasks had enough, where this run measured any of them."""
        over = not self._active or self._winding_up
        if not self._turns or not over or self._stopping or self._finals_left is not None or self._busy():
            return
        self._finals_left = sum(s.stored - s.task.stored for s in self._states.values()) // FINALS_PART
        timed = [s for s in self._states.values() if math.isfinite(s.best_s)]
        timed.sort(key=lambda s: s.task.weight * s.best_s, reverse=True)
        left = FINALS_SHARE * sum(s.task.weight * s.best_s for s in timed)
        for state in timed:
            if left <= 0:
                break
            left -= state.task.weight * state.best_s
            if state.stored > state.task.stored:
                self._find_contenders(state)

    def _find_contenders(self, state: State) -> None:
        state.phase = "final"
        state.passes += 1
        self._outbox.append(FindContenders(state.task.id))

    def _contended(self, state: State, candidates: tuple[Candidate, ...]) -> None:
        if state.phase != "final" or state.waiting:
            return
        left = self._finals_left or 0
        candidates = candidates[: left // self._turns]
        if len(candidates) < 2 or self._stopping or state.passes > MAX_PASSES:
            state.phase = "over"
            return
        self._finals_left = left - self._turns * len(candidates)
        for candidate in candidates * self._turns:
            token = self._token()
            self._attempts[token] = Attempt(state.task.id, candidate, again=True)
            state.waiting.add(token)
            self._to_build.append(token)

    def _next_pass(self, state: State) -> None:
        if state.waiting:
            return
        if self._stopping:
            state.phase = "over"
        else:
            self._find_contenders(state)

    # -- helpers

    def _settle(self, state: State) -> None:
        """End a task that has had enough."""
        if state.stored >= state.task.budget:
            self._end(state, "satisfied", f"{state.stored} trials")
        elif self._plateau is not None and state.stored and state.since_best >= self._plateau:
            self._end(state, "plateaued", f"the last {state.since_best} trials brought nothing better")

    def _end(self, state: State, name: str, note: str) -> None:
        state.phase = "over"
        self._active.discard(state.task.id)
        self._close(state)
        self._outbox.append(EndTask(state.task.id, name, note))

    def _close(self, state: State) -> None:
        if state.open:
            state.open = False
            self._outbox.append(CloseSearch(state.task.id))

    def _round(self, state: State) -> int:
        """Say how many candidates to ask for.

        A task's first round is small: a campaign that ends early shall have tried every task, and what a
        first few candidates take says where the others are worth their time. After it, what is left of the
        budget is split into rounds of about one size, none over the batch, which grows with the devices.
        """
        left = state.task.budget - state.stored
        batch = max(self._batch, min(self._devices, state.task.budget // LARGEST_PART, LARGEST_BATCH))
        if state.stored == 0:
            return min(left, self._first * batch // self._batch)
        return math.ceil(left / math.ceil(left / batch))

    def _make_room(self) -> bool:
        """Close the idle search used longest ago where too many are open; say whether one more may open."""
        opened = [s for s in self._states.values() if s.open or s.phase == "opening"]
        if len(opened) < self._max_open:
            return True
        idle = [s for s in opened if s.phase == "idle"]
        if idle:
            self._close(min(idle, key=lambda s: s.last_used))
        return bool(idle)

    def _promise(self, state: State) -> tuple[float, float]:
        """Rank a task by what its next round may bring.

        A task without a result comes first, the one with most arithmetic before the others. Then what of the
        model's time the task may still save, per trial spent on it so far: gains shrink about as fast as the
        trials grow, and a task that takes no time has none to give. Nor has one that is as fast as its like
        already: what another task of its kind reaches per operation is about what this one can reach.
        """
        weight = state.task.weight
        if math.isinf(state.best_s):
            return (1.0, weight * state.task.flops / (1 + state.stored))
        rate = self._rates.get((state.task.device_class, state.task.kind), math.inf)
        within_reach = (1 - STILL_TO_GAIN) * state.task.flops / rate
        return (0.0, weight * (state.best_s - within_reach) / (1 + state.stored))

    def _rate(self, state: State) -> None:
        """Note how fast a task is, for others of its kind."""
        if state.task.kind and state.task.flops and math.isfinite(state.best_s):
            key = state.task.device_class, state.task.kind
            self._rates[key] = max(self._rates.get(key, 0.0), state.task.flops / state.best_s)

    def _busy(self) -> bool:
        phases = ("opening", "proposing", "learning", "to learn", "final")
        return bool(self._attempts) or any(s.phase in phases for s in self._states.values())

    def _is(self, token: str, *places: str) -> bool:
        return token in self._attempts and self._attempts[token].at in places

    def _token(self) -> str:
        self._tokens += 1
        return f"{self._name}-{self._tokens}"


def _median(values: tuple[float, ...]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
