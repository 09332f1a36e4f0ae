"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "BUDGET",
    "DEFAULT_ENGINE",
    "HOW",
    "PANELS",
    "SEARCH",
    "WHAT",
    "WHERE",
    "AllowDevice",
    "Board",
    "Boards",
    "Campaign",
    "Device",
    "Engine",
    "InputShapes",
    "Layout",
    "LayoutTuning",
    "MaybeModel",
    "Model",
    "Models",
    "RayAddress",
    "Seed",
    "ServeTracker",
    "Slots",
    "StoredEngine",
    "Target",
    "Targets",
    "TaskPattern",
    "Tracker",
    "TunedLayout",
    "Workload",
]


#: The engine of those who name none.
DEFAULT_ENGINE = "metaschedule"


class PANELS:
    """Groups of the commands in ``tunefleet --help``."""

    TUNE = "Tune"
    CAMPAIGNS = "Campaigns"
    MODELS = "Models"
    SETUP = "Setup"


#: Groups of the options of `tune`.
BUDGET = "Budget"
WHAT = "What is tuned"
HOW = "How it is measured"
SEARCH = "How it is searched"
WHERE = "Where it runs"
Campaign = Annotated[
    str, typer.Argument(metavar="ID", help="Number or name of the campaign.", show_default=False)
]
_FRAMEWORKS = "or a framework's model as `tunefleet convert` takes it"
Model = Annotated[
    Path, typer.Argument(metavar="MODEL", help=f"An ONNX file, {_FRAMEWORKS}.", show_default=False)
]
MaybeModel = Annotated[
    Path | None,
    typer.Argument(metavar="MODEL", help=f"An ONNX file, {_FRAMEWORKS}; or --workload.", show_default=False),
]
Models = Annotated[
    list[Path],
    typer.Argument(
        metavar="MODEL",
        help="ONNX files, or frameworks' models as `tunefleet convert` takes them.",
        show_default=False,
    ),
]
Engine = Annotated[str, typer.Option("--engine", metavar="NAME", help="The tuner.", rich_help_panel=WHAT)]
StoredEngine = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="NAME",
        help="Only what this engine found.",
        rich_help_panel=WHAT,
        show_default=False,
    ),
]
Device = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="CLASS",
        help="Only this device class: its name, or a part of it that no other has.",
        rich_help_panel=WHAT,
        show_default=False,
    ),
]
Workload = Annotated[
    str | None,
    typer.Option(
        "--workload",
        metavar="HASH",
        help="A workload by the first digits of its hash.",
        show_default=False,
    ),
]
InputShapes = Annotated[
    list[str] | None,
    typer.Option(
        "--input-shape",
        metavar="NAME:DIMS",
        help="Shape of an input with dynamic dimensions, as x:1,3,224,224. Repeat it for several inputs; "
        "with several models it applies to each of them.",
        rich_help_panel=WHAT,
        show_default=False,
    ),
]
Target = Annotated[
    str,
    typer.Option(
        "--target",
        metavar="TARGET",
        help="'auto' for this machine's CPU, or a TVM target: 'llvm -mcpu=znver4 -num-cores=8', or its JSON.",
    ),
]
Targets = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        metavar="TARGET",
        help="'auto' (the default) for this machine's CPU, or a TVM target. Repeat it for several.",
        rich_help_panel=WHAT,
        show_default=False,
    ),
]
Layout = Annotated[
    str,
    typer.Option(
        "--layout",
        metavar="auto|blocked|mixed|nhwc|nchw",
        help="In which convolutions are tuned: channels in blocks of a vector ('mixed': where it "
        "pays), all side by side, or as the model has them. 'auto' estimates which takes the least time.",
        rich_help_panel=HOW,
    ),
]
TunedLayout = Annotated[
    str | None,
    typer.Option(
        "--layout",
        metavar="LAYOUT",
        help="In which convolutions are built: auto, blocked, mixed, nhwc or nchw; left out, as they "
        "were tuned.",
        rich_help_panel=HOW,
        show_default=False,
    ),
]
LayoutTuning = Annotated[
    str,
    typer.Option(
        "--layout-tuning",
        metavar="auto|none",
        help="Whether a build weighs layouts between the tasks against each other, where the engine can "
        "(with a graph tuner), or takes each task's best.",
        rich_help_panel=HOW,
    ),
]
AllowDevice = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-device",
        metavar="CLASS",
        help="Borrow the records of this device class for tasks that have none on their own. Repeat it for "
        "several, the first choice first.",
        show_default=False,
    ),
]
Seed = Annotated[int, typer.Option("--seed", min=1, max=2**31 - 1, metavar="N", help="Of the random inputs.")]
TaskPattern = Annotated[
    str | None,
    typer.Option(
        "--tasks",
        metavar="PATTERN",
        help="Only tasks in whose name this regular expression is found.",
        rich_help_panel=WHAT,
        show_default=False,
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray-address",
        metavar="ADDRESS",
        help="A running Ray cluster; left out, Ray starts on this machine.",
        rich_help_panel=WHERE,
        show_default=False,
    ),
]
Boards = Annotated[
    list[str] | None,
    typer.Option(
        "--device",
        metavar="KEY[=TARGET]",
        help="Measure on what registered at the --tracker under this key, a board with TVM's rpc_server say; "
        "for the target named here, or by --target. Repeat it for several keys.",
        rich_help_panel=WHERE,
        show_default=False,
    ),
]
Board = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="KEY",
        help="On what registered at the --tracker under this key; left out, on this machine.",
        rich_help_panel=WHERE,
        show_default=False,
    ),
]
Tracker = Annotated[
    str | None,
    typer.Option(
        "--tracker",
        metavar="HOST:PORT",
        envvar="TUNEFLEET_TRACKER",
        help="The TVM RPC tracker where --device's keys are registered.",
        rich_help_panel=WHERE,
        show_default=False,
    ),
]
ServeTracker = Annotated[
    str | None,
    typer.Option(
        "--serve-tracker",
        metavar="HOST[:PORT]",
        help="Start a TVM RPC tracker at this address of this machine, port 9190 if left out, and keep it "
        "running; 'auto' for the cluster's side of this machine, or its loopback without one. For boards to "
        "register at, instead of --tracker.",
        rich_help_panel=WHERE,
        show_default=False,
    ),
]
Slots = Annotated[
    int | None,
    typer.Option(
        "--slots",
        min=1,
        metavar="N",
        help="Cores for search and build; all, if left out.",
        rich_help_panel=WHERE,
        show_default=False,
    ),
]
