"""``tune --dry-run``: what a campaign would measure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table

from orchestrator.cli.campaigns.documents import listed_part
from orchestrator.cli.campaigns.snapshot import NO_LIMIT
from orchestrator.cli.kit.grid import Grid
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.text import amount, device_text
from orchestrator.cli.models.tasks import mflop

if TYPE_CHECKING:
    from orchestrator.campaigns.planning.plan import CampaignPlan
    from orchestrator.campaigns.spec import CampaignSpec

__all__ = ["plan_document", "plan_table", "show_plan"]


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
        "trials_missing": listed_part(plan.missing),
        "trials_stored": plan.stored,
        "tasks": [
            {
                "name": planned.task.name,
                "workload_hash": planned.task.workload_hash,
                "device_class": planned.task.device_class,
                "weight": planned.task.weight,
                "flops": planned.task.flops,
                "budget": listed_part(planned.budget),
                "stored": planned.standing.stored,
                "missing": None if listed_part(planned.budget) is None else planned.missing,
                "satisfied": planned.satisfied or None,
            }
            for planned in plan.tasks
        ],
    }


def plan_table(plan: CampaignPlan) -> Table:
    """What a campaign would measure for each task."""
    several = len(plan.devices) > 1
    right = ("calls", "MFLOP", "budget", "stored", "to measure")
    device = ("device",) if several else ()
    grid = Grid("task", *right, "note", *device, right=right, flexible=("task", "note", "device"))
    for planned in plan.tasks:
        task = planned.task
        unlimited = planned.budget >= NO_LIMIT
        cells = [
            task.name,
            str(task.weight),
            mflop(task.flops),
            "no limit" if unlimited else amount(planned.budget),
            amount(planned.standing.stored),
            "no limit" if unlimited and planned.missing else amount(planned.missing),
            planned.satisfied if planned.budget else "the budget is too small for it",
        ]
        grid.add(*cells, *([device_text(task.device_class)] if several else []))
    return grid.table()


def show_plan(session: Session, spec: CampaignSpec) -> int:
    from orchestrator.campaigns.planning.plan import make_plan

    pass
    pass
    from orchestrator.cli.kit.text import plural
    from orchestrator.toolbox import Toolbox

    with session.storage() as store, Toolbox(spec.engine) as tools, session.steps() as steps:
        plan = make_plan(store, tools, spec, steps)
    session.emit({**plan_document(plan), "database": session.database}, kind="tune-plan")
    tasks = plural(len(plan.tasks), "task")
    if spec.time_s is not None and spec.trials is None and spec.trials_per_task is None:
        session.show(
            plan_table(plan),
            f"\n{tasks}, as many trials as the time allows; {plan.stored} are stored already",
        )
    else:
        session.show(
            plan_table(plan),
            f"\n{tasks}, {plural(plan.missing, 'trial')} to measure, {plan.stored} are stored already",
        )
    return 0
