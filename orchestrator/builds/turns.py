"""Libraries and the reference timed in turns, as often as the time for it allows."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from orchestrator.builds.pace import (
    DEAR_SECONDS,
    TURNS,
    UNTUNED_SECONDS,
    UNTUNED_TWICE_SECONDS,
    Pace,
)
from orchestrator.builds.untuned import UntunedTimes
from orchestrator.errors import EngineTimeoutError
from orchestrator.toolbox import Toolbox
from workers.messages import Array, CompiledModel, Endpoint, PreparedModel

__all__ = ["Turns", "take_turns"]

_UNTUNED_REPEATS = 2


@dataclass
class Turns:
    """What was timed.

    Attributes
    ----------
    times : dict of str to list of float
        Seconds of single runs: ``tuned``, ``reference``, ``untuned``; empty where there is none.
    medians : dict of str to list of float
        Of ``tuned`` and ``reference``, the median of each turn.
    taken : int
        Turns.
    untuned_note : str
        How the untuned library's were taken, where that was not in turns.
    """

    times: dict[str, list[float]] = field(
        default_factory=lambda: {"untuned": [], "tuned": [], "reference": []}
    )
    medians: dict[str, list[float]] = field(default_factory=lambda: {"tuned": [], "reference": []})
    taken: int = 0
    untuned_note: str = ""

    def add(self, name: str, times: tuple[float, ...]) -> None:
        """Take in what a turn timed of one."""
        self.times[name] += times
        self.medians[name].append(statistics.median(times))


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

    Nothing else may use the cores meanwhile.

    Parameters
    ----------
    tuned_one_s, reference_one_s : float
        Seconds that one run took before; where there is no time for more, the tuned library's counts as its
        time.
    untuned : CompiledModel or UntunedTimes
        What it takes, where that is known and not to be taken again.
    rounds : int, optional
        Turns at most.
    endpoint : Endpoint, optional
        The device, where that is not this machine: onnxruntime is not timed then.
    """
    found = Turns()
    before = _Untuned(tools, inputs, target, endpoint, found, pace.now)
    longest_s = 0.0
    while pace.turn_fits(found.taken, longest_s, rounds):
        began = pace.now()
        say(f"timing {model.name}, turn {found.taken + 1} of {rounds}")
        repeats = pace.repeats(tuned_one_s)
        if repeats:
            run = tools.run(tuned, inputs, target, repeats=repeats, endpoint=endpoint)
            found.add("tuned", run.times)
        elif not found.times["tuned"]:
            found.add("tuned", (tuned_one_s,))
        if endpoint is None:
            repeats = max(1, pace.repeats(reference_one_s))
            found.add("reference", tools.reference_timing(model, inputs, threads, repeats).times)
        if isinstance(untuned, CompiledModel):
            before.take(untuned)
        found.taken += 1
        longest_s = max(longest_s, pace.now() - began)
    if isinstance(untuned, UntunedTimes):
        found.times["untuned"] += untuned.times_s
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
        times = self._found.times["untuned"]
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
        times = self._found.times["untuned"]
        return len(times) == 1 and times[0] <= UNTUNED_TWICE_SECONDS

    def _one(self, compiled: CompiledModel) -> float | None:
        """Return the seconds of one run; None where it doesn't end within a minute."""
        if self._found.untuned_note and not self._found.times["untuned"]:
            return None  # it was tried
        began = self._now()
        try:
            with self._tools.no_later_than(began + UNTUNED_SECONDS):
                run = self._tools.run(compiled, self._inputs, self._target, endpoint=self._endpoint)
        except EngineTimeoutError:
            self._found.untuned_note = f"no run of it ended within {UNTUNED_SECONDS:.0f} s"
            return None
        return run.first_s or self._now() - began
