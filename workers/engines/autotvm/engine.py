"""The engine's face: plain data in, plain data out; see :class:`workers.enginekit.contract.Engine`."""

from __future__ import annotations

import os
from typing import Any

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

__all__ = ["AutoTVMEngine"]


class AutoTVMEngine:
    """AutoTVM on classic TVM."""

    name = "autotvm"

    def warm(self, role: str) -> None:
        """Import what the forks of `role` need. Imports start no thread here."""
        # First: nothing may import tvm before it does.
        from workers.engines.autotvm import classic  # noqa: F401, I001
        from workers.engines.autotvm import build, measure, tasks  # noqa: F401

        if role == "search":
            from workers.engines.autotvm import search  # noqa: F401
        if role == "model":
            from workers.engines.autotvm import layouts, model  # noqa: F401

    def version(self) -> str:
        """Return the version tasks are bound to."""
        from workers.engines.autotvm.classic import tvm

        # The number after the dash is this engine's own: raise it when the import or the canonical form
        # changes.
        return f"tvm-{tvm.__version__}-1"

    def versions(self) -> dict[str, str]:
        """Return the versions of what decides about a measurement."""
        from workers.engines.autotvm.classic import tvm

        return {
            "tvm": str(tvm.__version__),
            "llvm": str(tvm.support.libinfo().get("LLVM_VERSION", "unknown")),
            "engine": self.version(),
        }

    def resolve_target(self, spec: str) -> DeviceInfo:
        """Find the device of a target."""
        from workers.engines.autotvm.targets import resolve_target

        return resolve_target(spec)

    def check_layout(self, layout: str) -> None:
        """Refuse to be told: each configuration has a layout of its own, and :meth:`plans` weighs them."""
        from workers.errors import UsageError

        if layout != "auto":
            raise UsageError(
                f"the autotvm engine can't be told a layout ({layout}): it is part of each configuration, "
                "and --layout-tuning says whether a build weighs them against each other"
            )

    def check_options(self, options: SearchOptions) -> None:
        """Refuse search options that mean nothing here."""
        from workers.engines.autotvm.search import check_options

        check_options(options)

    def extract(self, model: PreparedModel, target: str) -> Extraction:
        """Return the tasks of a model."""
        from workers.engines.autotvm.model import extract_tasks

        return extract_tasks(model, _target(target), self.name, self.version())

    def transfers(self, options: SearchOptions) -> bool:
        """Say whether the tuner has a cost model to start."""
        from workers.engines.autotvm.search import transfers

        return transfers(options)

    def lends(self, options: SearchOptions) -> int:
        """Say none: the places of a template's configurations mean other tiles on other sizes."""
        return 0

    def open_search(self, workload: Workload, target: str, options: SearchOptions) -> Any:
        """Open the search of one workload."""
        from workers.engines.autotvm.search import AutoTVMSearch

        return AutoTVMSearch(workload, _target(target), options)

    def train(self, samples: tuple[bytes, ...], threads: int) -> bytes:
        """Do nothing: each tuner trains its own cost model, and gives no samples."""
        del samples, threads
        return b""

    def build(self, workload: Workload, target: str, candidate: Candidate) -> Artifact:
        """Compile one candidate."""
        from workers.engines.autotvm.build import build_candidate

        return build_candidate(workload, _target(target), candidate)

    def measure(
        self,
        artifact: Artifact,
        endpoint: Endpoint,
        evaluator: EvaluatorConfig,
        best_known_s: float | None = None,
    ) -> Timing:
        """Time an artifact on a device."""
        from workers.engines.autotvm.measure import measure_artifact

        return measure_artifact(artifact, endpoint, evaluator, best_known_s)

    def alternatives(self) -> int:
        """Say how many records of a task the graph tuner gets: what has the layouts it weighs."""
        return 64

    def transforms(
        self,
        model: PreparedModel,
        target: str,
        workloads: tuple[Workload, ...],
        history: dict[str, tuple[Record, ...]],
    ) -> tuple[tuple[Workload, Candidate], ...]:
        """Return the layout transforms that the graph tuner has to know the time of."""
        from workers.engines.autotvm.layouts import transforms

        return transforms(model, _target(target), workloads, history, self.name)

    def plans(
        self,
        model: PreparedModel,
        target: str,
        workloads: tuple[Workload, ...],
        history: dict[str, tuple[Record, ...]],
        measured: dict[str, tuple[Record, ...]],
    ) -> tuple[RecordChoice, ...]:
        """Return the graph tuner's plan, each workload's best, and the fallback."""
        from workers.engines.autotvm.layouts import plans

        return plans(model, _target(target), workloads, history, measured)

    def compile(
        self, model: PreparedModel, target: str, plan: RecordChoice, params_beside: bool = False
    ) -> CompiledModel:
        """Compile a model."""
        from workers.engines.autotvm.model import compile_model

        return compile_model(model, _target(target), plan, params_beside=params_beside)

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
        from workers.engines.autotvm.model import run_model
        from workers.engines.autotvm.targets import cores_of

        parsed = _target(target)
        # TVM reads it when its thread pool starts, which is with the first kernel.
        if cores_of(parsed):
            os.environ["TVM_NUM_THREADS"] = str(cores_of(parsed))
        return run_model(library, params, inputs, parsed, repeats, number, endpoint)

    def describe(self, workload: Workload, candidate: Candidate | None = None) -> str:
        """Return the workload, or the candidate's choices, a line each."""
        from workers.engines.autotvm.tasks import config_of, tvm_workload

        if candidate is None:
            name, *args = tvm_workload(workload)
            return "\n".join([name, *(f"    {arg}" for arg in args)])
        described = config_of(candidate).to_json_dict()["entity"]
        return "\n".join(f"{name}: {value} ({kind})" for name, kind, value in described)

    def log_format(self) -> LogFormat:
        """Say that it is a single file."""
        return LogFormat()

    def read_log(
        self, files: dict[str, str], target: str, tasks: tuple[Workload, ...] = ()
    ) -> tuple[LogLine, ...]:
        """Read AutoTVM's log of JSON lines."""
        from workers.engines.autotvm.logs import read_log

        # A line names its task in full. And logs write one target in many ways, so that the kind alone is
        # compared.
        del target, tasks
        return read_log(files[""], self.name)

    def write_log(
        self,
        target: str,
        records: tuple[tuple[Workload, Record, str], ...],
        model: PreparedModel | None = None,
    ) -> WrittenLog:
        """Write records as AutoTVM does."""
        from workers.engines.autotvm.logs import write_log

        del model
        return WrittenLog({"": write_log(_target(target), records).encode()})

    def known_kernel(self, target: str) -> tuple[Workload, Candidate]:
        """Return a kernel to know a device by."""
        from workers.engines.autotvm.tasks import known_kernel

        return known_kernel(_target(target), self.name)

    def unfit(self, target: str, endpoint: Endpoint) -> str:
        """Say why a device behind a tracker can't run code for a target."""
        from workers.enginekit.rpc import answers

        kind = str(_target(target).kind.name)
        # Of a CPU this TVM can't be asked: the tested wheel says riscv64 of whatever it runs on.
        return "" if kind == "llvm" or answers(endpoint)[0] else f"no {kind} device answers there"

    def serve_tracker(self, host: str, port: int | None = None) -> None:
        """Run an RPC tracker until killed."""
        from workers.enginekit.rpc import serve_tracker

        serve_tracker(host, port)

    def serve_device(self, host: str, tracker: tuple[str, int], station: Station) -> None:
        """Run an RPC server for one device until killed."""
        from workers.enginekit.rpc import serve_device

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
    from workers.engines.autotvm.targets import parse_target

    return parse_target(text)
