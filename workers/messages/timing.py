"""How candidates are timed."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Baton", "EvaluatorConfig", "Timing"]


@dataclass(frozen=True)
class EvaluatorConfig:
    """How a candidate is timed, in the words of TVM's ``time_evaluator``.

    Attributes
    ----------
    number : int
        Calls averaged into one time.
    repeat : int
        Times taken.
    min_repeat_ms : int
        ``number`` is raised until one repeat takes this long (milliseconds).
    timeout_s : float
        A measurement that takes longer is killed (seconds).
    """

    number: int = 3
    repeat: int = 1
    min_repeat_ms: int = 100
    timeout_s: float = 20.0


@dataclass(frozen=True)
class Timing:
    """What came of timing a candidate.

    Attributes
    ----------
    times : tuple of float
        Seconds of one call, one value a repeat.
    stopped : bool
        It was so far behind that it was not timed in full: the times are those of the first short looks.
    """

    times: tuple[float, ...]
    stopped: bool = False


@dataclass(frozen=True)
class Baton:
    """By what two processes take turns at the cores: two named pipes, one for what either is told.

    Attributes
    ----------
    mine, other : str
        Paths of the pipe that is read here, and of the one that the other reads.
    first : bool
        This one begins.
    """

    mine: str
    other: str
    first: bool
