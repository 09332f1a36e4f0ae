"""What a campaign can be told, for ``tune`` and ``submit`` alike.

Another option is another field of :class:`TuneOptions`, and a word on it in :meth:`TuneOptions.spec`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.campaigns.search_option import Search, search_settings
from orchestrator.cli.kit import options
from orchestrator.cli.kit.aim import Aim
from orchestrator.cli.kit.arguments import boards_of, model_requests, require_engine, spec_values
from orchestrator.cli.kit.conversion_options import ConversionOptions
from orchestrator.cli.kit.parsing import parse_duration, parse_limit

if TYPE_CHECKING:
    from orchestrator.campaigns.spec import CampaignSpec
    from orchestrator.cli.kit.session import Session

__all__ = ["TuneOptions"]

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
_Until = Annotated[
    str | None,
    typer.Option(
        "--until",
        metavar="LATENCY",
        rich_help_panel=options.BUDGET,
        show_default=False,
        help="End when one inference is estimated to take no longer: 5ms, 800us, or onnxruntime's time.",
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
_Revalidate = Annotated[
    int | None,
    typer.Option(
        "--revalidate",
        min=0,
        metavar="N",
        rich_help_panel=options.HOW,
        show_default=False,
        help="The N fastest records of another toolchain of each task are measured first; 3 if left out.",
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
_VerifyCandidates = Annotated[
    bool,
    typer.Option(
        "--verify-candidates",
        rich_help_panel=options.HOW,
        help="Compare what each candidate computes with its kernel without a schedule before it is timed; "
        "one that differs is a wrong_output. Builds take two to three times as long.",
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


@dataclass(frozen=True)
class TuneOptions:
    """Options that say what is tuned, how it is measured and searched, and when that is enough.

    Their order here is their order in the help.
    """

    models: options.Models
    conversion: ConversionOptions
    trials: _Trials = None
    trials_per_task: _TrialsPerTask = None
    time_limit: _Time = None
    until: _Until = None
    plateau: _Plateau = None
    input_shape: options.InputShapes = None
    target: options.Targets = None
    device: options.Boards = None
    tasks: options.TaskPattern = None
    name: _Name = None
    seed: _Seed = 1
    engine: options.Engine = options.DEFAULT_ENGINE
    number: _Number = None
    repeat: _Repeat = None
    min_repeat_ms: _MinRepeat = None
    timeout: _Timeout = None
    revalidate: _Revalidate = None
    full_timing: _FullTiming = False
    verify_candidates: _VerifyCandidates = False
    tuner: _Tuner = None
    loss: _Loss = None
    plan_size: _PlanSize = None
    search: Search = None
    layout: options.Layout = "auto"
    layout_tuning: options.LayoutTuning = "auto"

    def spec(self, session: Session) -> CampaignSpec:
        """Return the campaign that is asked for; where an option was not given, its own defaults hold.

        Models of frameworks are converted here: whoever takes the campaign finds ONNX files that stay.

        Raises
        ------
        UsageError, ModelError
            An option can't be read, the engine isn't there, or a model file isn't.
        """
        from orchestrator.campaigns.spec import CampaignSpec

        require_engine(self.engine)
        return CampaignSpec.of(self.values(session))

    def values(self, session: Session) -> dict[str, Any]:
        """Return what was given of it, as plain values; see :meth:`spec`."""
        evaluator = spec_values(
            number=self.number,
            repeat=self.repeat,
            min_repeat_ms=self.min_repeat_ms,
            timeout_s=None if self.timeout is None else parse_duration(self.timeout),
        )
        search = spec_values(
            tuner=self.tuner,
            loss=self.loss,
            plan_size=self.plan_size,
            settings=search_settings(self.search),
        )
        boards = boards_of(self.device, self.target)
        aim = Aim.of(self.engine, [*boards.values(), *(self.target or ())], timed=session.server() is None)
        return spec_values(
            models=model_requests(session, self.models, self.input_shape, self.conversion, aim),
            targets=tuple(dict.fromkeys(self.target)) if self.target else None,
            boards=boards or None,
            engine=self.engine,
            time_s=None if self.time_limit is None else parse_duration(self.time_limit),
            trials=self.trials,
            trials_per_task=self.trials_per_task,
            until=None if self.until is None else parse_limit(self.until),
            plateau=self.plateau,
            tasks=self.tasks,
            seed=self.seed,
            evaluator=evaluator or None,
            revalidate=self.revalidate,
            full_timing=self.full_timing,
            verify_candidates=self.verify_candidates,
            search=search or None,
            layout=self.layout,
            layout_tuning=self.layout_tuning,
        )
