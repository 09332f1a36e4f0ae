"""Whole models: their tasks, their libraries, their runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from workers.messages import (
    Array,
    Baton,
    CompiledModel,
    Endpoint,
    Extraction,
    ModelRun,
    PreparedModel,
    RecordChoice,
)

__all__ = ["Model"]


class Model(Protocol):
    """Imports models, compiles them and runs what came of it."""

    def extract(self, model: PreparedModel, target: str) -> Extraction:
        """Return the tuning tasks of a model.

        Of a model whose layout is left to the engine it may say which other one comes close: campaigns then
        ask for that by name as well, and try both out.

        Raises
        ------
        ModelError
            Where the model can't be imported: the operator, the node and the reason.
        """

    def compile(
        self, model: PreparedModel, target: str, choice: RecordChoice, params_beside: bool = False
    ) -> CompiledModel:
        """Compile a model with the records chosen.

        Parameters
        ----------
        params_beside : bool
            Keep the weights out of the library, in an archive of their own.
        """

    def run(
        self,
        compiled: CompiledModel,
        inputs: Mapping[str, Array],
        target: str,
        repeats: int = 0,
        number: int = 1,
        endpoint: Endpoint | None = None,
        settle_s: float = 0.0,
        least_s: float = 0.0,
        baton: Baton | None = None,
    ) -> ModelRun:
        """Run a compiled model: once for its outputs, `repeats` times `number` runs for its times.

        Parameters
        ----------
        endpoint : Endpoint or None
            The device to run it on; None for this machine.
        settle_s, least_s : float
            Seconds of warming up at most, and of runs that are timed at least; see
            :func:`workers.enginekit.settling.settled_times`.
        baton : Baton or None
            Another process is timed in turns with it; see :mod:`workers.enginekit.alternating`.
        """
