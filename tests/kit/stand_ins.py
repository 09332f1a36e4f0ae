"""What stands in for engine processes and the coordinator: their answers, without TVM and without Ray."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np

from orchestrator.builds import BenchReport
from orchestrator.campaigns.running.listener import Listener
from orchestrator.campaigns.running.outcome import Outcome
from orchestrator.errors import EngineError
from orchestrator.fleet.options import FleetOptions
from orchestrator.storage import CampaignState, Storage, TaskState
from orchestrator.toolbox import Toolbox
from tests.kit import cli_builders as build
from tests.kit.finished import finished
from workers.engines.metaschedule.traits import TRAITS
from workers.messages import (
    Array,
    Artifact,
    Baton,
    Call,
    Candidate,
    CompiledModel,
    DeviceInfo,
    Endpoint,
    Extraction,
    Kernel,
    LogFormat,
    LogLine,
    ModelRun,
    ModelTiming,
    PreparedModel,
    Profile,
    Record,
    RecordChoice,
    SearchOptions,
    TensorSpec,
    TrialState,
    Workload,
    WrittenLog,
)
from workers.models import OriginalCheck, OutputDifference

TASKS = 3


class CannedToolbox(Toolbox):
    """Says of every model that it is the one of :mod:`.cli_builders`, and starts no process.

    What it has no answer to fails: it is not made as the real one is, so there is no process to ask.
    """

    agree = True
    #: Hashes of candidates that can't be built.
    unbuildable: frozenset[str] = frozenset()

    def __init__(self, engine: str) -> None:
        self.engine = engine

    def stop(self) -> None:
        pass

    def prepare(self, path: str, shapes: Mapping[str, tuple[int, ...]]) -> PreparedModel:
        return build.prepared()

    def resolve_target(self, spec: str) -> DeviceInfo:
        return build.CPU

    def engine_version(self) -> str:
        return "tvm-0.27.0-1"

    def versions(self) -> dict[str, str]:
        return {"tvm": "0.27.0", "onnxruntime": "1.32.0"}

    def toolchain_of(self, device: DeviceInfo) -> dict[str, str]:
        return device.with_driver(build.TOOLCHAIN)

    def extract(self, model: PreparedModel, target: str) -> Extraction:
        return build.extraction(TASKS)

    def describe(self, workload: Workload, candidate: Candidate | None = None) -> str:
        assert candidate is not None
        return f"# schedule of {workload.name}\nsch.split(l1, factors=[2, 4])\n"

    def check_layout(self, layout: str) -> None:
        TRAITS.check_layout(layout)

    def check_options(self, options: SearchOptions) -> None:
        pass

    def check_comparison(self, kind: str) -> None:
        TRAITS.check_comparison(kind)

    def transfers(self, options: SearchOptions) -> bool:
        return False

    def lends(self, options: SearchOptions) -> int:
        return 0

    def alternatives(self) -> int:
        return 1

    def log_format(self) -> LogFormat:
        return LogFormat()

    def read_log(
        self, files: dict[str, str], target: str, tasks: tuple[Workload, ...] = ()
    ) -> tuple[LogLine, ...]:
        """Take lines of a workload, a candidate, seconds or ``-`` for a failure, and a kind of device."""
        lines = []
        for number, line in enumerate(files[""].splitlines(), 1):
            if line == "broken":
                lines.append(LogLine(number, error="it is broken"))
                continue
            workload, candidate, seconds, kind = line.split()
            times = () if seconds == "-" else (float(seconds),)
            record = Record(
                Candidate(candidate, f'[["trace", "{candidate}"]]'),
                times,
                TrialState.OK if times else TrialState.RUN_ERROR,
            )
            message = "" if times else "it crashed"
            target = f"{kind} -old"
            lines.append(
                LogLine(number, build.workload(int(workload)), record, message, "", target, kind, "0.18.0")
            )
        return tuple(lines)

    def write_log(
        self,
        target: str,
        records: tuple[tuple[Workload, Record, str], ...],
        model: PreparedModel | None = None,
    ) -> WrittenLog:
        lines = []
        for workload, record, _ in records:
            seconds = record.times[0] if record.times else "-"
            lines.append(f"{int(workload.hash[:4], 16)} {record.candidate.hash} {seconds} cpu\n")
        return WrittenLog({"": "".join(lines).encode()})

    def compile(
        self, model: PreparedModel, target: str, choice: RecordChoice, params_beside: bool = False
    ) -> Future[CompiledModel]:
        tuned = tuple(choice.records)
        untuned = tuple({build.workload(n).hash for n in range(TASKS)} - set(tuned))
        future: Future[CompiledModel] = Future()
        if any(record.candidate.hash in self.unbuildable for record in choice.records.values()):
            future.set_exception(refusal("compiling the model"))
            return future
        future.set_result(CompiledModel(b"library", b"params" if params_beside else None, tuned, untuned))
        return future

    def known_kernel(self, target: str) -> tuple[Workload, Candidate]:
        return build.workload(0), Candidate("known", "[]")

    def build(self, workload: Workload, target: str, candidate: Candidate) -> Artifact:
        if candidate.hash in self.unbuildable:
            raise refusal("compiling")
        return Artifact(b"kernel", ".so", "[]")

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
        return ModelRun((np.zeros((1, 4)),), ((0.01 if compiled.tuned else 0.04),) * max(1, repeats))

    def begin_run(
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
    ) -> Future[ModelRun]:
        return finished(self.run, compiled, inputs, target, repeats, number, endpoint, settle_s, least_s)

    def reference_outputs(
        self, model: PreparedModel, seed: int, threads: int
    ) -> tuple[dict[str, Any], list[Any]]:
        return {spec.name: 0.0 for spec in model.inputs}, [0.0]

    def tracked(self, host: str, port: int) -> dict[str, int]:
        return {"board": 1}

    def random_inputs(self, specs: Sequence[TensorSpec], seed: int) -> dict[str, Array]:
        return {spec.name: np.zeros(spec.shape, spec.dtype) for spec in specs}

    def reference_run(self, model: PreparedModel, inputs: Mapping[str, Array], threads: int) -> list[Array]:
        return [np.zeros((1, 4))]

    def reference_timing(
        self,
        model: PreparedModel,
        inputs: Mapping[str, Array],
        threads: int,
        repeats: int,
        settle_s: float = 0.0,
        least_s: float = 0.0,
        baton: Baton | None = None,
    ) -> ModelTiming:
        return ModelTiming((0.0075,) * repeats)

    def begin_reference_timing(
        self,
        model: PreparedModel,
        inputs: Mapping[str, Array],
        threads: int,
        repeats: int,
        settle_s: float = 0.0,
        least_s: float = 0.0,
        baton: Baton | None = None,
    ) -> Future[ModelTiming]:
        return finished(self.reference_timing, model, inputs, threads, repeats, settle_s, least_s)

    def seconds_left(self, limit_s: float | None) -> float:
        return limit_s or 0.0

    def profile(
        self,
        model: PreparedModel,
        compiled: CompiledModel,
        inputs: Mapping[str, Array],
        target: str,
        runs: int,
    ) -> Profile:
        kernels = tuple(
            Kernel(f"conv{n}", build.workload(n).hash, 2, 0.002 * (n + 1), "products", 1000 * (n + 1), 9)
            for n in range(TASKS)
        )
        calls = tuple(Call(kernel.name, 0.002 * place, 0.001) for place, kernel in enumerate(kernels))
        return Profile((*kernels, Kernel("vm.builtin.reshape", "", 3, 0.000003)), calls)

    def reference_profile(
        self, model: PreparedModel, inputs: Mapping[str, Array], threads: int, repeats: int
    ) -> Profile:
        nodes = (
            Kernel("/conv/Conv", "", 1, 0.0005, "products", 1000, 9),
            Kernel("/softmax/Softmax", "", 1, 0.0002, "softmax", 7),
        )
        return Profile(nodes, (Call("/conv/Conv", 0.0, 0.0005),))

    def known_kernel_s(self, threads: int) -> float:
        return 0.002

    def check_original(
        self, path: str, inputs: Mapping[str, Array], outputs: Mapping[str, Array], threads: int
    ) -> OriginalCheck:
        difference = self.judge(build.prepared(), inputs, list(outputs.values()), [])
        return OriginalCheck(build.prepared().sha256, difference)

    def judge(
        self,
        model: PreparedModel,
        inputs: Mapping[str, Array],
        outputs: Sequence[Array],
        reference: Sequence[Array],
    ) -> OutputDifference:
        reason = "" if self.agree else "output 'y' is off by 2"
        return OutputDifference(2e-6, 4e-7, 0, "y", self.agree, reason)


def refusal(stage: str) -> EngineError:
    error = EngineError(f"InternalError while {stage}: no such instruction")
    error.stage = stage
    return error


def report(path: str, *, agree: bool = True) -> BenchReport:
    return BenchReport(
        model="squeezenet",
        path=path,
        device_class=build.CPU.device_class,
        threads=2,
        tasks_total=TASKS,
        tasks_tuned=TASKS,
        untuned_s=0.0402,
        tuned_s=0.0101,
        reference_s=0.0075,
        max_abs=2e-6,
        max_rel=4e-7,
        outputs_agree=agree,
        disagreement="" if agree else "output 'y' is off by 2",
        runs={"untuned": 10, "tuned": 25, "reference": 25},
        turns=5,
    )


def run_campaign(
    store: Storage,
    campaign_id: int,
    *,
    fleet: FleetOptions = FleetOptions(),  # noqa: B008 - frozen, as in the signature it stands in for
    listener: Listener | None = None,
    began: float | None = None,
    state: CampaignState = CampaignState.DONE,
    interrupted: bool = False,
    agree: bool = True,
) -> Outcome:
    """Measure what is missing of each task's 32 trials, and rest in a state."""
    owner = store.campaigns.get(campaign_id).lease_owner or build.OWNER
    assert store.leases.acquire(campaign_id, owner, 60.0)
    store.campaigns.transition(campaign_id, CampaignState.EXTRACTING, owner=owner)
    model_id = build.put_model(store, path=store.campaigns.models(campaign_id)[0].path)
    store.campaigns.set_model(campaign_id, 0, model_id)
    build.plan(store, campaign_id, owner=owner)
    store.campaigns.transition(campaign_id, CampaignState.TUNING, owner=owner)
    stored = sum(row.stored for row in store.tasks.of_campaign(campaign_id))
    measured = 0
    for row in store.tasks.of_campaign(campaign_id):
        measured += build.measure(
            store, campaign_id, of=int(row.workload_hash[:4], 16), trials=range(build.BUDGET), owner=owner
        )
        store.tasks.update(row.id, state=TaskState.SATISFIED, note="32 trials")
        if listener is not None:
            listener.activity(f"measuring {row.name}")
            listener.changed(campaign_id)
    message = "" if state is CampaignState.DONE else "interrupted"
    final = store.campaigns.transition(campaign_id, state, message=message, owner=owner)
    path = store.campaigns.models(campaign_id)[0].path
    reports = () if interrupted else (report(path, agree=agree),)
    return Outcome(final, reports, measured, stored, measured, interrupted)
