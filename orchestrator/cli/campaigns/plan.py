"""``tune --dry-run``: what a campaign would measure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table

from orchestrator.cli.kit.device_column import DeviceColumn
from orchestrator.cli.kit.grid import Grid
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.text import amount, mflop, plural
from orchestrator.documents.snapshot import NO_LIMIT, limit_or_none

if TYPE_CHECKING:
    from orchestrator.campaigns.planning.plan import CampaignPlan
    from orchestrator.campaigns.spec import CampaignSpec

__all__ = ["show_plan"]


def show_plan(session: Session, spec: CampaignSpec) -> int:
    """Plan a campaign without storing it, and write what it would measure."""
    from orchestrator.campaigns.planning.plan import make_plan

    with session.storage() as store, session.toolbox(spec.engine) as tools, session.steps() as steps:
        plan = make_plan(store, tools, spec, steps)
    session.emit({**_document(plan), "database": session.database}, kind="tune-plan")
    tasks = plural(len(plan.tasks), "task")
    if plan.missing is None:
        wanted = "as many trials as the time allows;"
    else:
        wanted = f"{plural(plan.missing, 'trial')} to measure,"
    session.show(_table(plan), f"\n{tasks}, {wanted} {plan.stored} are stored already")
    if plan.stale:
        session.show(
            f"{plural(plan.stale, 'trial')} more of another toolchain: the {spec.revalidate} fastest of each "
            "task are measured first"
        )
    for tryout in plan.undecided:
        session.show(
            f"{tryout.name}: the layouts {' and '.join(tryout.layouts)} are close; each is tried out, "
            f"{tryout.tried} trials of each task in which they differ, and the faster one gets the rest"
        )
    session.show(*plan.remarks)
    return 0


def _document(plan: CampaignPlan) -> dict[str, Any]:
    """What a campaign would measure."""
    tried = {tryout.key: tryout.layouts[1] for tryout in plan.undecided}
    return {
        "models": [
            {
                "name": model.prepared.name,
                "path": model.request.path,
                "device_class": model.device.device_class,
                "layout": model.prepared.layout,
                "tried_against": tried.get((model.id, model.device.device_class)),
                "tasks": len(model.tasks),
                "changes": list(model.prepared.changes),
            }
            for model in plan.models
        ],
        "trials_missing": plan.missing,
        "trials_stored": plan.stored,
        "trials_stale": plan.stale,
        "tasks": [
            {
                "name": planned.task.name,
                "workload_hash": planned.task.workload_hash,
                "device_class": planned.task.device_class,
                "weight": planned.task.weight,
                "flops": planned.task.flops,
                "budget": limit_or_none(planned.budget),
                "stored": planned.standing.stored,
                "stale": planned.standing.stale,
                "missing": None if limit_or_none(planned.budget) is None else planned.missing,
                "satisfied": planned.satisfied or None,
            }
            for planned in plan.tasks
        ],
    }


def _table(plan: CampaignPlan) -> Table:
    """What a campaign would measure for each task."""
    device = DeviceColumn(planned.task.device_class for planned in plan.tasks)
    right = ("calls", "MFLOP", "budget", "stored", "to measure")
    grid = Grid("task", *right, "note", *device.heading, right=right, flexible=("task", "note", "device"))
    for planned in plan.tasks:
        task = planned.task
        note = planned.satisfied if planned.budget else "the budget is too small for it"
        if not task.weight and not note:
            note = "to try its layout out"
        unlimited = planned.budget >= NO_LIMIT
        grid.add(
            task.name,
            str(task.weight),
            mflop(task.flops),
            "no limit" if unlimited else amount(planned.budget),
            amount(planned.standing.stored),
            "no limit" if unlimited and planned.missing else amount(planned.missing),
            note,
            *device.cell(task.device_class),
        )
    return grid.table()
