"""Searches of several tasks, each in a process of its own."""

from __future__ import annotations

from workers.actors.base import EngineActor
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
        self._process.open(session, "open_search", workload, target, options, timeout_s=timeout_s)
        if related:
            self._process.use(session, "transfer", related, timeout_s=timeout_s)
        if not history:
            return b""
        samples: bytes = self._process.use(session, "learn", history, timeout_s=timeout_s)
        return samples

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
        if lent:
            self._process.use(session, "lend", lent, timeout_s=timeout_s)
        candidates: tuple[Candidate, ...] = self._process.use(
            session, "propose", count, cost_model, timeout_s=timeout_s
        )
        return candidates

    def learn(self, session: str, records: tuple[Record, ...], timeout_s: float) -> bytes:
        """Give a search its results."""
        samples: bytes = self._process.use(session, "learn", records, timeout_s=timeout_s)
        return samples

    def train(self, samples: tuple[bytes, ...], timeout_s: float) -> bytes:
        """Train the cost model of all searches."""
        model: bytes = self._process.call("train", samples, 1, timeout_s=timeout_s)
        return model

    def close(self, session: str) -> None:
        """End a search."""
        self._process.close(session)
