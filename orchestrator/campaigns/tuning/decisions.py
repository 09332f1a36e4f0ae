"""Decisions between two layouts, taken from the trials that are stored, and stored with what they change."""

from __future__ import annotations

from orchestrator.campaigns.planning.plan import CampaignPlan
from orchestrator.campaigns.planning.tryouts import Tryout
from orchestrator.campaigns.spec import CampaignSpec
from orchestrator.storage import LayoutDecisionRow, NewLayoutDecision, Storage
from orchestrator.storage.rows import CampaignTaskRow, TaskChange

__all__ = ["decide", "follow"]

_OUT_OF_TIME = "the time for trying both out was over"


def decide(
    store: Storage,
    campaign_id: int,
    owner: str,
    spec: CampaignSpec,
    plan: CampaignPlan,
    tryout: Tryout,
    *,
    in_time: bool,
) -> tuple[LayoutDecisionRow, CampaignPlan]:
    """Decide which layout a model has, and return the plan with it.

    What holds is what the store says: another campaign may have decided meanwhile.

    Raises
    ------
    LeaseLostError
        Another coordinator has the campaign.
    """
    device_class = tryout.key[1]
    times = store.layouts.first_times(tryout.needed, device_class, tryout.tried)
    missing = sorted(_names(tryout, tryout.needed - times.keys()))
    over = _OUT_OF_TIME
    if in_time and missing:
        over = f"no trial of {', '.join(missing[:3])} succeeded"
    return _settled(store, campaign_id, owner, spec, plan, tryout, tryout.verdict(times, over))


def follow(store: Storage, campaign_id: int, owner: str, spec: CampaignSpec, plan: CampaignPlan) -> None:
    """Have a campaign's tasks follow what others decided since they were stored."""
    own = {(row.model_id, row.device_class) for row in store.layouts.of_campaign(campaign_id)}
    for tryout in plan.tryouts:
        if tryout.known is not None and tryout.key not in own:
            _settled(store, campaign_id, owner, spec, plan, tryout, tryout.known)


def _settled(
    store: Storage,
    campaign_id: int,
    owner: str,
    spec: CampaignSpec,
    plan: CampaignPlan,
    tryout: Tryout,
    decision: NewLayoutDecision,
) -> tuple[LayoutDecisionRow, CampaignPlan]:
    rows = store.tasks.of_campaign(campaign_id)
    plans = {layout: plan.as_decided(tryout.key, layout, spec) for layout in tryout.layouts}
    changes = {
        layout: _changes(rows, then, f"its layout was not chosen, but {layout}")
        for layout, then in plans.items()
    }
    row = store.layouts.decide(campaign_id, decision, changes, owner=owner)
    return row, plans[row.chosen]


def _changes(rows: list[CampaignTaskRow], plan: CampaignPlan, closed: str) -> list[TaskChange]:
    planned = {(one.task.workload_hash, one.task.device_class): one for one in plan.tasks}
    changes = []
    for row in rows:
        one = planned.get((row.workload_hash, row.device_class))
        if one is None:
            changes.append(TaskChange(row.id, 0, row.budget, closed))
        else:
            changes.append(TaskChange(row.id, one.task.weight, one.budget))
    return changes


def _names(tryout: Tryout, workloads: set[str]) -> set[str]:
    return {
        f"{task.name} in {model.prepared.layout}"
        for model in (tryout.first, tryout.other)
        for task in model.tasks
        if task.workload.hash in workloads
    }
