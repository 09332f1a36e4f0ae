"""What models are converted for, as far as a precision depends on it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.cli.kit.options import DEFAULT_ENGINE

__all__ = ["THIS_MACHINE", "Aim"]


@dataclass(frozen=True)
class Aim:
    """The engine and the targets that models are tuned and built for.

    Attributes
    ----------
    timed : bool
        Which precision is faster may be timed, where it isn't known: the command takes its time anyway.
    """

    engine: str = DEFAULT_ENGINE
    targets: tuple[str, ...] = ("auto",)
    timed: bool = False

    @classmethod
    def of(cls, engine: str, targets: Iterable[str], *, timed: bool = False) -> Aim:
        """Return what is aimed at; without targets this machine."""
        return cls(engine, tuple(dict.fromkeys(targets)) or ("auto",), timed)


#: What is meant where a command names no target.
THIS_MACHINE = Aim()
