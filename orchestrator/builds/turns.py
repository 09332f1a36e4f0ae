"""Libraries and the reference timed in turns, as often as the time for it allows."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from orchestrator.builds.duet import duet, paired_ratio
from orchestrator.builds.others import Others
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
from workers.messages import Array, CompiledModel, Endpoint, ModelRun, ModelTiming, PreparedModel

__all__ = ["BUSY", "SLOW", "Taken", "Turns", "take_turns"]

#: What is timed beside a known kernel that takes so many times its least is of a slow moment, and repeated.
SLOW = 1.1
#: So is what is timed while others take so many cores.
BUSY = 0.15
_UNTUNED_REPEATS = 2
# Of one side and turn; of a short run there are thousands.
_KEPT_TIMES = 20
_NAMES = {"tuned": "times of the tuned library", "reference": "onnxruntime's times"}


@dataclass(frozen=True)
class Taken:
    """One library, or onnxruntime, timed in one process.

    Attributes
    ----------
    turn : int
        In which of the turns, from 0.
    times : sequence of float
        Seconds of single runs.
    known_s : float
        What the known kernel took right before or right after the turn, the larger of both; 0 where it wasn't
        timed.
    others : float
        Cores that other processes took meanwhile, on average.
    settled : bool
        Their times were level.
    """

    turn: int
    name: str
    times: Sequence[float]
    known_s: float
    others: float = 0.0
    settled: bool = True


@dataclass
class Turns:
    """What was timed.

    Attributes
    ----------
    all : list of Taken
        In the order in which it was taken.
    counted : list of Taken
        What the figures are of.
    untuned_s : list of float
        Seconds of single runs of the untuned library.
    untuned_note : str
        How these were taken, where that was not in turns.
    known_least_s : float
        The least that the known kernel took; 0 where it wasn't timed.
    paired : dict of int to float
        By the turn, the library's time as a part of onnxruntime's, moment by moment.
    """

    all: list[Taken] = field(default_factory=list)
    counted: list[Taken] = field(default_factory=list)
    untuned_s: list[float] = field(default_factory=list)
    untuned_note: str = ""
    known_least_s: float = 0.0
    paired: dict[int, float] = field(default_factory=dict)

    @property
    def taken(self) -> int:
        """Turns that count."""
        return max(len(self._of(name)) for name in _NAMES)

    @property
    def medians(self) -> dict[str, list[float]]:
        """Of ``tuned`` and ``reference``, the median of each turn."""
        return {name: [statistics.median(one.times) for one in self._of(name)] for name in _NAMES}

    @property
    def ratios(self) -> list[float]:
        """Of each turn, what the library takes as a part of onnxruntime's time; none where one is missing."""
        tuned, reference = ({one.turn: one for one in self._of(name)} for name in _NAMES)
        if tuned.keys() != reference.keys():
            return []
        return [
            self.paired.get(turn) or statistics.median(one.times) / statistics.median(reference[turn].times)
            for turn, one in tuned.items()
        ]

    @property
    def runs(self) -> dict[str, int]:
        """Of how many times each figure is."""
        counts = {name: sum(len(one.times) for one in self._of(name)) for name in _NAMES}
        return {"untuned": len(self.untuned_s), **counts}

    @property
    def times(self) -> dict[str, list[float]]:
        """Seconds of single runs; of many in a turn some, evenly spread over it."""
        found = {name: [time for one in self._of(name) for time in _some(one.times)] for name in _NAMES}
        return {"untuned": self.untuned_s, **found}

    @property
    def left_out(self) -> int:
        """Turns that do not count."""
        return len(_turns(self.all)) - len(_turns(self.counted))

    @property
    def slow(self) -> int:
        """Turns that count and were in slow moments: there were not enough others."""
        return len(_turns(one for one in self.counted if self._is_slow(one)))

    @property
    def note(self) -> str:
        """Say what was out of the ordinary, for people; nothing where nothing was."""
        parts = []
        if self.left_out:
            parts.append(f"{self.left_out} turn{'s' * (self.left_out > 1)} in slow moments left out")
        if self.slow:
            count = f"{self.slow} of the {self.taken} that count"
            parts.append(f"{count} in slow moments, for there were no others")
        if parts:
            slowest = max(one.known_s for one in self.all) / (self.known_least_s or math.inf)
            others = max(one.others for one in self.all)
            parts[-1] += (
                f" (a known kernel took up to {slowest:.2f} times its least, other processes up to "
                f"{others:.1f} cores)"
            )
        for name, words in _NAMES.items():
            moving = sum(not one.settled for one in self._of(name))
            parts += [f"{words} still moved in {moving}"] if moving else []
        return "; ".join(parts)

    @property
    def quick(self) -> int:
        """Turns that were in no slow moment, as far as is known by now."""
        return len(_turns(self.all) - _turns(one for one in self.all if self._is_slow(one)))

    def settle(self, rounds: int) -> None:
        """Choose the turns that count: those in no slow moment.

        Where these are fewer than :data:`.pace.LEAST_TURNS`, those that were disturbed least as well, up to
        the turns that were asked for.
        """
        wanted = rounds if self.quick < min(LEAST_TURNS, rounds) else min(self.quick, rounds)
        slow = {one.turn: (1 + one.others) * one.known_s for one in self.all if self._is_slow(one)}
        # It is stable: of those that are no slower, the first ones.
        kept = sorted(sorted(_turns(self.all)), key=lambda turn: slow.get(turn, 0.0))[:wanted]
        self.counted = [one for one in self.all if one.turn in kept]

    def _is_slow(self, one: Taken) -> bool:
        return one.known_s > SLOW * self.known_least_s or one.others > BUSY

    def _of(self, name: str) -> list[Taken]:
        return [one for one in self.counted if one.name == name]


def _turns(taken: Iterable[Taken]) -> set[int]:
    return {one.turn for one in taken}


def _some(times: Sequence[float]) -> Sequence[float]:
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
    others: Callable[[], float] | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Turns:
    """Time a tuned library and onnxruntime by turns, and an untuned one after them, several times.

    The first two are timed in moments that alternate (:mod:`.duet`): what the machine is like falls on both.
    Nothing else may use the cores meanwhile. Where something did, and where a known kernel, which is timed
    before and after each turn, took longer than at its best, the turn was a slow one, and another is taken.

    Parameters
    ----------
    tuned_one_s, reference_one_s : float
        Seconds that one run took before; where there is no time for more, the tuned library's counts as its
        time.
    untuned : CompiledModel or UntunedTimes
        What it takes, where that is known and not to be taken again.
    rounds : int, optional
        Turns at most, but for what is taken again.
    endpoint : Endpoint, optional
        The device, where that is not this machine: onnxruntime is not timed then, nor the known kernel.
    others : callable, optional
        Returns how many cores others took since it was last asked; left out, :class:`.others.Others`.
    """
    found = Turns()
    if others is None or endpoint is not None:
        others = Others().cores if endpoint is None else float
    before = _Untuned(tools, inputs, target, endpoint, found, pace.now)
    longest_s = 0.0

    def known() -> float:
        seconds = 0.0 if endpoint else tools.known_kernel_s(threads)
        found.known_least_s = min(found.known_least_s or seconds, seconds)
        return seconds

    def timed(turn: int) -> dict[str, ModelRun | ModelTiming]:
        """Take one turn of what there is time for."""
        repeats = pace.repeats(tuned_one_s)
        settle_s, least_s = pace.settling(tuned_one_s)
        if endpoint is not None and repeats:
            run = tools.run(
                tuned, inputs, target, repeats, endpoint=endpoint, settle_s=settle_s, least_s=least_s
            )
            return {"tuned": run}
        # Where there is no time for it now, there will be none later.
        once: dict[str, ModelRun | ModelTiming] = {}
        if not repeats and not found.all:
            once["tuned"] = ModelTiming((tuned_one_s,))
        if endpoint is not None:
            return once
        begin_ours = partial(
            tools.begin_run, tuned, inputs, target, repeats, settle_s=settle_s, least_s=least_s
        )
        settle_s, least_s = pace.settling(reference_one_s)
        beside = max(1, pace.repeats(reference_one_s)), settle_s, least_s
        if not repeats:
            return {**once, "reference": tools.reference_timing(model, inputs, threads, *beside)}
        begin_theirs = partial(tools.begin_reference_timing, model, inputs, threads, *beside)
        # What follows may find the machine warmer.
        if turn % 2:
            theirs, run = duet(tools, begin_theirs, begin_ours)
        else:
            run, theirs = duet(tools, begin_ours, begin_theirs)
        ratio = paired_ratio(run.warm_up, theirs.warm_up)
        if ratio is not None:
            found.paired[turn] = ratio
        return {"tuned": run, "reference": theirs}

    known_s = known()
    passes = 0
    while passes < rounds + min(rounds, pace.again) and found.quick < rounds:
        # One more, where some were slow, takes what the longest turn took.
        if not pace.turn_fits(min(passes, max(1, found.quick)), longest_s, rounds):
            break
        began = pace.now()
        again = f", {passes - rounds + 1} more for slow moments" if passes >= rounds else ""
        say(f"timing {model.name}, turn {min(passes + 1, rounds)} of {rounds}{again}")
        others()
        timings = timed(passes)
        beside, after_s = others(), known()
        for name, timing in timings.items():
            slower_s = max(known_s, after_s)
            found.all.append(Taken(passes, name, timing.times, slower_s, beside, timing.warm_up.settled))
        known_s = after_s
        if isinstance(untuned, CompiledModel) and passes < rounds:
            before.take(untuned)
            known_s = known()
        passes += 1
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
