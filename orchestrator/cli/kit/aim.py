"""What models are converted for, as far as a precision depends on it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.cli.kit.options import DEFAULT_ENGINE

__all__ = ["THIS_MACHINE", "Aim"]


@dataclass(frozen=True)
class Aim:
    """The engine and the targets that models are tuned and built for."""

    engine: str = DEFAULT_ENGINE
    targets: tuple[str, ...] = ("auto",)

    @classmethod
    def of(cls, engine: str, targets: Iterable[str]) -> Aim:
        """Return what is aimed at; without targets this machine."""
        return cls(engine, tuple(dict.fromkeys(targets)) or ("auto",))


#: What is meant where a command names no target.
THIS_MACHINE = Aim()
