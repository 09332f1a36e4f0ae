"""Which tasks of a model have a record, and what that promises."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from orchestrator.campaigns.extraction import ExtractedModel
from orchestrator.storage import Storage, records_key
from workers.messages import Candidate, Record

__all__ = ["Coverage", "TaskCoverage", "coverage_of"]


@dataclass(frozen=True)
class TaskCoverage:
    """One task of a model and its best record.

    Attributes
    ----------
    trials, failures : int
        Stored for the workload on this device class.
    best_s : float or None
        Seconds of one call; None where the task is untuned.
    recorded_at : datetime or None
        When the best was measured.
    """

    name: str
    workload_hash: str
    weight: int
    flops: float
    trials: int
    failures: int
    best_s: float | None
    trial_id: int | None
    recorded_at: datetime | None

    @property
    def expected_s(self) -> float | None:
        """Seconds of all calls of this task in one inference."""
        return None if self.best_s is None else self.best_s * self.weight


@dataclass(frozen=True)
class Coverage:
    """All tasks of a model on one device class, and the best record of each, by the workload's hash."""

    device_class: str
    tasks: tuple[TaskCoverage, ...]
    records: dict[str, Record]
    key: str

    @property
    def tuned(self) -> int:
        """Tasks that have a record."""
        return sum(task.best_s is not None for task in self.tasks)

    @property
    def missing(self) -> tuple[TaskCoverage, ...]:
        """Tasks that have none."""
        return tuple(task for task in self.tasks if task.best_s is None)

    @property
    def expected_s(self) -> float:
        """Seconds of the tuned tasks in one inference."""
        return sum(task.expected_s or 0.0 for task in self.tasks)


def coverage_of(store: Storage, model: ExtractedModel, engine_version: str) -> Coverage:
    """Look up the best record of each task of a model, on the model's device class and no other."""
    rows = store.best_for_model(model.id, model.device.device_class, engine_version)
    tasks, records, used = [], {}, []
    for row in rows:
        best = row.best
        if best is not None:
            assert best.trace is not None
            records[row.workload_hash] = Record(Candidate(best.candidate, best.trace), best.times)
            used.append(best.id)
        tasks.append(
            TaskCoverage(
                name=row.name,
                workload_hash=row.workload_hash,
                weight=row.weight,
                flops=row.flops,
                trials=row.trials,
                failures=row.failures,
                best_s=best.cost_s if best else None,
                trial_id=best.id if best else None,
                recorded_at=best.created_at if best else None,
            )
        )
    return Coverage(model.device.device_class, tuple(tasks), records, records_key(used))
