"""The engine processes a command needs on its own machine: to read a model, to plan, to build, to compare."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.toolbox.engine import EngineTools
from orchestrator.toolbox.scratch import Scratch
from workers.actors import BuildActor, MeasureActor
from workers.clients import ReferenceClient, ToolchainClient
from workers.messages import Array, DeviceInfo, PreparedModel
from workers.process.engine_process import EngineProcess

__all__ = ["Toolbox"]


class Toolbox(EngineTools, ReferenceClient):
    """One engine and the reference, each in its own process, started when first needed.

    Parameters
    ----------
    engine : str
        Name of the engine.
    """

    def __init__(self, engine: str) -> None:
        super().__init__(EngineProcess(engine, "model"))
        self.engine = engine
        self._reference = EngineProcess("workers.reference", "model")
        self._others: list[BuildActor | MeasureActor] = []
        self._scratch = Scratch()

    def process_of(self, role: str) -> EngineProcess:
        """Return the reference's process for what it is asked, and the engine's for the rest."""
        return self._reference if role == "reference" else self.process

    def __enter__(self) -> Toolbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End both processes, also where something waits for them: it fails with EngineLostError."""
        for one in (self.process, self._reference, *self._others):
            one.stop()
        self._scratch.remove()

    def take_along(self, *others: BuildActor | MeasureActor) -> None:
        """Have others that work at the same thing stand still, go on and end with these."""
        self._others += others

    def pause(self) -> None:
        """Have what they do stand still: something is measured on these cores. Time limits don't run."""
        for one in (self.process, self._reference, *self._others):
            one.pause()

    def resume(self) -> None:
        """Let them go on."""
        for one in (self.process, self._reference, *self._others):
            one.resume()

    def prepare(self, path: str, shapes: Mapping[str, tuple[int, ...]]) -> PreparedModel:
        """Make an ONNX file ready for the engine, for as long as these processes run."""
        return self.prepare_in(path, shapes, self._scratch.folder())

    def versions(self) -> dict[str, str]:
        """Return the versions of the engine's and the reference's libraries."""
        return {**ToolchainClient(self.process).versions(), **self.reference_versions()}

    def toolchain_of(self, device: DeviceInfo) -> dict[str, str]:
        """Return the versions of what measures on a device here."""
        return device.with_driver(ToolchainClient(self.process).versions())

    def reference_outputs(
        self, model: PreparedModel, seed: int, threads: int
    ) -> tuple[dict[str, Array], list[Array]]:
        """Return random inputs for a model, and what onnxruntime makes of them."""
        inputs = self.random_inputs(model.inputs, seed)
        return inputs, self.reference_run(model, inputs, threads)
