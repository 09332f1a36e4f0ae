"""Two campaigns beside each other, and as a document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.documents.gate import campaigns_gate_document
from orchestrator.documents.ratios import quotient
from orchestrator.documents.snapshot import Snapshot, limit_or_none, read_snapshot
from orchestrator.documents.text import instant
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.storage import Storage, TaskComparisonRow, TaskOfCampaign, VerificationRow

__all__ = ["Comparison", "change", "comparison_document", "read_comparison", "tuned_s"]


@dataclass(frozen=True)
class Comparison:
    """Two campaigns, their tasks beside each other, and their models as each left them."""

    first: Snapshot
    second: Snapshot
    tasks: tuple[TaskComparisonRow, ...]
    first_verified: tuple[VerificationRow, ...]
    second_verified: tuple[VerificationRow, ...]

    @property
    def common(self) -> list[tuple[TaskComparisonRow, TaskOfCampaign, TaskOfCampaign]]:
        """Tasks of both, those first whose change weighs most in a run."""
        both = [
            (row, row.first, row.second)
            for row in self.tasks
            if row.first is not None and row.second is not None
        ]
        return sorted(both, key=lambda task: -abs(change(task[1], task[2])))

    def sums(self) -> tuple[float, float] | None:
        """Return what the tasks that have a time in both add up to in a run of the second's models."""
        timed = [
            (after.weight * before.best_s, after.weight * after.best_s)
            for _, before, after in self.common
            if before.best_s is not None and after.best_s is not None
        ]
        return (sum(a for a, _ in timed), sum(b for _, b in timed)) if timed else None

    def models(self) -> list[tuple[str, str, VerificationRow | None, VerificationRow | None]]:
        """Return name and device class of each compared model, as each campaign left it."""
        names = {
            model.model_id: name
            for side in (self.first, self.second)
            for model, name in zip(side.models, side.model_names, strict=True)
        }
        before = {(row.model_id, row.device_class): row for row in self.first_verified}
        after = {(row.model_id, row.device_class): row for row in self.second_verified}
        return [
            (names[key[0]], key[1], before.get(key), after.get(key))
            for key in dict.fromkeys([*after, *before])
        ]


def change(before: TaskOfCampaign, after: TaskOfCampaign) -> float:
    if before.best_s is None or after.best_s is None:
        return 0.0
    return after.weight * (before.best_s - after.best_s)


def read_comparison(store: Storage, first: int | str, second: int | str) -> Comparison:
    """Read two campaigns by their numbers or names.

    Raises
    ------
    NotFoundError
    UsageError
        They are one.
    """
    sides = (read_snapshot(store, first), read_snapshot(store, second))
    ids = [side.campaign.id for side in sides]
    if ids[0] == ids[1]:
        raise UsageError(f"both are campaign {ids[0]}; name two")
    return Comparison(
        *sides,
        tuple(store.answers.compare(ids[0], ids[1])),
        tuple(store.verifications.after_campaign(ids[0])),
        tuple(store.verifications.after_campaign(ids[1])),
    )


def tuned_s(row: VerificationRow | None) -> float | None:
    return None if row is None else row.tuned_s


def comparison_document(comparison: Comparison, allowed: float | None = None) -> dict[str, Any]:
    """What changed between two campaigns.

    Parameters
    ----------
    allowed : float or None
        With what ``--fail-if-slower`` adds: the part of a model's earlier time that doesn't count as slower.
    """
    models = comparison.models()
    sums = comparison.sums()
    common = comparison.common
    return {
        "campaigns": [_campaign_facts(side) for side in (comparison.first, comparison.second)],
        "tasks_common": len(common),
        "tasks_better": sum(change(before, after) > 0 for _, before, after in common),
        "expected_before_s": sums[0] if sums else None,
        "expected_after_s": sums[1] if sums else None,
        "speedup": quotient(*sums) if sums else None,
        "tasks": [
            {
                "name": row.name,
                "workload_hash": row.workload_hash,
                "device_class": row.device_class,
                "flops": row.flops,
                "first": _side(row.first),
                "second": _side(row.second),
                "speedup": quotient(_best_s(row.first), _best_s(row.second)),
            }
            for row in [*(row for row, *_ in common), *comparison.tasks[len(common) :]]
        ],
        "models": [
            {
                "model": name,
                "device_class": device_class,
                "first": _verified(before),
                "second": _verified(after),
                "speedup": quotient(tuned_s(before), tuned_s(after)),
            }
            for name, device_class, before, after in models
        ],
        "gate": None if allowed is None else campaigns_gate_document(models, allowed),
    }


def _campaign_facts(side: Snapshot) -> dict[str, Any]:
    return {
        "id": side.campaign.id,
        "name": side.campaign.name,
        "engine": side.campaign.engine,
        "state": side.campaign.state.value,
        "models": side.model_names,
        "created_at": instant(side.campaign.created_at),
        "finished_at": instant(side.campaign.finished_at),
        "trials_measured": side.measured,
        "trials_failed": side.failures,
        "trials_saved": side.saved,
    }


def _side(task: TaskOfCampaign | None) -> dict[str, Any] | None:
    if task is None:
        return None
    return {**vars(task), "budget": limit_or_none(task.budget)}


def _best_s(task: TaskOfCampaign | None) -> float | None:
    return None if task is None else task.best_s


def _verified(row: VerificationRow | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {
        "untuned_s": row.untuned_s,
        "tuned_s": row.tuned_s,
        "reference_s": row.reference_s,
        "outputs_agree": row.details.get("agree"),
        "campaign_id": row.campaign_id,
        "created_at": instant(row.created_at),
    }
