"""A stand-in for the fleet: work is done at once and in this process, and it keeps a diary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from orchestrator.campaigns.planning.budgets import plan_tasks
from orchestrator.campaigns.planning.plan import CampaignPlan, _merged
from orchestrator.campaigns.spec import CampaignSpec
from orchestrator.errors import EngineLostError
from orchestrator.fleet.port import Completion
from orchestrator.models.extraction import ExtractedModel
from orchestrator.models.request import ModelRequest
from orchestrator.storage import NewCampaignModel, NewTask, Storage
from workers.messages import (
    BuildResult,
    Candidate,
    DeviceInfo,
    Extraction,
    Measurement,
    PreparedModel,
    TaskSpec,
    TensorSpec,
    TrialState,
    Workload,
)

CPU = DeviceInfo("llvm -num-cores 2", "cpu-a-2", "Some CPU", 2, "cpu", versions={"tvm": "0.27"})
OWNER = "host:1:me"


@dataclass(eq=False)
class StandInDevice:
    """A device of the fleet below."""

    device_class: str
    shares_cores: bool
    busy: bool = False
    paused: bool = False
    place: str = "here"


class StandInFleet:
    """What :class:`orchestrator.campaigns.scheduling.scheduler.Fleet` asks for, without a process.

    Attributes
    ----------
    diary : list of str
        What was asked of it, in order.
    fails : callable
        Given a kind of work and its number, the error it ends with, or None.
    """

    def __init__(self, *, slots: int = 2, shares_cores: bool = True) -> None:
        self.versions = {"tvm": "0.27"}
        self.total_slots = slots
        self.devices = [StandInDevice(CPU.device_class, shares_cores)]
        self.diary: list[str] = []
        self.sessions: set[str] = set()
        self.histories: list[int] = []
        self.related: list[int] = []
        self.lent: list[int] = []
        self.to_beat: list[float | None] = []
        self.fails: Callable[[str, int], EngineLostError | None] = lambda kind, number: None
        self.measurement: Callable[[int], Measurement] = lambda number: Measurement(
            TrialState.OK, (1.0 / number,), device="cpu:0", host="here"
        )
        self.counts: Counter[str] = Counter()
        self._queue: list[tuple[Any, bool, Callable[[], Any]]] = []
        self._proposed: Counter[str] = Counter()

    # -- what the loop reads

    @property
    def free_slots(self) -> int:
        if self.paused:
            return 0
        return self.total_slots - sum(compute for _, compute, _ in self._queue)

    @property
    def computing(self) -> int:
        return 0 if self.paused else sum(compute for _, compute, _ in self._queue)

    @property
    def all_devices(self) -> list[Any]:
        return []  # what stands in for them has no host

    @property
    def ready_devices(self) -> Counter[str]:
        return Counter(device.device_class for device in self.devices)

    def check(self, device_classes: Any) -> None:
        pass

    def idle_devices(self) -> list[StandInDevice]:
        return [device for device in self.devices if not device.busy]

    @property
    def paused(self) -> bool:
        return any(device.paused for device in self.devices)

    @property
    def paused_here(self) -> bool:
        return self.paused

    # -- work

    def search(self, tag: Any, session: str, method: str, *args: Any) -> None:
        def work() -> Any:
            if method == "open":
                self.sessions.add(session)
                workload, _, options, history, related, _ = args
                self.histories.append(len(history))
                self.related.append(len(related))
                self._workload = workload
                self._excluded = options.exclude
                return b""
            assert session in self.sessions, f"{method} in a search that is not open"
            if method == "learn":
                return b""
            # By task, not by session: an engine takes up where the stored candidates end.
            key = session.rsplit("-", 1)[0]
            self.lent.append(len(args[3]))
            found = []
            while len(found) < args[0]:
                name = f"{key}-{self._proposed[key]}"
                self._proposed[key] += 1
                if name not in self._excluded:
                    found.append(Candidate(name, f"trace {name}"))
            return tuple(found)

        self._add(method, tag, work)

    def train(self, tag: Any, samples: Any, timeout_s: float) -> None:
        self._add("train", tag, lambda: b"model")

    def close(self, session: str) -> None:
        self.diary.append("close")
        self.sessions.discard(session)

    def build(self, tag: Any, *args: Any) -> None:
        self._add("build", tag, lambda: (BuildResult(0.1), "artifact"))

    def measure(self, tag: Any, artifact: Any, device: StandInDevice, *args: Any) -> None:
        assert artifact == "artifact"
        assert not device.busy
        if device.shares_cores:
            assert device.paused, "measured while searches and builds run"
        device.busy = True
        self.to_beat.append(args[1])

        def work() -> Measurement:
            return self.measurement(self.counts["measure"] + self.counts["again"])

        # Apart, for how often a best is measured again depends on how its trials came out.
        again = getattr(tag, "tag", tag).again
        self._add("again" if again else "measure", tag, work, device=device)

    def _add(
        self, kind: str, tag: Any, work: Callable[[], Any], *, device: StandInDevice | None = None
    ) -> None:
        self.diary.append(kind)
        self._queue.append((tag, device is None, lambda: self._done(kind, tag, work, device)))

    def _done(self, kind: str, tag: Any, work: Callable[[], Any], device: StandInDevice | None) -> Completion:
        self.counts[kind] += 1
        if device is not None:
            device.busy = False
        error = self.fails(kind, self.counts[kind])
        if error is not None:
            return Completion(tag, error=error, lost=True)
        return Completion(tag, work())

    def wait(self, timeout_s: float) -> list[Completion]:
        # While paused, only what is measured goes on.
        ready = [item for item in self._queue if not (item[1] and self.paused)]
        self._queue = [item for item in self._queue if item not in ready]
        return [work() for _, _, work in ready]

    def pause(self, device: StandInDevice) -> None:
        assert not device.paused
        device.paused = True
        self.diary.append("pause")

    def resume(self, device: StandInDevice) -> None:
        assert device.paused
        device.paused = False
        self.diary.append("resume")


def workload(number: int) -> Workload:
    return Workload(f"{number:064x}", "plain", f"conv{number}", 1e6 * number, b"module")


def plan(store: Storage, spec: CampaignSpec, numbers: tuple[int, ...]) -> tuple[int, CampaignPlan]:
    """Store a campaign of one model with these tasks, held by OWNER, and plan it."""
    tensor = TensorSpec("x", (1, 3, 8, 8), "float32")
    prepared = PreparedModel(f"{hash(numbers) % 2**64:064x}", "model", b"onnx", (tensor,), (tensor,))
    tasks = tuple(TaskSpec(f"task{n}", n, workload(n)) for n in numbers)
    model_id = store.models.put(prepared, "/model.onnx")
    store.device_classes.put("plain", CPU)
    store.extractions.put(model_id, "plain", CPU.target, Extraction(tasks, "1"))
    extracted = ExtractedModel(model_id, ModelRequest(path="/model.onnx"), prepared, CPU, tasks, "1", False)
    wanted = _merged([extracted], spec)
    planned = plan_tasks(
        wanted,
        store.tasks.standings([(task.workload_hash, task.device_class) for task in wanted]),
        trials=spec.trials,
        trials_per_task=spec.trials_per_task,
        plateau=spec.plateau,
    )
    campaign = store.campaigns.create(
        engine="plain", spec={}, models=[NewCampaignModel("/model.onnx")], owner=OWNER, ttl_s=600
    )
    store.tasks.put(
        campaign,
        [
            NewTask(p.task.workload_hash, p.task.device_class, p.task.name, p.task.weight, p.budget)
            for p in planned
        ],
        owner=OWNER,
    )
    return campaign, CampaignPlan((extracted,), (CPU,), tuple(planned))
