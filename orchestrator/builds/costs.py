"""What building and comparing a model costs, by what was seen of it, and so what a campaign's end takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from orchestrator.builds.pace import DEAR_SECONDS, LEAST_TURNS, REPEATS

__all__ = ["BUILD_FACTOR", "UNKNOWN_SECONDS", "Costs", "closing_seconds"]

#: A tuned library takes longer to compile than an untuned one: schedules unroll and vectorize.
BUILD_FACTOR = 1.25
#: What a comparison is taken to cost of whose model nothing is known, for it isn't run on this machine.
UNKNOWN_SECONDS = 20.0
#: How much faster than untuned the tuned library is taken to be before anything is known of it.
GUESSED_SPEEDUP = 4.0
#: What the runs of one library in one turn are made to take at most, by running it less often.
_RUNS_SECONDS = 10.0


@dataclass(frozen=True)
class Costs:
    """Seconds that a model's library took before it was tuned.

    Attributes
    ----------
    compile_s : float
        To compile it.
    call_s : float
        To hand it to a process and load it there, without any run.
    one_s : float
        One run of it.
    reference_s : float
        To have onnxruntime load the model and run it once.
    judge_s : float
        To compare the outputs.
    """

    compile_s: float
    call_s: float
    one_s: float
    reference_s: float
    judge_s: float

    def document(self) -> dict[str, float]:
        """Return it as it is stored."""
        return asdict(self)

    @classmethod
    def of(cls, stored: Any) -> Costs | None:
        """Read what :meth:`document` made; None where there is nothing."""
        return cls(**stored) if isinstance(stored, dict) else None


def closing_seconds(costs: Sequence[Costs], turns: int = LEAST_TURNS) -> float:
    """Estimate what building the tuned libraries and comparing each in so many turns takes."""
    return sum(_closing(each, turns) for each in costs)


def _closing(costs: Costs, turns: int) -> float:
    tuned_s = costs.one_s / GUESSED_SPEEDUP
    outputs = costs.reference_s + costs.call_s + tuned_s + costs.judge_s
    turn = costs.call_s + min(_RUNS_SECONDS, (1 + REPEATS) * tuned_s)
    turn += costs.reference_s + min(_RUNS_SECONDS, 2 * costs.reference_s)
    if costs.one_s < DEAR_SECONDS:
        turn += costs.call_s + 3 * costs.one_s
    return BUILD_FACTOR * costs.compile_s + outputs + turns * turn
