"""Which numbers a model computes with: options that all commands have that take a model."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.kit.parsing import parse_part
from orchestrator.errors import UsageError
from workers.messages import Metric, Precision

if TYPE_CHECKING:
    from orchestrator.conversion import PrecisionSettings

__all__ = ["PrecisionOptions"]

_PANEL = "Precision"
_Precision = Annotated[
    Precision | None,
    typer.Option(
        "--precision",
        help="Of a float32 model: int8 with --calibration; bf16; fp16; auto for the first of int8 and bf16 "
        "that every target has an instruction for and that is within --max-error, float32 elsewhere. Left "
        "out, the model is taken as it is.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
_Calibration = Annotated[
    Path | None,
    typer.Option(
        "--calibration",
        metavar="DATA.npz",
        help="Samples of the inputs: arrays called as they are, each with an axis of samples in front; or a "
        "folder of .npz or .npy files.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
_MaxError = Annotated[
    str | None,
    typer.Option(
        "--max-error",
        metavar="E",
        help="Farthest that the model may be off its float32 form: 1% or 0.01; 1% if left out.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
_Metric = Annotated[
    Metric | None,
    typer.Option(
        "--metric",
        help="How that is measured: largest difference, of an output's largest value (max, if left out); 1 "
        "less the cosine; share of answers whose largest entry is another (top1).",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]

_MAX_ERROR = 0.01


@dataclass(frozen=True)
class PrecisionOptions:
    """Options that say which precision a float32 model gets, and how far it may be off by that."""

    precision: _Precision = None
    calibration: _Calibration = None
    max_error: _MaxError = None
    metric: _Metric = None

    @property
    def chosen(self) -> list[str]:
        """The options as they stand on a command line."""
        values = {
            "precision": self.precision.value if self.precision else None,
            "calibration": str(self.calibration) if self.calibration else None,
            "max-error": self.max_error,
            "metric": self.metric.value if self.metric else None,
        }
        return [part for name, value in values.items() if value for part in (f"--{name}", value)]

    @property
    def wanted(self) -> Precision | None:
        """The precision that a model has to be converted to; None where it is taken as it is."""
        return None if self.precision is Precision.FLOAT32 else self.precision

    def require_known(self) -> None:
        """Refuse options that mean nothing without another one.

        Raises
        ------
        UsageError
        """
        given = {"--calibration": self.calibration, "--max-error": self.max_error, "--metric": self.metric}
        idle = [name for name, value in given.items() if value is not None]
        if idle and self.wanted is None:
            has = f"--precision {self.precision.value}" if self.precision else "no --precision"
            raise UsageError(
                f"{idle[0]} is for a model that is converted to another precision, and there is {has}: add "
                "--precision int8, bf16, fp16 or auto, or leave it out"
            )
        self.largest_error()

    def largest_error(self) -> float:
        """Read ``--max-error``: ``1%`` or ``0.01``.

        Raises
        ------
        UsageError
        """
        if self.max_error is None:
            return _MAX_ERROR
        return parse_part(self.max_error, "--max-error", least=sys.float_info.min)

    def settings(
        self, shapes: Mapping[str, tuple[int, ...]], *, anew: bool = False
    ) -> PrecisionSettings | None:
        """Return what is asked for; None where nothing is.

        Raises
        ------
        UsageError
            See :meth:`require_known`.
        """
        self.require_known()
        if self.wanted is None:
            return None
        from orchestrator.conversion import PrecisionSettings

        return PrecisionSettings(
            precision=self.wanted,
            shapes=shapes,
            calibration=self.calibration,
            metric=self.metric or Metric.MAX,
            max_error=self.largest_error(),
            anew=anew,
        )
