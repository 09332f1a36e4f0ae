"""Which measurements a library was built from, for its label."""

from __future__ import annotations

from datetime import datetime, timezone

from orchestrator.builds.coverage import Coverage, TaskCoverage
from orchestrator.builds.label import MeasuredKernel
from orchestrator.storage import Storage, TrialRow
from workers.messages import RecordChoice

__all__ = ["measured_kernels"]

# So many of a workload's fastest are looked through for the one that was applied.
_LOOKED_THROUGH = 64


def measured_kernels(store: Storage, coverage: Coverage, plan: RecordChoice) -> tuple[MeasuredKernel, ...]:
    """Say of each record that a library was compiled with which measurement it is.

    Parameters
    ----------
    coverage : Coverage
        The tasks that the records are of.
    plan : RecordChoice
        What the library was compiled with.
    """
    tasks = {task.workload_hash: task for task in coverage.tasks}
    found = []
    for workload_hash, record in plan.applied:
        candidate = record.candidate.hash
        task = tasks.get(workload_hash)
        device_class = (task and task.borrowed_from) or coverage.device_class
        # The best nearly always is the one.
        trials = store.trials.best(workload_hash, device_class, 1)
        if all(trial.candidate != candidate for trial in trials):
            trials = store.trials.best(workload_hash, device_class, _LOOKED_THROUGH)
        found += [_kernel(trial, task) for trial in trials if trial.candidate == candidate]
    return tuple(found)


def _kernel(trial: TrialRow, task: TaskCoverage | None) -> MeasuredKernel:
    return MeasuredKernel(
        task=trial.workload_name if task is None else task.name,
        workload=trial.workload_hash,
        candidate=trial.candidate,
        trial=trial.id,
        times_s=trial.times,
        device_class=trial.device_class,
        device=trial.device,
        host=trial.host,
        measured_at=_instant(trial.measured_at or trial.created_at),
        versions=dict(trial.versions),
    )


def _instant(then: datetime) -> str:
    return then.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
