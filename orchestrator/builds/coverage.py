"""Which tasks of a model have a record, and what that promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestrator.errors import NotFoundError, UsageError
from orchestrator.models.extraction import ExtractedModel
from orchestrator.storage import Storage, TrialRow, records_key
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
    borrowed_from : str
        The device class that the record is of, where it is another than the model's; `best_s` is a time
        there. Empty otherwise.
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
    borrowed_from: str = ""

    @property
    def expected_s(self) -> float | None:
        """Seconds of all calls of this task in one inference; None where no time here is known."""
        return None if self.best_s is None or self.borrowed_from else self.best_s * self.weight


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
    def borrowed(self) -> int:
        """Those of them whose record is another device class's."""
        return sum(bool(task.borrowed_from) for task in self.tasks)

    @property
    def missing(self) -> tuple[TaskCoverage, ...]:
        """Tasks that have none."""
        return tuple(task for task in self.tasks if task.best_s is None)

    @property
    def expected_s(self) -> float:
        """Seconds of the tuned tasks in one inference."""
        return sum(task.expected_s or 0.0 for task in self.tasks)


def coverage_of(store: Storage, model: ExtractedModel, allowed: Sequence[str] = ()) -> Coverage:
    """Look up the best record of each task of a model, on the model's device class.

    Parameters
    ----------
    allowed : sequence of str, optional
        Other device classes, the first choice first, from which the record of a task is borrowed that has
        none on its own. Nothing says that it is a good one here, or that it can be compiled.

    Raises
    ------
    NotFoundError
        An allowed device class isn't stored.
    UsageError
        It is another engine's.
    """
    own = model.device.device_class
    _require_same_engine(store, own, allowed)
    rows = store.trials.best_for_model(model.id, own, model.engine_version)
    tasks, records, used = [], {}, []
    for row in rows:
        best = row.best or _borrowed(store, row.workload_hash, allowed)
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
                borrowed_from=best.device_class if best and best.device_class != own else "",
            )
        )
    return Coverage(own, tuple(tasks), records, records_key(used))


def _borrowed(store: Storage, workload: str, allowed: Sequence[str]) -> TrialRow | None:
    found = (trial for name in allowed for trial in store.trials.best(workload, name, 1))
    return next(found, None)


def _require_same_engine(store: Storage, own: str, allowed: Sequence[str]) -> None:
    if not allowed:
        return
    known = {row.name: row.engine for row in store.device_classes.all()}
    for name in allowed:
        if name not in known:
            raise NotFoundError(f"no device class {name} is stored; there are: {', '.join(known) or 'none'}")
        if known[name] != known[own]:
            raise UsageError(
                f"device class {name} is one of the {known[name]} engine: the {known[own]} engine can't use "
                "its records"
            )
