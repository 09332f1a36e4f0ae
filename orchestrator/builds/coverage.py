"""Which tasks of a model have a record, and what that promises."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType

from orchestrator.errors import NotFoundError, UsageError
from orchestrator.models.extraction import ExtractedModel
from orchestrator.models.lookup import StoredModel
from orchestrator.storage import Inside, ModelTaskRow, Storage, TrialRow, expected_call_s, records_key
from workers.messages import Candidate, CompiledModel, Record

__all__ = ["Coverage", "SetAside", "TaskCoverage", "Unusable", "coverage_of"]

#: Why a record can't be used, by the hashes of its workload and its candidate.
Unusable = dict[tuple[str, str], str]
# So many of a task's records on one device class are looked at for one that can be used.
_TRIED = 16


@dataclass(frozen=True)
class SetAside:
    """A record that was the best of its task, and that a build could not use.

    Attributes
    ----------
    best_s : float
        Seconds of one call, as it was measured.
    reason : str
        What the engine said when it was to build that kernel alone.
    """

    trial_id: int
    candidate: str
    best_s: float
    reason: str


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
    set_aside : tuple of SetAside
        Faster records that were left out, for they can't be used.
    lent : bool
        It has no record, and the library has a schedule for it all the same, one that was good for another
        kernel or is a rule's.
    stale : bool
        Its record was measured with another toolchain than what the library is built with; `best_s` is a time
        of that.
    inside : Inside or None
        What a call takes inside the model; None where nobody looked.
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
    set_aside: tuple[SetAside, ...] = ()
    lent: bool = False
    stale: bool = False
    inside: Inside | None = None

    @property
    def expected_s(self) -> float | None:
        """Seconds of all calls of this task in one inference; None where no time here is known."""
        if self.best_s is None or self.borrowed_from:
            return None
        call_s = expected_call_s(self.inside, self.best_s)
        return None if call_s is None else call_s * self.weight


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
    def stale(self) -> int:
        """Tasks whose record was measured with another toolchain."""
        return sum(task.stale for task in self.tasks)

    @property
    def set_aside(self) -> int:
        """Records that were left out, for they can't be used."""
        return sum(len(task.set_aside) for task in self.tasks)

    @property
    def missing(self) -> tuple[TaskCoverage, ...]:
        """Tasks that have none."""
        return tuple(task for task in self.tasks if task.best_s is None)

    @property
    def lent(self) -> int:
        """Tasks without a record that have a schedule all the same."""
        return sum(task.lent for task in self.tasks)

    @property
    def expected_s(self) -> float:
        """Seconds of the tuned tasks in one inference."""
        return sum(task.expected_s or 0.0 for task in self.tasks)

    def as_compiled(self, compiled: CompiledModel) -> Coverage:
        """Return the same with what the engine lent to tasks without a record."""
        lent = set(compiled.lent)
        tasks = tuple(replace(task, lent=task.workload_hash in lent) for task in self.tasks)
        return replace(self, tasks=tasks)


def coverage_of(
    store: Storage,
    model: ExtractedModel | StoredModel,
    allowed: Sequence[str] = (),
    unusable: Mapping[tuple[str, str], str] = MappingProxyType({}),
    *,
    toolchain: str | None = None,
    stale: bool = True,
) -> Coverage:
    """Look up the best record of each task of a model, on the model's device class.

    Parameters
    ----------
    allowed : sequence of str, optional
        Other device classes, the first choice first, from which the record of a task is borrowed that has
        none on its own. Nothing says that it is a good one here, or that it can be compiled.
    unusable : mapping of (str, str) to str, optional
        Records to leave out, and why; the next best is taken in their place.
    toolchain : str, optional
        Key of what is built with; left out, what the device class is measured with.
    stale : bool, optional
        Take a record of another toolchain where a task has none of this.

    Raises
    ------
    NotFoundError
        An allowed device class isn't stored.
    UsageError
        It is another engine's.
    """
    own = model.device.device_class
    _require_same_engine(store, own, allowed)
    rows = store.trials.best_for_model(model.id, own, model.engine_version, toolchain=toolchain)
    fastest_first = functools.partial(_fastest_first, store, toolchain=toolchain, stale=stale)
    insides = store.insides.of_model(model.id, own)
    tasks, records, used = [], {}, []
    for row in rows:
        aside: list[SetAside] = []
        best = None
        for found in fastest_first(row, own, allowed):
            reason = unusable.get((row.workload_hash, found.candidate))
            if reason is None:
                best = found
                break
            assert found.cost_s is not None
            aside.append(SetAside(found.id, found.candidate, found.cost_s, reason))
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
                set_aside=tuple(aside),
                stale=best is not None and best.stale,
                inside=insides.get(row.workload_hash),
            )
        )
    return Coverage(own, tuple(tasks), records, records_key(used, toolchain or ""))


def _fastest_first(
    store: Storage,
    row: ModelTaskRow,
    own: str,
    allowed: Sequence[str],
    *,
    toolchain: str | None,
    stale: bool,
) -> Iterator[TrialRow]:
    """Go over the records of a task on its own device class, then over what may be borrowed."""
    if row.best is not None and (stale or not row.best.stale):
        yield row.best
        # Asked for only where that one can't be used.
        yield from store.trials.best(row.workload_hash, own, _TRIED, toolchain=toolchain, stale=stale)[1:]
    for name in allowed:
        yield from store.trials.best(row.workload_hash, name, _TRIED, stale=stale)


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
