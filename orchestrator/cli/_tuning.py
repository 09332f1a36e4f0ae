"""Commands that tune: tune, submit, coordinator."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import _options as options
from orchestrator.cli._command import INTERRUPTED, command
from orchestrator.cli._follow import follow_campaign
from orchestrator.cli._requests import boards_of, model_requests, require_engine, spec_values
from orchestrator.cli._session import Session
from orchestrator.cli._tracker import chosen_tracker

if TYPE_CHECKING:
    from orchestrator.campaigns.spec import CampaignSpec

__all__ = ["register"]

_Trials = Annotated[
    int | None,
    typer.Option(
        "--trials",
        min=1,
        metavar="N",
        rich_help_panel=options.BUDGET,
        show_default=False,
        help="Trials in all, split over the tasks. Stored ones count.",
    ),
]
_TrialsPerTask = Annotated[
    int | None,
    typer.Option(
        "--trials-per-task",
        min=1,
        metavar="N",
        rich_help_panel=options.BUDGET,
        show_default=False,
        help="Trials for each task at most; 64, unless --trials or --time is given. Stored ones count.",
    ),
]
_Time = Annotated[
    str | None,
    typer.Option(
        "--time",
        metavar="TIME",
        rich_help_panel=options.BUDGET,
        show_default=False,
        help="Wall-clock time: 90s, 30m, 1h30m.",
    ),
]
_Plateau = Annotated[
    int | None,
    typer.Option(
        "--plateau",
        "--early-stopping",
        min=1,
        metavar="N",
        rich_help_panel=options.BUDGET,
        show_default=False,
        help="End a task when N trials in a row brought nothing better.",
    ),
]
_Name = Annotated[
    str | None,
    typer.Option(
        "--name", metavar="NAME", rich_help_panel=options.WHAT, show_default=False, help="Name the campaign."
    ),
]
_Seed = Annotated[
    int,
    typer.Option(
        "--seed",
        min=1,
        max=2**31 - 1,
        metavar="N",
        rich_help_panel=options.WHAT,
        help="Seed of the searches.",
    ),
]
_Priority = Annotated[
    int,
    typer.Option(
        "--priority",
        min=-1000,
        max=1000,
        metavar="N",
        rich_help_panel=options.WHAT,
        help="Campaigns of a higher one come first; see `tunefleet priority`.",
    ),
]
_Number = Annotated[
    int | None,
    typer.Option(
        "--number",
        min=1,
        metavar="N",
        rich_help_panel=options.HOW,
        show_default=False,
        help="Calls averaged into one time, at least; 3 if left out.",
    ),
]
_Repeat = Annotated[
    int | None,
    typer.Option(
        "--repeat",
        min=1,
        metavar="N",
        rich_help_panel=options.HOW,
        show_default=False,
        help="Times taken, whose median counts; 1 if left out.",
    ),
]
_MinRepeat = Annotated[
    int | None,
    typer.Option(
        "--min-repeat-ms",
        min=0,
        metavar="MS",
        rich_help_panel=options.HOW,
        show_default=False,
        help="Calls are added until one time takes this long; 100 if left out.",
    ),
]
_Timeout = Annotated[
    str | None,
    typer.Option(
        "--timeout",
        metavar="TIME",
        rich_help_panel=options.HOW,
        show_default=False,
        help="A measurement that takes longer is killed; 20s if left out.",
    ),
]
_FullTiming = Annotated[
    bool,
    typer.Option(
        "--full-timing",
        rich_help_panel=options.HOW,
        help="Time every candidate in full, also those that a first look finds far behind the best.",
    ),
]
_Tuner = Annotated[
    str | None,
    typer.Option(
        "--tuner",
        metavar="NAME",
        rich_help_panel=options.SEARCH,
        show_default=False,
        help="Of an engine that has several: xgb, ga, random; a wrong name is answered with the list.",
    ),
]
_Loss = Annotated[
    str | None,
    typer.Option(
        "--loss",
        metavar="NAME",
        rich_help_panel=options.SEARCH,
        show_default=False,
        help="Of such a tuner's cost model, such as reg or rank-binary.",
    ),
]
_PlanSize = Annotated[
    int | None,
    typer.Option(
        "--plan-size",
        min=1,
        metavar="N",
        rich_help_panel=options.SEARCH,
        show_default=False,
        help="Candidates such a tuner chooses at once, and results after which it learns; 32 if left out.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    panel = options.PANELS.TUNE
    command(
        app,
        "tune",
        panel=panel,
        examples=(
            "tune model.onnx --time 30m",
            "tune model.onnx --trials-per-task 32 --input-shape x:1,3,224,224",
            "tune a.onnx b.onnx --trials 2000 --plateau 128 --name both",
        ),
    )(tune)
    command(
        app,
        "submit",
        panel=panel,
        examples=("submit model.onnx --time 2h --name nightly --priority 5", "coordinator --until-idle"),
    )(submit)
    command(
        app,
        "coordinator",
        panel=panel,
        examples=("coordinator", "coordinator --at-once 2 --until-idle --json"),
    )(coordinator)


def _spec(
    *,
    models: Any,
    shapes: list[str] | None,
    targets: list[str] | None,
    devices: list[str] | None,
    engine: str,
    time_limit: str | None,
    timeout: str | None,
    number: int | None,
    repeat: int | None,
    min_repeat_ms: int | None,
    tuner: str | None,
    loss: str | None,
    plan_size: int | None,
    **others: Any,
) -> CampaignSpec:
    from orchestrator.campaigns.spec import CampaignSpec, parse_duration

    require_engine(engine)
    evaluator = spec_values(
        number=number,
        repeat=repeat,
        min_repeat_ms=min_repeat_ms,
        timeout_s=None if timeout is None else parse_duration(timeout),
    )
    values = spec_values(
        models=model_requests(models, shapes),
        targets=tuple(dict.fromkeys(targets)) if targets else None,
        boards=boards_of(devices, targets) or None,
        engine=engine,
        time_s=None if time_limit is None else parse_duration(time_limit),
        evaluator=evaluator or None,
        search=spec_values(tuner=tuner, loss=loss, plan_size=plan_size) or None,
        **others,
    )
    return CampaignSpec.of(values)


def tune(
    session: Session,
    models: options.Models,
    trials: _Trials = None,
    trials_per_task: _TrialsPerTask = None,
    time_limit: _Time = None,
    plateau: _Plateau = None,
    input_shape: options.InputShapes = None,
    target: options.Targets = None,
    device: options.Boards = None,
    tasks: options.TaskPattern = None,
    name: _Name = None,
    seed: _Seed = 1,
    engine: options.Engine = "metaschedule",
    number: _Number = None,
    repeat: _Repeat = None,
    min_repeat_ms: _MinRepeat = None,
    timeout: _Timeout = None,
    full_timing: _FullTiming = False,
    tuner: _Tuner = None,
    loss: _Loss = None,
    plan_size: _PlanSize = None,
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
    spec = _spec(
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
        layout=layout,
        layout_tuning=layout_tuning,
        trials=trials,
        trials_per_task=trials_per_task,
        plateau=plateau,
        tasks=tasks,
        seed=seed,
    )
    if dry_run:
        return _plan(session, spec)
    served = chosen_tracker(
        session, tracker, serve_tracker, ray_address, keys=tuple(spec.boards), engine=engine
    )
    with session.storage() as store, served as tracker:
        from orchestrator.campaigns.coordinator import FleetOptions
        from orchestrator.campaigns.coordinator import submit as store_campaign

        row = store_campaign(store, spec, name=name, hold=True)
        return follow_campaign(session, store, row, FleetOptions(ray_address, slots, tracker))


def submit(
    session: Session,
    models: options.Models,
    trials: _Trials = None,
    trials_per_task: _TrialsPerTask = None,
    time_limit: _Time = None,
    plateau: _Plateau = None,
    input_shape: options.InputShapes = None,
    target: options.Targets = None,
    device: options.Boards = None,
    tasks: options.TaskPattern = None,
    name: _Name = None,
    priority: _Priority = 0,
    seed: _Seed = 1,
    engine: options.Engine = "metaschedule",
    number: _Number = None,
    repeat: _Repeat = None,
    min_repeat_ms: _MinRepeat = None,
    timeout: _Timeout = None,
    full_timing: _FullTiming = False,
    tuner: _Tuner = None,
    loss: _Loss = None,
    plan_size: _PlanSize = None,
    layout: options.Layout = "auto",
    layout_tuning: options.LayoutTuning = "auto",
) -> None:
    """Leave a campaign to a coordinator.

    It waits in the database until a `tunefleet coordinator` on the same database takes it.
    """
    from orchestrator.cli._documents import campaign_document

    spec = _spec(
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
        layout=layout,
        layout_tuning=layout_tuning,
        trials=trials,
        trials_per_task=trials_per_task,
        plateau=plateau,
        tasks=tasks,
        seed=seed,
    )
    with session.storage() as store:
        from orchestrator.campaigns.coordinator import submit as store_campaign

        row = store_campaign(store, spec, name=name, priority=priority)
    session.emit({"campaign": campaign_document(row), "database": session.database})
    session.show(f"campaign {row.id} ({row.name}) waits for a coordinator")
    session.say(f"to run it:    {session.command_line('coordinator', '--until-idle')}", style="dim")
    session.say(f"to follow it: {session.command_line('watch', str(row.id))}", style="dim")


def coordinator(
    session: Session,
    until_idle: Annotated[
        bool,
        typer.Option(
            "--until-idle", help="End when no campaign waits any more.", rich_help_panel=options.WHERE
        ),
    ] = False,
    at_once: Annotated[
        int,
        typer.Option(
            "--at-once",
            min=1,
            metavar="N",
            rich_help_panel=options.WHERE,
            help="Campaigns run side by side, at most.",
        ),
    ] = 4,
    ray_address: options.RayAddress = None,
    slots: options.Slots = None,
    tracker: options.Tracker = None,
    serve_tracker: options.ServeTracker = None,
) -> int:
    """Run the campaigns that were submitted until stopped, several side by side.

    They share its devices and cores: those of the highest priority come first, and those of one priority
    share evenly. Several coordinators may run, on one database or many machines: each campaign is held by
    one at a time. With --json, the document is written at the end.
    """
    from orchestrator.campaigns.coordinator import FleetOptions, coordinate
    from orchestrator.cli._display import Log
    from orchestrator.cli._documents import listed_document
    from orchestrator.cli._snapshot import read_snapshot

    # Between campaigns nobody else minds it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    served = chosen_tracker(session, tracker, serve_tracker, ray_address)
    with session.storage() as store, served as tracker:
        interrupted = False
        with Log(store, session.say) as log:
            try:
                coordinate(
                    store,
                    fleet=FleetOptions(ray_address, slots, tracker),
                    listener=log,
                    until_idle=until_idle,
                    at_once=at_once,
                )
            except KeyboardInterrupt:
                interrupted = True
        rows = [listed_document(read_snapshot(store, campaign_id)) for campaign_id in sorted(log.seen)]
        session.emit({"campaigns": rows, "database": session.database, "interrupted": interrupted})
    return INTERRUPTED if interrupted else 0


def _plan(session: Session, spec: CampaignSpec) -> int:
    from orchestrator.campaigns.extraction import make_plan
    from orchestrator.cli._documents import plan_document
    from orchestrator.cli._tables import plan_table
    from orchestrator.cli._text import plural
    from orchestrator.fleet import Toolbox

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
