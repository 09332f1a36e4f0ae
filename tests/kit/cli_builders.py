"""A store with a tuned model in it, and what a command answers."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from orchestrator.builds.counterparts import Gap
from orchestrator.builds.profile import ProfileReport
from orchestrator.cli import app
from orchestrator.cli.kit.launchers import Coordinate, Follow, Launchers
from orchestrator.documents.profile import profile_document
from orchestrator.storage import (
    CampaignState,
    NewCampaignModel,
    NewTask,
    NewTrial,
    NewVerification,
    Storage,
    TaskState,
)
from orchestrator.toolbox import Toolbox
from workers.messages import (
    Call,
    Candidate,
    DeviceInfo,
    Extraction,
    Kernel,
    Measurement,
    PreparedModel,
    TaskSpec,
    TensorSpec,
    TrialState,
    Workload,
)

CPU = DeviceInfo(
    target='{"kind": "llvm", "mcpu": "znver4", "num-cores": 2}',
    device_class="znver4-2c-0a1b2c@amd-epyc-9r14",
    model="AMD EPYC 9R14",
    cores=2,
    kind="cpu",
    versions={"tvm": "0.27.0"},
)
TOOLCHAIN = {"tvm": "0.27.0", "llvm": "22"}
OWNER = "host-a:4711:f00d"
BUDGET = 32

# Names and arithmetic as they come out of a small detection model.
_KERNELS = (
    "conv2d",
    "conv2d_add_relu",
    "depthwise_conv2d_add_clip",
    "dense_add",
    "max_pool2d",
    "softmax",
    "add",
)


def workload(number: int) -> Workload:
    name = _KERNELS[number % len(_KERNELS)]
    return Workload(f"{number:04x}" + "ab" * 30, "metaschedule", name, 2e6 * (1 + number % 11), b"module")


def task_name(number: int) -> str:
    return f"fused_{_KERNELS[number % len(_KERNELS)]}{number}"


def prepared(tasks: int = 3) -> PreparedModel:
    x, y = TensorSpec("x", (1, 3, 224, 224), "float32"), TensorSpec("y", (1, 1000), "float32")
    return PreparedModel(
        f"{tasks:064x}", "squeezenet", b"onnx", (x,), (y,), ("fixed input 'x' to 1x3x224x224",)
    )


def extraction(tasks: int) -> Extraction:
    specs = (TaskSpec(task_name(n), 1 + n % 4, workload(n)) for n in range(tasks))
    reason = "convolutions and transforms are estimated to take blocks 1.2 ms; NCHW 2.6 ms"
    return Extraction(tuple(specs), "tvm-0.27.0-1", "blocked", reason)


def trial(number: int, campaign_id: int, *, of: int) -> NewTrial:
    """Every eighth fails; the others get faster with their number."""
    if number % 8 == 5:
        state = TrialState.BUILD_TIMEOUT if number % 16 == 5 else TrialState.RUN_ERROR
        measured = Measurement(state, (), "killed after 30 s\nwhile compiling", "cpu:0", "host-a", 0.4)
    else:
        seconds = (1 + of % 7) * 1e-4 * (1 + 1 / (1 + number))
        measured = Measurement(TrialState.OK, (seconds,), "", "cpu:0", "host-a", 0.4)
    candidate = Candidate(f"candidate-{of}-{number:03}", f'[["trace", {of}, {number}]]')
    return NewTrial(
        workload(of).hash,
        CPU.device_class,
        candidate,
        measured,
        campaign_id,
        0.2,
        f"t-{of}-{number}",
        TOOLCHAIN,
    )


def put_model(store: Storage, *, tasks: int = 3, path: str = "/models/squeezenet.onnx") -> int:
    store.device_classes.put("metaschedule", CPU)
    model_id = store.models.put(prepared(tasks), path)
    store.extractions.put(model_id, "metaschedule", CPU.target, extraction(tasks))
    return model_id


def put_known_model(store: Storage, file: Path, *, device: DeviceInfo = CPU, shapes_key: str = "") -> int:
    """A model that is stored as what it is: its file need not be read to find it."""
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    store.device_classes.put("metaschedule", device)
    model_id = store.models.put(dataclasses.replace(prepared(), sha256=digest), str(file), shapes_key)
    store.extractions.put(model_id, "metaschedule", device.target, extraction(3))
    return model_id


def put_campaign(store: Storage, *, name: str | None = None, **spec: Any) -> int:
    """A campaign that waits for a coordinator, and no more."""
    return store.campaigns.create(
        engine="metaschedule",
        spec={"targets": ["auto"], **spec},
        models=[NewCampaignModel("/models/squeezenet.onnx", {"x": (1, 3, 224, 224)})],
        name=name,
        seed=1,
    )


def rename(store: Storage, campaign_id: int, name: str) -> None:
    """Give a campaign a name as older releases took them: of any characters."""
    assert store.path is not None
    with contextlib.closing(sqlite3.connect(store.path)) as database, database:
        database.execute("UPDATE campaigns SET name = ? WHERE id = ?", (name, campaign_id))


def begin(store: Storage, campaign_id: int, *, tasks: int = 3, budget: int = BUDGET) -> None:
    """Hold a campaign and plan its tasks, as a coordinator does."""
    model_id = put_model(store, tasks=tasks)
    assert store.leases.acquire(campaign_id, OWNER, 60.0)
    store.campaigns.transition(campaign_id, CampaignState.EXTRACTING, owner=OWNER)
    store.campaigns.set_model(campaign_id, 0, model_id)
    plan(store, campaign_id, tasks=tasks, budget=budget)
    store.campaigns.transition(campaign_id, CampaignState.TUNING, owner=OWNER)


def plan(
    store: Storage, campaign_id: int, *, tasks: int = 3, budget: int = BUDGET, owner: str = OWNER
) -> None:
    stored = [
        s.stored for s in store.tasks.standings([(workload(n).hash, CPU.device_class) for n in range(tasks)])
    ]
    planned = [
        NewTask(workload(n).hash, CPU.device_class, task_name(n), 1 + n % 4, budget, stored[n])
        for n in range(tasks)
    ]
    store.tasks.put(campaign_id, planned, owner=owner)


def measure(store: Storage, campaign_id: int, *, of: int, trials: range, owner: str = OWNER) -> int:
    found = [trial(number, campaign_id, of=of) for number in trials]
    return store.trials.record(found, campaign_id=campaign_id, owner=owner)


def verify(store: Storage, campaign_id: int, *, agree: bool = True, turns_s: tuple[float, ...] = ()) -> None:
    """Store a comparison; in turns, where it is said what each took."""
    model_id = store.campaigns.models(campaign_id)[0].model_id
    assert model_id is not None
    store.verifications.put(
        NewVerification(
            model_id,
            CPU.device_class,
            "key",
            untuned_s=0.0402,
            tuned_s=0.0101,
            reference_s=0.0075,
            max_abs=2e-6,
            max_rel=4e-7,
            tasks_total=3,
            tasks_tuned=3,
            campaign_id=campaign_id,
            details={
                "agree": agree,
                "disagreement": "" if agree else "output 'y' is off by 2",
                "versions": {"tvm": "0.27.0", "onnxruntime": "1.32.0"},
                **({"turns_s": {"tuned": turns_s, "reference": (0.0075,) * len(turns_s)}} if turns_s else {}),
            },
        )
    )


def tuned(
    store: Storage,
    *,
    name: str | None = None,
    budget: int = BUDGET,
    agree: bool = True,
    turns_s: tuple[float, ...] = (),
) -> int:
    """A campaign that is done: three tasks, all trials of their budgets, a verification."""
    campaign_id = put_campaign(store, name=name, trials_per_task=budget)
    begin(store, campaign_id, budget=budget)
    for row in store.tasks.of_campaign(campaign_id):
        measure(store, campaign_id, of=int(row.workload_hash[:4], 16), trials=range(row.stored, budget))
        store.tasks.update(row.id, state=TaskState.SATISFIED, note=f"{budget} trials")
    verify(store, campaign_id, agree=agree, turns_s=turns_s)
    store.campaigns.add_active_time(campaign_id, 192.0)
    measured = sum(row.measured for row in store.tasks.of_campaign(campaign_id))
    store.campaigns.transition(
        campaign_id, CampaignState.DONE, message=f"measured {measured} trials", owner=OWNER
    )
    # An instant has milliseconds: what comes next is later.
    time.sleep(0.002)
    return campaign_id


@dataclass(frozen=True)
class Answer:
    """What a command wrote and how it ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


class Cli:
    """Runs commands on one database.

    Attributes
    ----------
    launchers : Launchers
        What its commands start engine processes and campaigns with.
    """

    def __init__(self, db: Path) -> None:
        self.db = db
        self.launchers = Launchers()

    def __call__(self, *words: str, db: bool = True) -> Answer:
        line = [*words, *(["--db", str(self.db)] if db else [])]
        result = CliRunner().invoke(app, line, obj=self.launchers)
        return Answer(result.exit_code, result.stdout, result.stderr)

    def launch(
        self,
        *,
        toolbox: Callable[[str], Toolbox] | None = None,
        follow: Follow | None = None,
        coordinate: Coordinate | None = None,
    ) -> None:
        """Have its commands start these from now on."""
        self.launchers = Launchers(
            toolbox or self.launchers.toolbox,
            follow or self.launchers.follow,
            coordinate or self.launchers.coordinate,
        )


def profiled(model: str = "squeezenet") -> dict[str, Any]:
    """What ``tunefleet profile`` stores of a model: one task that matters, and one that doesn't."""
    gaps = (
        Gap("fused_conv2d0", "00" * 32, 2, 140e-6, 2e6, 120e-6, 200e-6),
        Gap("vm.builtin.reshape", "", 3, 1e-6),
    )
    report = ProfileReport(
        model=model,
        model_id=1,
        device_class=CPU.device_class,
        threads=2,
        tasks_total=3,
        tasks_tuned=3,
        run_s=150e-6,
        reference_run_s=210e-6,
        gaps=gaps,
        nodes=(Kernel("/conv/Conv", "", 1, 200e-6, "products", 1000, 9),),
        unmatched_s=10e-6,
        calls=(Call("conv0", 0.0, 140e-6),),
        reference_calls=(Call("/conv/Conv", 0.0, 200e-6),),
        workloads={"conv0": "00" * 32},
    )
    return profile_document(report)
