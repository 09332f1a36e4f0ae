"""Models of which two layouts are close, without any engine: their tasks are numbers."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path

from orchestrator.campaigns.planning.plan import CampaignPlan, make_plan
from orchestrator.campaigns.spec import CampaignSpec
from orchestrator.errors import EngineError
from orchestrator.fleet.work import BuildWork, MeasureWork
from orchestrator.storage import NewCampaignModel, NewTask, Storage, TaskState
from tests.kit.planned_campaigns import CPU, OWNER, workload
from tests.kit.stand_in_fleet import Simulated
from tests.kit.stand_ins import CannedToolbox
from workers.messages import (
    BuildResult,
    DeviceInfo,
    Extraction,
    Measurement,
    PreparedModel,
    TaskSpec,
    TensorSpec,
    TrialState,
)

__all__ = ["BLOCKED", "BUDGET", "NHWC", "CloseToolbox", "Timed", "begin", "put", "spec"]

#: Trials of each task, where nothing else is asked for.
BUDGET = 25
#: Calls of each task by its number. Both have the first two; the second is called once more in blocks.
BLOCKED, NHWC = {1: 1, 2: 3, 3: 1, 4: 2}, {1: 1, 2: 2, 5: 1, 6: 2}


class CloseToolbox(CannedToolbox):
    """Says of every model that it has these tasks in blocks, and those in NHWC, and that both are close.

    Attributes
    ----------
    extracted : list of str
        The layouts that it was asked for, in order.
    """

    #: What it says of NHWC instead.
    refusal = ""

    def __init__(
        self,
        blocked: Mapping[int, int] = BLOCKED,
        nhwc: Mapping[int, int] = NHWC,
        devices: tuple[DeviceInfo, ...] = (CPU,),
    ) -> None:
        super().__init__("plain")
        self._tasks = {"blocked": blocked, "nhwc": nhwc}
        self._devices = {device.target: device for device in devices}
        self.extracted: list[str] = []

    def prepare(self, path: str, shapes: Mapping[str, tuple[int, ...]]) -> PreparedModel:
        tensor = TensorSpec("x", (1, 3, 8, 8), "float32")
        file = Path(path)
        digest = hashlib.sha256(file.read_bytes() if file.is_file() else path.encode()).hexdigest()
        return PreparedModel(digest, Path(path).stem, b"onnx", (tensor,), (tensor,))

    def toolchain_of(self, device: DeviceInfo) -> dict[str, str]:
        return {"tvm": "0.27"}  # as the simulated fleet has it

    def resolve_target(self, spec: str) -> DeviceInfo:
        return self._devices.get(spec, CPU)

    def extract(self, model: PreparedModel, target: str) -> Extraction:
        self.extracted.append(model.layout)
        if model.layout == "nhwc" and self.refusal:
            raise EngineError(self.refusal)
        layout = "blocked" if model.layout == "auto" else model.layout
        tasks = tuple(TaskSpec(f"task{n}", calls, workload(n)) for n, calls in self._tasks[layout].items())
        if model.layout != "auto":
            return Extraction(tasks, "", layout)
        reason = "estimated to take blocks 1.2 ms; NHWC 1.3 ms"
        return Extraction(tasks, "", layout, reason, "nhwc", 0.0012, 0.0013)


def spec(**changes: object) -> CampaignSpec:
    """Ask for so many trials of each task that five are few."""
    return CampaignSpec.of({"models": [{"path": "/model.onnx"}], "trials_per_task": BUDGET, **changes})


def put(store: Storage, spec: CampaignSpec) -> int:
    """Store a campaign, held by OWNER."""
    return store.campaigns.create(
        engine="plain",
        spec=spec.model_dump(mode="json"),
        models=[NewCampaignModel(request.path) for request in spec.models],
        owner=OWNER,
        ttl_s=600,
    )


def begin(
    store: Storage, spec: CampaignSpec, tools: CloseToolbox, campaign_id: int | None = None
) -> tuple[int, CampaignPlan]:
    """Plan a campaign, a new one or one that goes on, and store its tasks."""
    campaign_id = put(store, spec) if campaign_id is None else campaign_id
    plan = make_plan(store, tools, spec, campaign_id=campaign_id)
    for model in plan.models:
        store.campaigns.set_model(campaign_id, 0, model.id)
    store.tasks.put(
        campaign_id,
        [
            NewTask(
                one.task.workload_hash,
                one.task.device_class,
                one.task.name,
                one.task.weight,
                one.budget,
                one.standing.stored,
                TaskState.SATISFIED if one.satisfied else TaskState.OPEN,
                one.satisfied,
            )
            for one in plan.tasks
        ],
        owner=OWNER,
    )
    return campaign_id, plan


class Timed(Simulated):
    """A simulated fleet on which every call of a task takes its own seconds, whatever the candidate.

    Attributes
    ----------
    seconds : dict of int to float
        By the number of the task; a second for others. Infinity stands for a candidate that crashes.
    built : list of int
        Tasks of which candidates were built, in order.
    """

    def __init__(self, **seconds: float) -> None:
        super().__init__()
        self.seconds = {int(name.removeprefix("task")): time for name, time in seconds.items()}
        self.built: list[int] = []
        self._of: dict[str, int] = {}

    def build(self, work: BuildWork, took_s: float) -> BuildResult:
        number = int(work.workload.hash, 16)
        self._of[work.candidate.hash] = number
        self.built.append(number)
        return super().build(work, took_s)

    def measure(self, work: MeasureWork, took_s: float) -> Measurement:
        candidate = getattr(work.artifact, "candidate")  # noqa: B009 - the fleet's own kind of handle
        time = self.seconds.get(self._of[candidate], 1.0)
        if math.isinf(time):
            return Measurement(TrialState.RUN_ERROR, message="it crashed")
        return Measurement(TrialState.OK, (time,), device="cpu:0", host="here")
