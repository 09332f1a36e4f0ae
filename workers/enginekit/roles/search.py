"""How candidates are found."""

from __future__ import annotations

from typing import Protocol

from workers.messages import Candidate, Record, SearchOptions, Workload

__all__ = ["Search", "TaskSearch"]


class TaskSearch(Protocol):
    """The search of one task. It lives in a process of its own and keeps its state between calls."""

    def propose(self, count: int, cost_model: bytes | None) -> tuple[Candidate, ...]:
        """Return up to `count` new candidates; none at all means that the space is used up.

        Parameters
        ----------
        cost_model : bytes or None
            What :meth:`Search.train` returned last, where that is newer than what this search was given
            before.
        """

    def transfer(self, records: tuple[tuple[Workload, Record], ...]) -> None:
        """Start from records of other workloads of the same kind, before anything is proposed.

        Not called where ``transfers`` of the engine's Traits says that nothing would come of it.
        """

    def lend(self, records: tuple[tuple[Workload, Record], ...]) -> None:
        """Take over schedules of other workloads of the same kind, to be proposed next where they fit.

        Called before a task's first proposals with as many records of each such workload as ``lends`` of the
        engine's Traits says.
        """

    def learn(self, records: tuple[Record, ...]) -> bytes:
        """Take the results of candidates and return what the cost model is to be trained on.

        Returns
        -------
        bytes
            Samples in the engine's own form, for :meth:`Search.train`; empty where there are none.
        """


class Search(Protocol):
    """Opens searches, and trains the cost model that they share."""

    def open_search(self, workload: Workload, target: str, options: SearchOptions) -> TaskSearch:
        """Open the search of one workload; :meth:`TaskSearch.learn` seeds it with what is known.

        Raises
        ------
        UsageError
            Where a setting can't be right.
        """

    def train(self, samples: tuple[bytes, ...], threads: int) -> bytes:
        """Train the cost model on the samples of all tasks; return nothing where there is no such model."""
