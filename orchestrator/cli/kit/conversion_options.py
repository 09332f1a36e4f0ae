"""How a framework's model is converted: the options that all commands have that take a model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import typer

from orchestrator.cli.kit.precision_options import PrecisionOptions

__all__ = ["ConversionOptions"]

_PANEL = "A framework's model"
_Trust = Annotated[
    bool,
    typer.Option(
        "--trust",
        help="Run the code that a model of a framework consists of: of a function, or within a pickle.",
        rich_help_panel=_PANEL,
    ),
]
_Framework = Annotated[
    str | None,
    typer.Option(
        "--framework",
        metavar="NAME",
        help="The converter that is meant; left out, the file tells.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
_Exporter = Annotated[
    str,
    typer.Option(
        "--exporter",
        metavar="NAME",
        help="The only one to try of a framework that has several (torch: dynamo, torchscript); left out, "
        "all are, and the one that leaves least is taken.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
_Signature = Annotated[
    str,
    typer.Option(
        "--signature",
        metavar="NAME",
        help="Which of the models in a SavedModel or TFLite file; left out, serving_default.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]


@dataclass(frozen=True)
class ConversionOptions:
    """Options that say what becomes of a model argument before it is tuned and built.

    One that is no ONNX file becomes one; and one of float32 another, of another precision.
    """

    trust: _Trust = False
    framework: _Framework = None
    exporter: _Exporter = ""
    signature: _Signature = ""
    numbers: PrecisionOptions = field(default_factory=PrecisionOptions)

    @property
    def chosen(self) -> list[str]:
        """The options that choose how, as they stand on a command line; `trust` chooses nothing."""
        return [*self.for_frameworks, *self.numbers.chosen]

    @property
    def for_frameworks(self) -> list[str]:
        """Those of them that mean nothing to an ONNX file."""
        values = {"framework": self.framework, "exporter": self.exporter, "signature": self.signature}
        return [part for name, value in values.items() if value for part in (f"--{name}", value)]
