"""Layouts that are tried out: when a model's tasks have had what it takes to decide between two of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.campaigns.tuning.actions import Decide
from orchestrator.campaigns.tuning.ledger import Ledger
from orchestrator.campaigns.tuning.tasks import Phase

__all__ = ["TriedTasks", "Tryouts"]


@dataclass(frozen=True)
class TriedTasks:
    """Tasks in which two layouts of a model differ.

    Attributes
    ----------
    tasks : frozenset of int
        Those that are not over yet.
    tried : int
        Trials of each that it takes, stored ones included.
    """

    tasks: frozenset[int]
    tried: int


class Tryouts:
    """The tryouts of one campaign, by their place in `tryouts`."""

    def __init__(self, ledger: Ledger, tryouts: Sequence[TriedTasks]) -> None:
        self._ledger = ledger
        self._open = dict(enumerate(tryouts))

    @property
    def open(self) -> bool:
        """Something is to be decided."""
        return bool(self._open)

    def ask_if_due(self) -> None:
        """Have decided what can be: all of its tasks have had their trials, or will get no more."""
        for number, tryout in list(self._open.items()):
            if not self._ledger.ending and all(self._has_had(task, tryout.tried) for task in tryout.tasks):
                self._ask(number, in_time=True)

    def end(self) -> None:
        """Have decided what isn't, by what there is: the time for it is over."""
        for number in list(self._open):
            self._ask(number, in_time=False)

    def _has_had(self, number: int, tried: int) -> bool:
        task = self._ledger.tasks[number]
        return task.stored >= tried or task.phase is Phase.OVER

    def _ask(self, number: int, *, in_time: bool) -> None:
        del self._open[number]
        self._ledger.outbox.append(Decide(number, in_time))
