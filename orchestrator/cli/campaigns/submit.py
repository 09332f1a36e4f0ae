"""``submit``: leave a campaign in the database."""

from __future__ import annotations

from orchestrator.cli.campaigns.search_option import Search
from orchestrator.cli.campaigns.tune_options import (
    FullTiming,
    Loss,
    MinRepeat,
    Name,
    Number,
    PlanSize,
    Plateau,
    Priority,
    Repeat,
    Seed,
    Time,
    Timeout,
    Trials,
    TrialsPerTask,
    Tuner,
    campaign_spec,
)
from orchestrator.cli.kit import options
from orchestrator.cli.kit.session import Session

__all__ = ["submit"]


def submit(
    session: Session,
    models: options.Models,
    trials: Trials = None,
    trials_per_task: TrialsPerTask = None,
    time_limit: Time = None,
    plateau: Plateau = None,
    input_shape: options.InputShapes = None,
    target: options.Targets = None,
    device: options.Boards = None,
    tasks: options.TaskPattern = None,
    name: Name = None,
    priority: Priority = 0,
    seed: Seed = 1,
    engine: options.Engine = "metaschedule",
    number: Number = None,
    repeat: Repeat = None,
    min_repeat_ms: MinRepeat = None,
    timeout: Timeout = None,
    full_timing: FullTiming = False,
    tuner: Tuner = None,
    loss: Loss = None,
    plan_size: PlanSize = None,
    search: Search = None,
    layout: options.Layout = "auto",
    layout_tuning: options.LayoutTuning = "auto",
) -> None:
    """Leave a campaign to a coordinator.

    It waits in the database until a `tunefleet coordinator` on the same database takes it.
    """
    from orchestrator.cli.campaigns.documents import campaign_document

    spec = campaign_spec(
        models=models,
        shapes=input_shape,
        targets=target,
        devices=device,
        engine=engine,
        time_limit=time_limit,
        timeout=timeout,
        full_timing=full_timing,
        number=number,
        repeat=repeat,
        min_repeat_ms=min_repeat_ms,
        tuner=tuner,
        loss=loss,
        plan_size=plan_size,
        search=search,
        layout=layout,
        layout_tuning=layout_tuning,
        trials=trials,
        trials_per_task=trials_per_task,
        plateau=plateau,
        tasks=tasks,
        seed=seed,
    )
    with session.storage() as store:
        from orchestrator.campaigns.running.coordinator import submit as store_campaign

        row = store_campaign(store, spec, name=name, priority=priority)
    session.emit({"campaign": campaign_document(row), "database": session.database})
    session.show(f"campaign {row.id} ({row.name}) waits for a coordinator")
    session.say(f"to run it:    {session.command_line('coordinator', '--until-idle')}", style="dim")
    session.say(f"to follow it: {session.command_line('watch', str(row.id))}", style="dim")
