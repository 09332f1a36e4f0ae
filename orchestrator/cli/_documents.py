"""The JSON documents' parts; documented in ``docs/json.md``, field by field.

Times are seconds, in fields whose names end in ``_s``; instants are ISO 8601 in UTC. A field is never left
out: what is not known is null. Fields may be added to a version of a schema; one that goes or changes makes a
new version.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.cli._snapshot import NO_LIMIT
from orchestrator.cli._text import gflops, instant

if TYPE_CHECKING:
    from orchestrator.builds import BenchReport, BuildReport, Coverage, RunReport
    from orchestrator.campaigns.extraction import CampaignPlan, ExtractedModel
    from orchestrator.cli._snapshot import Snapshot
    from orchestrator.doctor import Check
    from orchestrator.exchange import ExportReport, ImportReport
    from orchestrator.storage import (
        CampaignModelRow,
        CampaignRow,
        CampaignTaskRow,
        ModelRow,
        TrialRow,
        VerificationRow,
    )
    from workers.environments import EngineEnvironment

__all__ = [
    "bench_document",
    "build_document",
    "campaign_document",
    "check_document",
    "coverage_documents",
    "details_document",
    "environment_document",
    "export_document",
    "import_document",
    "listed_document",
    "plan_document",
    "run_document",
    "tasks_document",
    "trial_document",
]


def campaign_document(row: CampaignRow) -> dict[str, Any]:
    """A campaign's own facts."""
    return {
        "id": row.id,
        "name": row.name,
        "engine": row.engine,
        "state": row.state.value,
        "request": row.request.value if row.request else None,
        "message": row.message,
        "seed": row.seed,
        "created_at": instant(row.created_at),
        "started_at": instant(row.started_at),
        "finished_at": instant(row.finished_at),
        "active_s": row.active_s,
        "priority": row.priority,
        "held": row.held,
        "lease_owner": row.lease_owner,
        "spec": row.spec,
    }


def progress_document(snapshot: Snapshot) -> dict[str, Any]:
    """How far a campaign is."""
    return {
        "tasks": len(snapshot.tasks),
        "tasks_with_time": snapshot.timed,
        "tasks_open": snapshot.open,
        "trials_stored": snapshot.done,
        "trials_budget": snapshot.total,
        "trials_measured": snapshot.measured,
        "trials_failed": snapshot.failures,
        "trials_saved": snapshot.saved,
        "expected_s": snapshot.expected_s,
    }


def listed_document(snapshot: Snapshot) -> dict[str, Any]:
    """A campaign in a list: its facts, its models' paths, its progress."""
    return {
        **campaign_document(snapshot.campaign),
        "models": [model.path for model in snapshot.models],
        "progress": progress_document(snapshot),
    }


def details_document(
    snapshot: Snapshot,
    prepared: Sequence[ModelRow | None],
    verifications: Sequence[tuple[CampaignModelRow, VerificationRow]],
) -> dict[str, Any]:
    """All there is to know about a campaign, its trials apart."""
    return {
        "campaign": campaign_document(snapshot.campaign),
        "progress": progress_document(snapshot),
        "models": [
            {
                "path": model.path,
                "name": model.model_name,
                "model_id": model.model_id,
                "shapes": {name: list(shape) for name, shape in model.shapes.items()},
                "changes": list(row.changes) if row else [],
            }
            for model, row in zip(snapshot.models, prepared, strict=True)
        ],
        "tasks": [_campaign_task(task) for task in snapshot.tasks],
        "verifications": [_verification(model, row) for model, row in verifications],
    }


def _campaign_task(row: CampaignTaskRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "workload_hash": row.workload_hash,
        "device_class": row.device_class,
        "weight": row.weight,
        "flops": row.flops,
        "state": row.state.value,
        "note": row.note,
        "budget": _limit(row.budget),
        "stored_before": row.stored_before,
        "stored": row.stored,
        "stored_failures": row.stored_failures,
        "measured": row.measured,
        "measured_failures": row.measured_failures,
        "best_s": row.best_s,
        "best_trial_id": row.best_trial_id,
        "best_at": instant(row.best_at),
        "gflops": gflops(row.flops, row.best_s),
    }


def _verification(model: CampaignModelRow, row: VerificationRow) -> dict[str, Any]:
    return {
        "model": model.model_name,
        "path": model.path,
        "device_class": row.device_class,
        "untuned_s": row.untuned_s,
        "tuned_s": row.tuned_s,
        "reference_s": row.reference_s,
        "max_abs": _finite(row.max_abs),
        "max_rel": _finite(row.max_rel),
        "outputs_agree": row.details.get("agree"),
        "tasks_total": row.tasks_total,
        "tasks_tuned": row.tasks_tuned,
        "created_at": instant(row.created_at),
    }


def trial_document(row: TrialRow, *, schedule: str | None = None, traced: bool = False) -> dict[str, Any]:
    """A trial; with its trace and schedule where `traced`."""
    document: dict[str, Any] = {
        "id": row.id,
        "task": row.workload_name,
        "workload_hash": row.workload_hash,
        "device_class": row.device_class,
        "candidate": row.candidate,
        "state": row.state.value,
        "cost_s": row.cost_s,
        "times_s": list(row.times),
        "times_again_s": list(row.again),
        "message": row.message,
        "campaign_id": row.campaign_id,
        "device": row.device,
        "host": row.host,
        "versions": row.versions,
        "build_s": row.build_s,
        "run_s": row.run_s,
        "created_at": instant(row.created_at),
    }
    if traced:
        document |= {"trace": row.trace, "schedule": schedule}
    return document


def coverage_documents(coverage: Coverage) -> list[dict[str, Any]]:
    """The tasks of a model and what is stored for each."""
    return [
        {
            "name": task.name,
            "workload_hash": task.workload_hash,
            "weight": task.weight,
            "flops": task.flops,
            "trials": task.trials,
            "failures": task.failures,
            "best_s": task.best_s,
            "expected_s": task.expected_s,
            "gflops": gflops(task.flops, task.best_s),
            "trial_id": task.trial_id,
            "recorded_at": instant(task.recorded_at),
            "borrowed_from": task.borrowed_from or None,
        }
        for task in coverage.tasks
    ]


def tasks_document(model: ExtractedModel, coverage: Coverage) -> dict[str, Any]:
    """A model's tasks on a device."""
    return {
        "model": model.prepared.name,
        "path": model.request.path,
        "changes": list(model.prepared.changes),
        "target": model.device.target,
        "device_class": model.device.device_class,
        "tasks_total": len(coverage.tasks),
        "tasks_tuned": coverage.tuned,
        "expected_s": coverage.expected_s,
        "tasks": coverage_documents(coverage),
    }


def plan_document(plan: CampaignPlan) -> dict[str, Any]:
    """What a campaign would measure."""
    return {
        "models": [
            {
                "name": model.prepared.name,
                "path": model.request.path,
                "device_class": model.device.device_class,
                "tasks": len(model.tasks),
                "changes": list(model.prepared.changes),
            }
            for model in plan.models
        ],
        "trials_missing": _limit(plan.missing),
        "trials_stored": plan.stored,
        "tasks": [
            {
                "name": planned.task.name,
                "workload_hash": planned.task.workload_hash,
                "device_class": planned.task.device_class,
                "weight": planned.task.weight,
                "flops": planned.task.flops,
                "budget": _limit(planned.budget),
                "stored": planned.standing.stored,
                "missing": None if _limit(planned.budget) is None else planned.missing,
                "satisfied": planned.satisfied or None,
            }
            for planned in plan.tasks
        ],
    }


def build_document(report: BuildReport) -> dict[str, Any]:
    """A library that was built."""
    return {
        "model": report.model,
        "library": str(report.library),
        "params": None if report.params is None else str(report.params),
        "target": report.target,
        "device_class": report.device_class,
        "changes": list(report.changes),
        "tasks_total": len(report.coverage.tasks),
        "tasks_tuned": report.coverage.tuned,
        "expected_s": report.coverage.expected_s,
        "plan": report.plan,
        "why": report.why,
        "plans_s": report.plans_s,
        "tasks": coverage_documents(report.coverage),
    }


def bench_document(report: BenchReport) -> dict[str, Any]:
    """A model's latencies, and how its outputs compare."""
    return {
        "model": report.model,
        "path": report.path,
        "device_class": report.device_class,
        "threads": report.threads,
        "tasks_total": report.tasks_total,
        "tasks_tuned": report.tasks_tuned,
        "untuned_s": report.untuned_s,
        "tuned_s": report.tuned_s,
        "reference_s": report.reference_s,
        "speedup": report.speedup,
        "reference_ratio": report.reference_ratio,
        "max_abs": _finite(report.max_abs),
        "max_rel": _finite(report.max_rel),
        "outputs_agree": report.outputs_agree,
        "disagreement": report.disagreement,
        "remark": report.remark,
        "plan": report.plan,
        "why": report.why,
        "remembered": report.remembered,
    }


def run_document(report: RunReport) -> dict[str, Any]:
    """A run of a library."""
    label, check = report.label, report.check
    return {
        "library": str(report.library),
        "model": label.model,
        "engine": label.engine,
        "target": label.target,
        "device_class": label.device_class,
        "tasks_total": label.tasks_total,
        "tasks_tuned": label.tasks_tuned,
        "plan": label.plan,
        "device": report.device,
        "threads": report.threads,
        "inputs": [
            {"name": s.name, "shape": list(s.shape), "dtype": s.dtype, "random": s.name not in report.given}
            for s in label.inputs
        ],
        "outputs": [
            {
                "name": o.name,
                "shape": list(o.shape),
                "dtype": o.dtype,
                "least": _finite(o.least),
                "mean": _finite(o.mean),
                "largest": _finite(o.largest),
            }
            for o in report.outputs
        ],
        "median_s": report.median_s,
        "times_s": list(report.times_s),
        "check": None
        if check is None
        else {
            "path": check.path,
            "same_model": check.same_model,
            "outputs_agree": check.agree,
            "disagreement": check.reason,
            "remark": check.remark,
            "max_abs": _finite(check.max_abs),
            "max_rel": _finite(check.max_rel),
        },
        "saved": None if report.saved is None else str(report.saved),
    }


def check_document(check: Check) -> dict[str, Any]:
    """One of the doctor's findings."""
    return {"name": check.name, "status": check.status.value, "found": check.found, "mend": check.mend}


def environment_document(environment: EngineEnvironment) -> dict[str, Any]:
    """What runs an engine on this machine."""
    return {
        "name": environment.engine,
        "ready": environment.ready,
        "own_environment": environment.own,
        "python": environment.python,
        "python_version": environment.python_version,
        "versions": environment.versions,
        "missing": environment.missing,
        "mend": environment.mend,
    }


def import_document(report: ImportReport) -> dict[str, Any]:
    """What became of the lines of a log."""
    return {
        "file": str(report.path),
        "device_class": report.device_class,
        "targets": list(report.targets),
        "dry_run": report.dry_run,
        "lines": report.lines,
        "lines_bad": [
            {"file": bad.file or None, "line": bad.number, "reason": bad.reason} for bad in report.bad
        ],
        "notes": [{"lines": count, "note": note} for note, count in report.notes.items()],
        "lines_repeated": report.repeated,
        "trials_imported": report.imported,
        "trials_failed": report.failed,
        "trials_stored_before": report.stored_before,
        "workloads": report.workloads,
    }


def export_document(report: ExportReport) -> dict[str, Any]:
    """A log that was written."""
    return {
        "file": str(report.path),
        "target": report.target,
        "device_class": report.device_class,
        "trials": report.trials,
        "trials_failed": report.failed,
        "workloads": report.workloads,
        "tasks_missing": list(report.missing),
        "left_out": list(report.left_out),
    }


def _limit(trials: int) -> int | None:
    """A number of trials; None where time is the only limit."""
    return trials if trials < NO_LIMIT else None


def _finite(number: float | None) -> float | None:
    """JSON has no infinity and no NaN, which a wrong output may bring about."""
    return number if number is not None and math.isfinite(number) else None
