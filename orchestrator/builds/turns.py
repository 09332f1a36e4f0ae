"""Libraries and the reference timed in turns, as often as the time for it allows."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from orchestrator.builds.pace import (
    DEAR_SECONDS,
    LEAST_TURNS,
    TURNS,
    UNTUNED_SECONDS,
    UNTUNED_TWICE_SECONDS,
    Pace,
)
from orchestrator.builds.untuned import UntunedTimes
from orchestrator.errors import EngineTimeoutError
from orchestrator.toolbox import Toolbox
from workers.messages import Array, CompiledModel, Endpoint, PreparedModel

__all__ = ["SLOW", "Turn", "Turns", "take_turns"]

#: A turn beside which the known kernel takes so many times its least is of a slow minute, and is repeated.
SLOW = 1.1
_UNTUNED_REPEATS = 2
# Of one side and turn; of a short run there are thousands.
_KEPT_TIMES = 20
_NAMES = {"tuned": "times of the tuned library", "reference": "onnxruntime's times"}


@dataclass
class Turn:
    """What was timed in one turn.

    Attributes
    ----------
    times : dict of str to list of float
        Seconds of single runs: ``tuned``, ``reference``, ``untuned``; those that were timed.
    known_s : float
        What the known kernel took right before or right after it, the larger of both; 0 where it wasn't
        timed.
    moving : list of str
        Those whose times still moved when they had been warmed up for as long as may be.
    """

    times: dict[str, list[float]] = field(default_factory=dict)
    known_s: float = 0.0
    moving: list[str] = field(default_factory=list)


@dataclass
class Turns:
    """What was timed.

    Attributes
    ----------
    counted : list of Turn
        Those that the figures are of.
    left_out : list of Turn
        Turns of slow minutes, for which others were taken.
    untuned_s : list of float
        Seconds of single runs of the untuned library.
    untuned_note : str
        How these were taken, where that was not in turns.
    known_least_s : float
        The least that the known kernel took; 0 where it wasn't timed.
    """

    counted: list[Turn] = field(default_factory=list)
    left_out: list[Turn] = field(default_factory=list)
    untuned_s: list[float] = field(default_factory=list)
    untuned_note: str = ""
    known_least_s: float = 0.0

    @property
    def taken(self) -> int:
        """Turns that count."""
        return len(self.counted)

    @property
    def medians(self) -> dict[str, list[float]]:
        """Of ``tuned`` and ``reference``, the median of each turn."""
        return {
            name: [statistics.median(turn.times[name]) for turn in self.counted if turn.times.get(name)]
            for name in ("tuned", "reference")
        }

    @property
    def runs(self) -> dict[str, int]:
        """Of how many times each figure is."""
        counts = {name: len(self._all(name)) for name in ("tuned", "reference")}
        return {"untuned": len(self.untuned_s), **counts}

    @property
    def times(self) -> dict[str, list[float]]:
        """Seconds of single runs; of many in a turn some, evenly spread over it."""
        found = {
            name: [one for turn in self.counted for one in _some(turn.times.get(name, []))]
            for name in ("tuned", "reference")
        }
        return {"untuned": self.untuned_s, **found}

    @property
    def slow(self) -> int:
        """Turns of slow minutes that count all the same: there were not enough others."""
        return sum(self._is_slow(turn) for turn in self.counted)

    @property
    def slowest(self) -> float:
        """The most that the known kernel took beside any turn, in times of its least; 0 without it."""
        turns = self.counted + self.left_out
        return max(turn.known_s for turn in turns) / self.known_least_s if self.known_least_s else 0.0

    @property
    def moving(self) -> dict[str, int]:
        """In how many turns times still moved after warming up, by what was timed."""
        names = [name for turn in self.counted for name in turn.moving]
        return {name: names.count(name) for name in dict.fromkeys(names)}

    @property
    def note(self) -> str:
        """Say what was out of the ordinary, for people; nothing where nothing was."""
        parts = []
        if self.left_out:
            parts.append(f"{len(self.left_out)} more taken in slow minutes, and left out")
        if self.slow:
            parts.append(f"{self.slow} of them in slow minutes, for there were no others")
        if parts:
            parts[-1] += f" (a known kernel took up to {self.slowest:.2f} times its least)"
        parts += [f"{_NAMES[name]} still moved in {count}" for name, count in self.moving.items()]
        return "; ".join(parts)

    def settle(self, rounds: int) -> None:
        """Choose the turns that count: those of no slow minute, as many as were asked for.

        Where these are fewer than :data:`.pace.LEAST_TURNS`, the others that were disturbed least as well.
        """
        turns = self.counted + self.left_out
        quick = [turn for turn in turns if not self._is_slow(turn)][:rounds]
        slow = sorted((turn for turn in turns if self._is_slow(turn)), key=lambda turn: turn.known_s)
        kept = quick + slow[: max(0, min(LEAST_TURNS, rounds) - len(quick))]
        if not any(turn.times.get("tuned") for turn in kept):
            # Where a run is so long that there was time for one.
            kept += [turn for turn in turns if turn.times.get("tuned")][:1]
        self.counted = [turn for turn in turns if any(turn is one for one in kept)]
        self.left_out = [turn for turn in turns if not any(turn is one for one in kept)]

    def quick(self) -> int:
        """Count the turns of no slow minute."""
        return sum(not self._is_slow(turn) for turn in self.counted)

    def _is_slow(self, turn: Turn) -> bool:
        return turn.known_s > SLOW * self.known_least_s

    def _all(self, name: str) -> list[float]:
        return [one for turn in self.counted for one in turn.times.get(name, [])]


def _some(times: list[float]) -> list[float]:
    if len(times) <= _KEPT_TIMES:
        return times
    return [times[place * len(times) // _KEPT_TIMES] for place in range(_KEPT_TIMES)]


def take_turns(
    tools: Toolbox,
    model: PreparedModel,
    inputs: Mapping[str, Array],
    target: str,
    threads: int,
    *,
    tuned: CompiledModel,
    tuned_one_s: float,
    untuned: CompiledModel | UntunedTimes,
    reference_one_s: float,
    rounds: int = TURNS,
    pace: Pace = Pace(),  # noqa: B008 - frozen
    endpoint: Endpoint | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Turns:
    """Time a tuned and an untuned library and onnxruntime, one after the other, several times.

    Nothing else may use the cores meanwhile. Between any two turns a known kernel is timed: a turn beside
    which it takes longer than at its best is of a slow minute, and taken again, as often as there are turns.

    Parameters
    ----------
    tuned_one_s, reference_one_s : float
        Seconds that one run took before; where there is no time for more, the tuned library's counts as its
        time.
    untuned : CompiledModel or UntunedTimes
        What it takes, where that is known and not to be taken again.
    rounds : int, optional
        Turns at most, but for those that are taken again.
    endpoint : Endpoint, optional
        The device, where that is not this machine: onnxruntime is not timed then, nor the known kernel.
    """
    found = Turns()
    before = _Untuned(tools, inputs, target, endpoint, found, pace.now)
    longest_s = 0.0

    def known() -> float:
        seconds = 0.0 if endpoint else tools.known_kernel_s(threads)
        found.known_least_s = min(found.known_least_s or seconds, seconds)
        return seconds

    def timed_tuned(turn: Turn) -> None:
        repeats = pace.repeats(tuned_one_s)
        if repeats:
            settling = pace.settling(tuned_one_s)
            run = tools.run(tuned, inputs, target, repeats=repeats, endpoint=endpoint, **settling)
            turn.times["tuned"] = list(run.times)
            turn.moving += [] if run.warm_up.settled else ["tuned"]
        elif not any(one.times.get("tuned") for one in found.counted):
            turn.times["tuned"] = [tuned_one_s]

    def timed_reference(turn: Turn) -> None:
        if endpoint is None:
            repeats = max(1, pace.repeats(reference_one_s))
            settling = pace.settling(reference_one_s)
            timing = tools.reference_timing(model, inputs, threads, repeats, **settling)
            turn.times["reference"] = list(timing.times)
            turn.moving += [] if timing.warm_up.settled else ["reference"]

    known_s = known()
    # Also a first turn that was slow is followed by another only where there is time for that.
    while pace.turn_fits(min(found.taken, max(1, found.quick())), longest_s, rounds):
        if found.taken == 2 * rounds:
            break
        began = pace.now()
        again = f", {found.taken - rounds + 1} more for slow minutes" if found.taken >= rounds else ""
        say(f"timing {model.name}, turn {min(found.taken + 1, rounds)} of {rounds}{again}")
        turn = Turn()
        # What follows may find the machine warmer.
        sides = (timed_tuned, timed_reference) if found.taken % 2 == 0 else (timed_reference, timed_tuned)
        for timed in sides:
            timed(turn)
        if isinstance(untuned, CompiledModel) and not again:
            before.take(untuned)
        after_s = known()
        turn.known_s, known_s = max(known_s, after_s), after_s
        found.counted.append(turn)
        longest_s = max(longest_s, pace.now() - began)
    found.settle(rounds)
    if isinstance(untuned, UntunedTimes):
        found.untuned_s += untuned.times_s
        found.untuned_note = untuned.note
    return found


class _Untuned:
    """The untuned library's part of each turn."""

    def __init__(
        self,
        tools: Toolbox,
        inputs: Mapping[str, Array],
        target: str,
        endpoint: Endpoint | None,
        found: Turns,
        now: Callable[[], float],
    ) -> None:
        self._tools, self._inputs, self._target, self._endpoint = tools, inputs, target, endpoint
        self._found, self._now = found, now
        self._one_s: float | None = None

    def take(self, compiled: CompiledModel) -> None:
        """Run it; one that is dear only in the first two turns, and without running it warm before."""
        times = self._found.untuned_s
        if self._one_s is None or (self._is_dear and self._again):
            one_s = self._one(compiled)
            if one_s is None:
                return
            self._one_s = one_s
            if self._is_dear:
                times.append(one_s)
                self._found.untuned_note = "run once or twice, for a run of it is long"
        if not self._is_dear:
            repeats = _UNTUNED_REPEATS
            run = self._tools.run(
                compiled, self._inputs, self._target, repeats=repeats, endpoint=self._endpoint
            )
            times += run.times

    @property
    def _is_dear(self) -> bool:
        return self._one_s is not None and self._one_s >= DEAR_SECONDS

    @property
    def _again(self) -> bool:
        times = self._found.untuned_s
        return len(times) == 1 and times[0] <= UNTUNED_TWICE_SECONDS

    def _one(self, compiled: CompiledModel) -> float | None:
        """Return the seconds of one run; None where it doesn't end within a minute."""
        if self._found.untuned_note and not self._found.untuned_s:
            return None  # it was tried
        began = self._now()
        try:
            with self._tools.no_later_than(began + UNTUNED_SECONDS):
                run = self._tools.run(compiled, self._inputs, self._target, endpoint=self._endpoint)
        except EngineTimeoutError:
            self._found.untuned_note = f"no run of it ended within {UNTUNED_SECONDS:.0f} s"
            return None
        return run.first_s or self._now() - began
