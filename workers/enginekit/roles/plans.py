"""Which records a model is compiled with."""

from __future__ import annotations

from typing import Protocol

from workers.messages import Candidate, PreparedModel, Record, RecordChoice, Workload

__all__ = ["EachBest", "Plans"]


class Plans(Protocol):
    """Chooses among the records of a model's tasks, for an engine where the best of each need not be best.

    Asked only where ``alternatives`` of the engine's Traits is more than one.
    """

    def transforms(
        self,
        model: PreparedModel,
        target: str,
        workloads: tuple[Workload, ...],
        history: dict[str, tuple[Record, ...]],
    ) -> tuple[tuple[Workload, Candidate], ...]:
        """Return what lies between the tasks, layout transforms say, whose time :meth:`plans` weighs as well.

        Each with the one way of doing it. They are measured and stored like any trial.
        """

    def plans(
        self,
        model: PreparedModel,
        target: str,
        workloads: tuple[Workload, ...],
        history: dict[str, tuple[Record, ...]],
        measured: dict[str, tuple[Record, ...]],
    ) -> tuple[RecordChoice, ...]:
        """Return the choices worth compiling, the most promising first; the last one applies no record.

        Parameters
        ----------
        history, measured : dict of str to tuple of Record
            Records of the tasks and of the :meth:`transforms`, by the hash of the workload.
        """


class EachBest:
    """Each task's fastest record, or none at all: for engines whose tasks don't depend on each other."""

    def transforms(
        self,
        model: PreparedModel,
        target: str,
        workloads: tuple[Workload, ...],
        history: dict[str, tuple[Record, ...]],
    ) -> tuple[tuple[Workload, Candidate], ...]:
        """Return nothing: no time besides those of the tasks counts."""
        del model, target, workloads, history
        return ()

    def plans(
        self,
        model: PreparedModel,
        target: str,
        workloads: tuple[Workload, ...],
        history: dict[str, tuple[Record, ...]],
        measured: dict[str, tuple[Record, ...]],
    ) -> tuple[RecordChoice, ...]:
        """Return each workload's best, and nothing applied."""
        del model, target, workloads, measured
        best = {key: records[0] for key, records in history.items() if records}
        return (RecordChoice("each task's best", best), RecordChoice("untuned"))
