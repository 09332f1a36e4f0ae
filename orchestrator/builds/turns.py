"""Libraries and the reference timed in turns, as often as the time for it allows."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

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
    times : sequence of float
        Seconds of single runs.
    known_s : float
        What the known kernel took right before or right after them, the larger of both; 0 where it wasn't
        timed.
    others : float
        Cores that other processes took meanwhile, on average.
    settled : bool
        Their times were level.
    """

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
    """

    all: list[Taken] = field(default_factory=list)
    counted: list[Taken] = field(default_factory=list)
    untuned_s: list[float] = field(default_factory=list)
    untuned_note: str = ""
    known_least_s: float = 0.0

    @property
    def taken(self) -> int:
        """Turns that count."""
        return max(len(self._of(name)) for name in _NAMES)

    @property
    def medians(self) -> dict[str, list[float]]:
        """Of ``tuned`` and ``reference``, the median of each turn."""
        return {name: [statistics.median(one.times) for one in self._of(name)] for name in _NAMES}

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
        """How often something was timed that does not count."""
        return len(self.all) - len(self.counted)

    @property
    def slow(self) -> int:
        """How often something counts that was timed in a slow minute: there was not enough else."""
        return sum(self._is_slow(one) for one in self.counted)

    @property
    def note(self) -> str:
        """Say what was out of the ordinary, for people; nothing where nothing was."""
        parts = []
        if self.left_out:
            parts.append(f"{self.left_out} more taken in slow moments, and left out")
        if self.slow:
            parts.append(f"{self.slow} of those that count in slow moments, for there were no others")
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

    def quick(self, name: str) -> int:
        """Count how often something was timed in no slow moment, as far as is known by now."""
        return sum(one.name == name and not self._is_slow(one) for one in self.all)

    def settle(self, rounds: int) -> None:
        """Choose what counts: what was timed in no slow moment, of all as often.

        Where that is less than :data:`.pace.LEAST_TURNS` times, what was disturbed least as well, up to the
        turns that were asked for.
        """
        names = list(dict.fromkeys(one.name for one in self.all))
        wanted = min(self.quick(name) for name in names)
        if wanted < min(LEAST_TURNS, rounds):
            wanted = rounds
        kept = []
        for name in names:
            mine = [one for one in self.all if one.name == name]
            # It is stable: of those that are no slower, the first ones.
            mine.sort(key=lambda one: (1 + one.others) * one.known_s if self._is_slow(one) else 0.0)
            kept += mine[: min(wanted, rounds)]
        self.counted = [one for one in self.all if any(one is each for each in kept)]

    def _is_slow(self, one: Taken) -> bool:
        return one.known_s > SLOW * self.known_least_s or one.others > BUSY

    def _of(self, name: str) -> list[Taken]:
        return [one for one in self.counted if one.name == name]


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
    """Time a tuned and an untuned library and onnxruntime, one after the other, several times.

    Nothing else may use the cores meanwhile. Where something did, and where a known kernel, which is timed
    between any two of them, took longer than at its best, they were timed in a slow moment, and once more.

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

    def timed_tuned() -> ModelRun | ModelTiming | None:
        repeats = pace.repeats(tuned_one_s)
        if not repeats:
            del sides["tuned"]  # nor will there be time for it later
            first = not any(one.name == "tuned" for one in found.all)
            return ModelTiming((tuned_one_s,)) if first else None
        settle_s, least_s = pace.settling(tuned_one_s)
        return tools.run(
            tuned,
            inputs,
            target,
            repeats=repeats,
            endpoint=endpoint,
            settle_s=settle_s,
            least_s=least_s,
        )

    def timed_reference() -> ModelTiming:
        settle_s, least_s = pace.settling(reference_one_s)
        repeats = max(1, pace.repeats(reference_one_s))
        return tools.reference_timing(model, inputs, threads, repeats, settle_s, least_s)

    sides: dict[str, Callable[[], ModelRun | ModelTiming | None]] = {"tuned": timed_tuned}
    if endpoint is None:
        sides["reference"] = timed_reference
    known_s = known()
    passes = 0
    while passes < rounds + min(rounds, pace.again):
        lacking = [name for name in sides if found.quick(name) < rounds]
        # One more of each, whatever was slow, takes what the longest turn took.
        quick = min((found.quick(name) for name in sides), default=0)
        if not lacking or not pace.turn_fits(min(passes, max(1, quick)), longest_s, rounds):
            break
        began = pace.now()
        again = f", {passes - rounds + 1} more for slow moments" if passes >= rounds else ""
        say(f"timing {model.name}, turn {min(passes + 1, rounds)} of {rounds}{again}")
        # What follows may find the machine warmer.
        for name in lacking if passes % 2 == 0 else reversed(lacking):
            others()
            timing = sides[name]()
            beside = others()
            after_s = known()
            if timing is not None:
                slower_s = max(known_s, after_s)
                found.all.append(Taken(name, timing.times, slower_s, beside, timing.warm_up.settled))
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
