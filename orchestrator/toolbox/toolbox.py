"""The engine processes a command needs on its own machine: to read a model, to plan, to build, to compare."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

from workers.actors import BuildActor, MeasureActor
from workers.clients.turns import cores_in_use, turn
from workers.messages import (
    Artifact,
    Candidate,
    CompiledModel,
    DeviceInfo,
    Endpoint,
    EvaluatorConfig,
    Extraction,
    LogFormat,
    LogLine,
    ModelRun,
    ModelTiming,
    PreparedModel,
    Record,
    RecordChoice,
    SearchOptions,
    TensorSpec,
    Timing,
    Workload,
    WrittenLog,
)
from workers.process.engine_process import EngineProcess

__all__ = ["Toolbox"]

# Limits (seconds) that end what hangs; large models are slow to import and to compile.
_PREPARE_SECONDS = 900.0
_EXTRACT_SECONDS = 1800.0
_COMPILE_SECONDS = 3600.0
_RUN_SECONDS = 600.0
_ASK_SECONDS = 60.0
_LOG_SECONDS = 1800.0


class Toolbox:
    """One engine and the reference, each in its own process, started when first needed.

    Parameters
    ----------
    engine : str
        Name of the engine.
    """

    def __init__(self, engine: str) -> None:
        self.engine = engine
        self._engine = EngineProcess(engine, "model")
        self._reference = EngineProcess("workers.reference", "model")
        self._others: list[BuildActor | MeasureActor] = []

    def __enter__(self) -> Toolbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End both processes, also where something waits for them: it fails with EngineLostError."""
        self._engine.stop()
        self._reference.stop()
        for actor in self._others:
            actor.stop()

    def take_along(self, *others: BuildActor | MeasureActor) -> None:
        """Have others that work at the same thing stand still, go on and end with these."""
        self._others += others

    def pause(self) -> None:
        """Have what they do stand still: something is measured on these cores. Time limits don't run."""
        for process in (self._engine, self._reference, *self._others):
            process.pause()

    def resume(self) -> None:
        """Let them go on."""
        for process in (self._engine, self._reference, *self._others):
            process.resume()

    def prepare(self, path: str, shapes: dict[str, tuple[int, ...]]) -> PreparedModel:
        """Make an ONNX file ready for the engine; see :func:`workers.models.prepare`."""
        model: PreparedModel = self._reference.call("prepare", path, shapes, timeout_s=_PREPARE_SECONDS)
        return model

    def resolve_target(self, spec: str) -> DeviceInfo:
        """Find the device of a target."""
        device: DeviceInfo = self._engine.call("resolve_target", spec, timeout_s=_ASK_SECONDS)
        return device

    def engine_version(self) -> str:
        """Return what extractions are bound to."""
        return str(self._engine.call("version", timeout_s=_ASK_SECONDS))

    def versions(self) -> dict[str, str]:
        """Return the versions of the engine's and the reference's libraries."""
        engine: dict[str, str] = self._engine.call("versions", timeout_s=_ASK_SECONDS)
        return {**engine, **self._reference.call("versions", timeout_s=_ASK_SECONDS)}

    def extract(self, model: PreparedModel, target: str) -> Extraction:
        """Return the tasks of a model."""
        extraction: Extraction = self._engine.call("extract", model, target, timeout_s=_EXTRACT_SECONDS)
        return extraction

    def describe(self, workload: Workload, candidate: Candidate | None = None) -> str:
        """Return a workload, or a candidate's schedule, as text for people."""
        return str(self._engine.call("describe", workload, candidate, timeout_s=_ASK_SECONDS))

    def known_kernel(self, target: str) -> tuple[Workload, Candidate]:
        """Return a kernel to know a device by."""
        found: tuple[Workload, Candidate] = self._engine.call("known_kernel", target, timeout_s=_ASK_SECONDS)
        return found

    def check_layout(self, layout: str) -> None:
        """Refuse a layout that the engine doesn't have."""
        self._engine.call("check_layout", layout, timeout_s=_ASK_SECONDS)

    def check_options(self, options: SearchOptions) -> None:
        """Refuse search options that mean nothing to the engine."""
        self._engine.call("check_options", options, timeout_s=_ASK_SECONDS)

    def transfers(self, options: SearchOptions) -> bool:
        """Say whether the engine's searches learn from records of other workloads."""
        return bool(self._engine.call("transfers", options, timeout_s=_ASK_SECONDS))

    def lends(self, options: SearchOptions) -> int:
        """Say how many schedules of each related workload the engine's searches look at."""
        return int(self._engine.call("lends", options, timeout_s=_ASK_SECONDS))

    def alternatives(self) -> int:
        """Say how many records of a workload the engine's plans choose from."""
        return int(self._engine.call("alternatives", timeout_s=_ASK_SECONDS))

    def transforms(
        self,
        model: PreparedModel,
        target: str,
        workloads: tuple[Workload, ...],
        history: dict[str, tuple[Record, ...]],
    ) -> tuple[tuple[Workload, Candidate], ...]:
        """Return what has to be measured before :meth:`plans`."""
        found: tuple[tuple[Workload, Candidate], ...] = self._engine.call(
            "transforms", model, target, workloads, history, timeout_s=_EXTRACT_SECONDS
        )
        return found

    def plans(
        self,
        model: PreparedModel,
        target: str,
        workloads: tuple[Workload, ...],
        history: dict[str, tuple[Record, ...]],
        measured: dict[str, tuple[Record, ...]],
    ) -> tuple[RecordChoice, ...]:
        """Return the plans worth compiling, the most promising first."""
        plans: tuple[RecordChoice, ...] = self._engine.call(
            "plans", model, target, workloads, history, measured, timeout_s=_EXTRACT_SECONDS
        )
        return plans

    def log_format(self) -> LogFormat:
        """Say what a log in the engine's own format consists of."""
        found: LogFormat = self._engine.call("log_format", timeout_s=_ASK_SECONDS)
        return found

    def read_log(
        self, files: dict[str, str], target: str, tasks: tuple[Workload, ...] = ()
    ) -> tuple[LogLine, ...]:
        """Read a log in the engine's own format."""
        lines: tuple[LogLine, ...] = self._engine.call(
            "read_log", files, target, tasks, timeout_s=_LOG_SECONDS
        )
        return lines

    def write_log(
        self,
        target: str,
        records: tuple[tuple[Workload, Record, str], ...],
        model: PreparedModel | None = None,
    ) -> WrittenLog:
        """Return a log in the engine's own format, of workloads, records and why those failed that did."""
        log: WrittenLog = self._engine.call("write_log", target, records, model, timeout_s=_LOG_SECONDS)
        return log

    def compile(
        self, model: PreparedModel, target: str, plan: RecordChoice, *, params_beside: bool = False
    ) -> Future[CompiledModel]:
        """Start to compile a model; several may be under way."""
        return self._engine.submit("compile", model, target, plan, params_beside, timeout_s=_COMPILE_SECONDS)

    def run(
        self,
        compiled: CompiledModel,
        inputs: dict[str, Any],
        target: str,
        *,
        repeats: int = 0,
        number: int = 1,
        endpoint: Endpoint | None = None,
    ) -> ModelRun:
        """Run a compiled model on this machine, or on a device behind a tracker, and time it."""
        library, params = compiled.library, compiled.params
        # What is timed here is not to be timed while another process measures on these cores.
        with turn(cores_in_use(0) if repeats and endpoint is None else ()):
            run: ModelRun = self._engine.call(
                "run", library, params, inputs, target, repeats, number, endpoint, timeout_s=_RUN_SECONDS
            )
        return run

    def tracked(self, host: str, port: int) -> dict[str, int]:
        """Say how many devices are registered at a tracker under each key."""
        found: dict[str, int] = self._engine.call("tracked", host, port, timeout_s=_ASK_SECONDS)
        return found

    def unfit(self, target: str, endpoint: Endpoint) -> str:
        """Say why a device behind a tracker can't run code for a target, as far as it is known."""
        limit = endpoint.wait_s + _ASK_SECONDS
        return str(self._engine.call("unfit", target, endpoint, timeout_s=limit))

    def build(self, workload: Workload, target: str, candidate: Candidate) -> Artifact:
        """Compile one candidate."""
        artifact: Artifact = self._engine.call("build", workload, target, candidate, timeout_s=_ASK_SECONDS)
        return artifact

    def measure(self, artifact: Artifact, endpoint: Endpoint, evaluator: EvaluatorConfig) -> Timing:
        """Time an artifact on a device behind a tracker."""
        limit = endpoint.wait_s + evaluator.timeout_s + _ASK_SECONDS
        timing: Timing = self._engine.call("measure", artifact, endpoint, evaluator, timeout_s=limit)
        return timing

    def reference_outputs(
        self, model: PreparedModel, seed: int, threads: int
    ) -> tuple[dict[str, Any], list[Any]]:
        """Return random inputs for a model, and what onnxruntime makes of them."""
        inputs = self.random_inputs(model.inputs, seed)
        return inputs, self.reference_run(model, inputs, threads)

    def random_inputs(self, inputs: tuple[TensorSpec, ...], seed: int) -> dict[str, Any]:
        """Draw values that any model takes; see :func:`workers.models.random_inputs`."""
        drawn: dict[str, Any] = self._reference.call("draw", inputs, seed, timeout_s=_ASK_SECONDS)
        return drawn

    def reference_run(self, model: PreparedModel, inputs: dict[str, Any], threads: int) -> list[Any]:
        """Return what onnxruntime makes of a model's inputs."""
        outputs: list[Any] = self._reference.call(
            "evaluate", model.onnx, inputs, threads, timeout_s=_RUN_SECONDS
        )
        return outputs

    def reference_timing(
        self, model: PreparedModel, inputs: dict[str, Any], threads: int, repeats: int
    ) -> ModelTiming:
        """Time onnxruntime on a model."""
        with turn(cores_in_use(0)):
            timing: ModelTiming = self._reference.call(
                "time", model.onnx, inputs, threads, repeats, timeout_s=_RUN_SECONDS
            )
        return timing

    def judge(self, model: PreparedModel, inputs: dict[str, Any], outputs: Any, reference: Any) -> Any:
        """Compare a model's outputs with the reference's; see :class:`workers.models.OutputDifference`."""
        names = [spec.name for spec in model.outputs]
        return self._reference.call(
            "judge", model.onnx, inputs, outputs, reference, names, timeout_s=_RUN_SECONDS
        )
