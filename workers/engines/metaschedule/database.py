"""The store's records as a database that TVM's own passes ask, for one target on one kind of device."""

from __future__ import annotations

import functools
import json
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NoReturn

from tvm.ir import IRModule
from tvm.ir.utils import derived_object
from tvm.s_tir import Schedule
from tvm.s_tir import meta_schedule as ms
from tvm.target import Target

from workers.engines.metaschedule._intrinsics import register_intrinsics
from workers.engines.metaschedule.protected import protected
from workers.engines.metaschedule.records import replayed, translated
from workers.engines.metaschedule.targets import parse_target, same_device
from workers.engines.metaschedule.workload import (
    FREE_LAYOUTS,
    canonical_module,
    canonical_names,
    load_module,
    only_function,
    plain_hash,
    workload_hash,
)
from workers.messages import Record, Workload

__all__ = ["RecordDatabase"]


@derived_object
class RecordDatabase(ms.database.PyDatabase):  # type: ignore[misc]
    """What is recorded for one target on one device class, for ``MetaScheduleApplyDatabase`` and the like.

    TVM's own databases hand out the fastest record of a workload whatever target is asked for (TVM #15549).
    This one has the records of one device class alone, and none for a query that names another target.
    Kernels are found by their canonical form, whatever model's names they carry, and their traces come in
    those names.

    Parameters
    ----------
    lookup : callable
        Takes the hash of a workload and the device class, and returns records of them, the fastest first:
        ``Storage.seeds.fastest`` does.
    target, device_class : Target or str, str
        As a :class:`~workers.messages.DeviceInfo` has them.
    tasks : iterable of Workload
        A model's, so that a kernel that doesn't say which of its arguments are constants, as stock TVM lowers
        it, is taken for the task that is the same but for this. They are what :meth:`get_all_tuning_records`
        and ``len`` go over as well, beside the workloads that were committed.

    Examples
    --------
    >>> with Storage.open() as store, Toolbox("metaschedule") as tools:
    ...     device = tools.resolve_target("auto")
    ...     database = RecordDatabase(store.seeds.fastest, device.target, device.device_class)
    ...     with database, tvm.target.Target(json.loads(device.target)):
    ...         module = relax.transform.MetaScheduleApplyDatabase()(module)
    """

    def __init__(
        self,
        lookup: Callable[[str, str], Sequence[Record]],
        target: Target | str,
        device_class: str,
        tasks: Iterable[Workload] = (),
    ) -> None:
        super().__init__()
        self._lookup, self._device_class = lookup, device_class
        self._target = parse_target(target) if isinstance(target, str) else target
        self._committed: dict[str, IRModule] = {}
        self._plain: dict[str, list[str]] = {}
        for task in tasks:
            module = load_module(task.module)
            self._committed[task.hash] = module
            self._plain.setdefault(plain_hash(module), []).append(task.hash)
        #: Hashes of the workloads :meth:`query_tuning_record` was asked for, and whether it had a record.
        self.asked: dict[str, bool] = {}
        # One lookup of TVM's comes as several calls with the same module.
        self._hash_of = functools.lru_cache(maxsize=16)(_hash_of)

    def has_workload(self, mod: IRModule) -> bool:
        """Say whether there is a record of a kernel, or it was committed."""
        return self._hash_of(mod) in self._committed or any(True for _ in self._records(mod))

    def commit_workload(self, mod: IRModule) -> ms.database.Workload:
        """Return the workload of a kernel; the store isn't changed."""
        self._committed.setdefault(self._hash_of(mod), mod)
        return ms.database.Workload(mod)

    def commit_tuning_record(self, record: ms.database.TuningRecord) -> NoReturn:
        """Refuse: a record without its device, its candidate's hash and its cause of failure is no trial.

        Raises
        ------
        RuntimeError
        """
        del record
        # TVM calls it, and makes a RuntimeError of any error that it doesn't know.
        raise RuntimeError(
            f"this database only reads what is recorded for {self._device_class}; trials are stored by who "
            "measures them: by a campaign, or by `tunefleet records import` from a JSONDatabase"
        )

    def get_top_k(self, workload: ms.database.Workload, top_k: int) -> list[ms.database.TuningRecord]:
        """Return the fastest records of a workload, up to `top_k`, the fastest first.

        Raises
        ------
        ValueError
            A trace does not apply to its workload.
        """
        # The median is what counts in builds; TVM's own databases sort by the mean.
        found = sorted(self._records(workload.mod), key=lambda record: statistics.median(record.times))
        found = found[:top_k]
        return [self._tuning_record(workload, record) for record in found]

    def get_all_tuning_records(self) -> list[ms.database.TuningRecord]:
        """Return the records of all tasks and committed workloads."""
        return [
            self._tuning_record(workload, record)
            for workload in map(ms.database.Workload, self._committed.values())
            for record in self._records(workload.mod)
        ]

    def query_tuning_record(
        self, mod: IRModule, target: Target | None, workload_name: str | None = None
    ) -> ms.database.TuningRecord | None:
        """Return the fastest record of a kernel; None for another target than this database's, or none."""
        del workload_name
        if target is None or not same_device(target, self._target):
            return None
        # As it came: TVM applies a trace in another way where the record's workload isn't equal to the
        # kernel.
        best = self.get_top_k(ms.database.Workload(mod), 1)
        self.asked[self._hash_of(mod)] = bool(best)
        return best[0] if best else None

    def query_schedule(
        self, mod: IRModule, target: Target | None, workload_name: str | None = None
    ) -> Schedule | None:
        """Return the fastest schedule of a kernel, which stays as it is; see :meth:`query_tuning_record`."""
        record = self.query_tuning_record(mod, target, workload_name)
        if record is None:
            return None
        schedule = Schedule(protected(mod))
        record.trace.apply_to_schedule(schedule, remove_postproc=False)
        return schedule

    def query_ir_module(
        self, mod: IRModule, target: Target | None, workload_name: str | None = None
    ) -> IRModule | None:
        """Return a kernel after its fastest schedule; see :meth:`query_tuning_record`."""
        schedule = self.query_schedule(mod, target, workload_name)
        return None if schedule is None else IRModule(schedule.mod.functions, attrs=mod.attrs)

    def __len__(self) -> int:
        """Count the records of all tasks and committed workloads."""
        return sum(1 for mod in self._committed.values() for _ in self._records(mod))

    def _records(self, mod: IRModule) -> Iterator[Record]:
        key = self._hash_of(mod)
        plain = FREE_LAYOUTS not in only_function(mod).attrs
        for name in dict.fromkeys([key, *(self._plain.get(key, ()) if plain else ())]):
            yield from (record for record in self._lookup(name, self._device_class) if record.times)

    def _tuning_record(self, workload: ms.database.Workload, record: Record) -> ms.database.TuningRecord:
        if "Tensorize" in record.candidate.trace:
            register_intrinsics(self._target)
        names = {new: old for old, new in canonical_names(only_function(workload.mod)).items()}
        try:
            schedule = replayed(workload.mod, translated(json.loads(record.candidate.trace), names))
        except Exception as error:  # a schedule primitive raises what it likes
            raise ValueError(
                f"candidate {record.candidate.hash[:12]} does not apply to workload "
                f"{self._hash_of(workload.mod)[:12]}: {error}"
            ) from error
        return ms.database.TuningRecord(
            schedule.trace,
            workload,
            list(record.times),
            self._target,
            ms.arg_info.ArgInfo.from_entry_func(schedule.mod, remove_preproc=True),
        )


def _hash_of(mod: IRModule) -> str:
    return workload_hash(canonical_module(only_function(mod)))
