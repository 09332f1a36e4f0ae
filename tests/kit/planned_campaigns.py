"""Campaigns of a model that was never read, planned and stored."""

from __future__ import annotations

from orchestrator.campaigns.planning.budgets import WantedTask, plan_tasks
from orchestrator.campaigns.planning.plan import CampaignPlan
from orchestrator.campaigns.spec import CampaignSpec
from orchestrator.models.extraction import ExtractedModel
from orchestrator.models.request import ModelRequest
from orchestrator.storage import NewCampaignModel, NewTask, Storage
from workers.messages import DeviceInfo, Extraction, PreparedModel, TaskSpec, TensorSpec, Workload

__all__ = ["CPU", "OWNER", "plan", "workload"]

CPU = DeviceInfo("llvm -num-cores 2", "cpu-a-2", "Some CPU", 2, "cpu", versions={"tvm": "0.27"})
OWNER = "host:1:me"


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
    wanted = [
        WantedTask(t.workload.hash, CPU.device_class, t.name, t.weight, t.workload.flops) for t in tasks
    ]
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
