"""What a campaign can be told, for ``tune`` and ``submit`` alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.campaigns.search_option import search_settings
from orchestrator.cli.kit import options
from orchestrator.cli.kit.arguments import boards_of, model_requests, require_engine, spec_values

if TYPE_CHECKING:
    from orchestrator.campaigns.spec import CampaignSpec

__all__ = [
    "FullTiming",
    "Loss",
    "MinRepeat",
    "Name",
    "Number",
    "PlanSize",
    "Plateau",
    "Priority",
    "Repeat",
    "Seed",
    "Time",
    "Timeout",
    "Trials",
    "TrialsPerTask",
    "Tuner",
    "campaign_spec",
]

Trials = Annotated[
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
TrialsPerTask = Annotated[
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
Time = Annotated[
    str | None,
    typer.Option(
        "--time",
        metavar="TIME",
        rich_help_panel=options.BUDGET,
        show_default=False,
        help="Wall-clock time: 90s, 30m, 1h30m.",
    ),
]
Plateau = Annotated[
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
Name = Annotated[
    str | None,
    typer.Option(
        "--name", metavar="NAME", rich_help_panel=options.WHAT, show_default=False, help="Name the campaign."
    ),
]
Seed = Annotated[
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
Priority = Annotated[
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
Number = Annotated[
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
Repeat = Annotated[
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
MinRepeat = Annotated[
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
Timeout = Annotated[
    str | None,
    typer.Option(
        "--timeout",
        metavar="TIME",
        rich_help_panel=options.HOW,
        show_default=False,
        help="A measurement that takes longer is killed; 20s if left out.",
    ),
]
FullTiming = Annotated[
    bool,
    typer.Option(
        "--full-timing",
        rich_help_panel=options.HOW,
        help="Time every candidate in full, also those that a first look finds far behind the best.",
    ),
]
Tuner = Annotated[
    str | None,
    typer.Option(
        "--tuner",
        metavar="NAME",
        rich_help_panel=options.SEARCH,
        show_default=False,
        help="Of an engine that has several: xgb, ga, random; a wrong name is answered with the list.",
    ),
]
Loss = Annotated[
    str | None,
    typer.Option(
        "--loss",
        metavar="NAME",
        rich_help_panel=options.SEARCH,
        show_default=False,
        help="Of such a tuner's cost model, such as reg or rank-binary.",
    ),
]
PlanSize = Annotated[
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


def campaign_spec(
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
    search: list[str] | None,
    **others: Any,
) -> CampaignSpec:
    from orchestrator.campaigns.spec import CampaignSpec
    from orchestrator.cli.kit.parsing import parse_duration

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
        search=spec_values(tuner=tuner, loss=loss, plan_size=plan_size, settings=search_settings(search))
        or None,
        **others,
    )
    return CampaignSpec.of(values)
