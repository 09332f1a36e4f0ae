"""``tune``: a campaign that is run here, and followed to its end."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.campaigns.follow import follow_campaign
from orchestrator.cli.campaigns.plan import show_plan
from orchestrator.cli.campaigns.search_option import Search
from orchestrator.cli.campaigns.tracker import chosen_tracker
from orchestrator.cli.campaigns.tune_options import (
    FullTiming,
    Loss,
    MinRepeat,
    Name,
    Number,
    PlanSize,
    Plateau,
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

__all__ = ["tune"]


def tune(
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
    ray_address: options.RayAddress = None,
    slots: options.Slots = None,
    tracker: options.Tracker = None,
    serve_tracker: options.ServeTracker = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be measured.", rich_help_panel=options.WHAT)
    ] = False,
) -> int:
    """Tune models on this machine, and follow it to the end.

    Every trial is stored as soon as it is measured, and stored trials count toward the budget: Ctrl-C, a
    crash or a second run lose and repeat nothing. At the end the tuned models are timed beside the untuned
    ones and onnxruntime, and their outputs compared.
    """
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
    if dry_run:
        return show_plan(session, spec)
    served = chosen_tracker(
        session, tracker, serve_tracker, ray_address, keys=tuple(spec.boards), engine=engine
    )
    with session.storage() as store, served as tracker:
        from orchestrator.campaigns.running.coordinator import submit as store_campaign
        from orchestrator.fleet.options import FleetOptions

        row = store_campaign(store, spec, name=name, hold=True)
        return follow_campaign(session, store, row, FleetOptions(ray_address, slots, tracker))
