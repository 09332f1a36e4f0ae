"""The engine processes a command needs on its own machine: to read a model, to plan, to build, to compare."""

from __future__ import annotations

from orchestrator.toolbox.engine import EngineTools
from workers.actors import BuildActor, MeasureActor
from workers.clients import ReferenceClient, ToolchainClient
from workers.messages import Array, PreparedModel
from workers.process.engine_process import EngineProcess

__all__ = ["Toolbox"]


class Toolbox(EngineTools):
    """One engine and the reference, each in its own process, started when first needed.

    Parameters
    ----------
    engine : str
        Name of the engine.

    Attributes
    ----------
    prepare, random_inputs, reference_run, reference_timing, judge
        See :class:`workers.reference.Reference`.
    """

    def __init__(self, engine: str) -> None:
        super().__init__(EngineProcess(engine, "model"))
        self.engine = engine
        self._reference = ReferenceClient(EngineProcess("workers.reference", "model"))
        self._others: list[BuildActor | MeasureActor] = []
        self.prepare = self._reference.prepare
        self.random_inputs = self._reference.random_inputs
        self.reference_run = self._reference.reference_run
        self.reference_timing = self._reference.reference_timing
        self.judge = self._reference.judge

    def __enter__(self) -> Toolbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End both processes, also where something waits for them: it fails with EngineLostError."""
        for one in (self.process, self._reference.process, *self._others):
            one.stop()

    def take_along(self, *others: BuildActor | MeasureActor) -> None:
        """Have others that work at the same thing stand still, go on and end with these."""
        self._others += others

    def pause(self) -> None:
        """Have what they do stand still: something is measured on these cores. Time limits don't run."""
        for one in (self.process, self._reference.process, *self._others):
            one.pause()

    def resume(self) -> None:
        """Let them go on."""
        for one in (self.process, self._reference.process, *self._others):
            one.resume()

    def versions(self) -> dict[str, str]:
        """Return the versions of the engine's and the reference's libraries."""
        return {**ToolchainClient(self.process).versions(), **self._reference.versions()}

    def reference_outputs(
        self, model: PreparedModel, seed: int, threads: int
    ) -> tuple[dict[str, Array], list[Array]]:
        """Return random inputs for a model, and what onnxruntime makes of them."""
        inputs = self.random_inputs(model.inputs, seed)
        return inputs, self.reference_run(model, inputs, threads)
