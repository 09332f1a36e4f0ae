"""The engine's face: plain data in, plain data out; see :class:`workers.enginekit.contract.Engine`."""

from __future__ import annotations

import os
from typing import Any

from workers.enginekit.cuda import has_runtime, use_compiler
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
    PreparedModel,
    Record,
    RecordChoice,
    SearchOptions,
    Station,
    Timing,
    Workload,
    WrittenLog,
)

__all__ = ["MetaScheduleEngine"]


class MetaScheduleEngine:
    """MetaSchedule on apache-tvm 0.27."""

    name = "metaschedule"

    def warm(self, role: str) -> None:
        """Import what the forks of `role` need. Imports start no thread here."""
        # TVM finds it loaded, and not in the packages of this environment.
        has_runtime()
        import tvm

        if role in ("build", "model"):
            from workers.engines.metaschedule import build, model  # noqa: F401
        if role == "search":
            import xgboost  # noqa: F401

            from workers.engines.metaschedule import search
            from workers.engines.metaschedule._intrinsics import register_intrinsics

            del search
            import tvm.target

            register_intrinsics(tvm.target.Target("llvm"))
        if role == "measure":
            from workers.engines.metaschedule import measure  # noqa: F401

    def version(self) -> str:
        """Return the version tasks are bound to."""
        import tvm

        # The number after the dash is this engine's own: raise it when the passes or the canonical form
        # change.
        return f"tvm-{tvm.__version__}-5"

    def versions(self) -> dict[str, str]:
        """Return the versions of what decides about a measurement."""
        import tvm
        from tvm.target import codegen

        return {
            "tvm": str(tvm.__version__),
            "llvm": str(codegen.llvm_version_major()),
            "engine": self.version(),
        }

    def resolve_target(self, spec: str) -> DeviceInfo:
        """Find the device of a target."""
        from workers.engines.metaschedule.targets import resolve_target

        return resolve_target(spec)

    def extract(self, model: PreparedModel, target: str) -> Extraction:
        """Return the tasks of a model."""
        from workers.engines.metaschedule.model import extract_tasks

        return extract_tasks(model, _target(target), self.name, self.version())

    def check_layout(self, layout: str) -> None:
        """Refuse what is none of its layouts."""
        from workers.engines.metaschedule.layouts import LAYOUTS
        from workers.errors import UsageError

        if layout not in LAYOUTS:
            raise UsageError(f"the metaschedule engine has no layout {layout!r}, but {', '.join(LAYOUTS)}")

    def check_options(self, options: SearchOptions) -> None:
        """Refuse a choice of tuners: there is the one."""
        from workers.errors import UsageError

        for name in ("tuner", "loss", "plan_size"):
            if getattr(options, name):
                raise UsageError(
                    f"the metaschedule engine has no --{name.replace('_', '-')}: "
                    "its search is evolutionary, its cost model XGBoost's"
                )

    def transfers(self, options: SearchOptions) -> bool:
        """Say no: the cost model is one for all tasks, and comes with each proposal."""
        return False

    def lends(self, options: SearchOptions) -> int:
        """Say that the two fastest schedules of a workload are worth a look."""
        return 2

    def open_search(self, workload: Workload, target: str, options: SearchOptions) -> Any:
        """Open the search of one workload."""
        from workers.engines.metaschedule.search import MetaScheduleSearch

        return MetaScheduleSearch(workload, _target(target), options)

    def train(self, samples: tuple[bytes, ...], threads: int) -> bytes:
        """Train the cost model."""
        from workers.engines.metaschedule.search import train

        return train(samples, threads)

    def build(self, workload: Workload, target: str, candidate: Candidate) -> Artifact:
        """Compile one candidate."""
        from workers.engines.metaschedule.build import build_candidate

        return build_candidate(workload, _target(target), candidate)

    def measure(
        self,
        artifact: Artifact,
        endpoint: Endpoint,
        evaluator: EvaluatorConfig,
        best_known_s: float | None = None,
    ) -> Timing:
        """Time an artifact on a device."""
        from workers.engines.metaschedule.measure import measure_artifact

        return measure_artifact(artifact, endpoint, evaluator, best_known_s)

    def alternatives(self) -> int:
        """Say that each workload's best is chosen: activations keep their layout whatever is chosen."""
        return 1

    def transforms(self, *_: Any) -> tuple[tuple[Workload, Candidate], ...]:
        """Return nothing: see :meth:`alternatives`."""
        return ()

    def plans(
        self,
        model: PreparedModel,
        target: str,
        workloads: tuple[Workload, ...],
        history: dict[str, tuple[Record, ...]],
        measured: dict[str, tuple[Record, ...]],
    ) -> tuple[RecordChoice, ...]:
        """Return each workload's best, and nothing applied."""
        del model, target, workloads, measured
        best = {key: records[0] for key, records in history.items() if records}
        return (RecordChoice("each task's best", best), RecordChoice("untuned"))

    def compile(
        self, model: PreparedModel, target: str, plan: RecordChoice, params_beside: bool = False
    ) -> CompiledModel:
        """Compile a model."""
        from workers.engines.metaschedule.model import compile_model

        return compile_model(model, _target(target), plan.records, params_beside=params_beside)

    def run(
        self,
        library: bytes,
        params: bytes | None,
        inputs: dict[str, Any],
        target: str,
        repeats: int = 0,
        number: int = 1,
        endpoint: Endpoint | None = None,
    ) -> ModelRun:
        """Run a compiled model here, or on a device behind a tracker."""
        parsed = _target(target)
        # TVM reads it when its thread pool starts, which is with the first kernel.
        if "num-cores" in parsed.attrs:
            os.environ["TVM_NUM_THREADS"] = str(int(parsed.attrs["num-cores"]))
        if parsed.kind.name == "cuda":
            use_compiler()
        from workers.engines.metaschedule.model import run_model

        return run_model(library, params, inputs, parsed, repeats, number, endpoint)

    def describe(self, workload: Workload, candidate: Candidate | None = None) -> str:
        """Return the workload's script, or the candidate's trace as Python."""
        from workers.engines.metaschedule.records import scheduled
        from workers.engines.metaschedule.workload import load_module

        if candidate is None:
            return str(load_module(workload.module).script())
        trace = scheduled(workload, candidate).trace
        assert trace is not None
        return str(trace)

    def log_format(self) -> LogFormat:
        """Say that it is the two files of a JSONDatabase, and the model beside them."""
        from workers.engines.metaschedule.logs import MODEL, RECORDS, WORKLOADS

        return LogFormat((WORKLOADS, RECORDS), (MODEL,), "nchw")

    def read_log(
        self, files: dict[str, str], target: str, tasks: tuple[Workload, ...] = ()
    ) -> tuple[LogLine, ...]:
        """Read a JSONDatabase."""
        from workers.engines.metaschedule.logs import read_log

        return read_log(files, target, tasks, self.name)

    def write_log(
        self,
        target: str,
        records: tuple[tuple[Workload, Record, str], ...],
        model: PreparedModel | None = None,
    ) -> WrittenLog:
        """Write records as a JSONDatabase."""
        from workers.engines.metaschedule.logs import write_log

        return write_log(_target(target), records, model)

    def known_kernel(self, target: str) -> tuple[Workload, Candidate]:
        """Return a kernel to know a device by."""
        from workers.engines.metaschedule.known import known_kernel

        return known_kernel(_target(target), self.name)

    def unfit(self, target: str, endpoint: Endpoint) -> str:
        """Say why a device behind a tracker can't run code for a target."""
        from workers.enginekit.rpc import answers
        from workers.engines.metaschedule.targets import unfit_for

        parsed = _target(target)
        return unfit_for(parsed, *answers(endpoint))

    def serve_tracker(self, host: str, port: int | None = None) -> None:
        """Run an RPC tracker until killed."""
        from workers.enginekit.rpc import serve_tracker

        serve_tracker(host, port)

    def serve_device(self, host: str, tracker: tuple[str, int], station: Station) -> None:
        """Run an RPC server for one device until killed."""
        from workers.enginekit.rpc import serve_device

        if station.device.kind == "cuda":
            # For libraries that come as source.
            use_compiler()
        serve_device(host, tracker, station)

    def tracked(self, host: str, port: int) -> dict[str, int]:
        """Count the servers at a tracker by their keys."""
        from workers.enginekit.rpc import tracked

        return tracked(host, port)

    def count_devices(self, kind: str) -> int:
        """Count this machine's devices of a kind."""
        from workers.enginekit.rpc import count_devices

        return count_devices(kind)


def _target(text: str) -> Any:
    from workers.engines.metaschedule.targets import parse_target

    return parse_target(text)
