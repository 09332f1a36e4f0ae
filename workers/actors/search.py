"""Searches of several tasks, each in a process of its own."""

from __future__ import annotations

from workers.actors.base import EngineActor
from workers.clients import OpenSearch, SearchClient
from workers.messages import Candidate, Record, SearchOptions, Workload

__all__ = ["SearchActor"]


class SearchActor(EngineActor):
    """Searches of several tasks, each in a process of its own."""

    role = "search"

    def open(
        self,
        session: str,
        workload: Workload,
        target: str,
        options: SearchOptions,
        history: tuple[Record, ...],
        related: tuple[tuple[Workload, Record], ...],
        timeout_s: float,
    ) -> bytes:
        """Open a search, teach it what is stored, and return the samples of that for the cost model.

        Parameters
        ----------
        history, related : tuple
            Records of this workload, and of others of its kind.
        """
        search = OpenSearch(self._process, session, timeout_s=timeout_s)
        search.open(workload, target, options)
        if related:
            search.transfer(related)
        return search.learn(history) if history else b""

    def propose(
        self,
        session: str,
        count: int,
        cost_model: bytes | None,
        timeout_s: float,
        lent: tuple[tuple[Workload, Record], ...] = (),
    ) -> tuple[Candidate, ...]:
        """Return new candidates of a search.

        Parameters
        ----------
        lent : tuple, optional
            The fastest records of other workloads of its kind.
        """
        search = OpenSearch(self._process, session, timeout_s=timeout_s)
        if lent:
            search.lend(lent)
        return search.propose(count, cost_model)

    def learn(self, session: str, records: tuple[Record, ...], timeout_s: float) -> bytes:
        """Give a search its results."""
        return OpenSearch(self._process, session, timeout_s=timeout_s).learn(records)

    def train(self, samples: tuple[bytes, ...], timeout_s: float) -> bytes:
        """Train the cost model of all searches."""
        return SearchClient(self._process, timeout_s=timeout_s).train(samples, 1)

    def close(self, session: str) -> None:
        """End a search."""
        OpenSearch(self._process, session).close()
