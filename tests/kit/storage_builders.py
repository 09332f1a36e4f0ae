"""Small values to store."""

from __future__ import annotations

from orchestrator.storage import NewCampaignModel, NewTask, NewTrial, Storage
from workers.messages import (
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
GPU = DeviceInfo("cuda -arch=sm_90", "gpu-b", "Some GPU", 0, "cuda", versions={"tvm": "0.27"})


def workload(n: int = 0) -> Workload:
    return Workload(f"{n:04x}" + "ab" * 30, "metaschedule", f"conv{n}", 1e6 * (n + 1), b"module" * (n + 1))


def model(n: int = 0) -> PreparedModel:
    tensor = TensorSpec("x", (1, 3, 8, 8), "float32")
    return PreparedModel(f"{n:064x}", f"model{n}", b"onnx", (tensor,), (tensor,), ("opset raised to 17",))


def extraction(*numbers: int) -> Extraction:
    return Extraction(tuple(TaskSpec(f"task{n}", n + 1, workload(n)) for n in numbers), "0.27.0")


def ok(n: int, seconds: float, *, of: int = 0, on: DeviceInfo = CPU, campaign: int | None = None) -> NewTrial:
    times = (seconds * 0.9, seconds, seconds * 3)
    measured = Measurement(TrialState.OK, times, "", "cpu:0", "host-a", 0.5)
    candidate = Candidate(f"candidate-{n}", f'[["trace", {n}]]')
    return NewTrial(
        workload(of).hash, on.device_class, candidate, measured, campaign, 0.2, f"token-{n}", {"tvm": "0.27"}
    )


def failed(
    n: int,
    state: TrialState = TrialState.BUILD_ERROR,
    *,
    of: int = 0,
    on: DeviceInfo = CPU,
    campaign: int | None = None,
) -> NewTrial:
    measured = Measurement(state, (), f"it failed: {n}", "cpu:0", "host-a", 0.1)
    candidate = Candidate(f"candidate-{n}", f'[["trace", {n}]]')
    return NewTrial(
        workload(of).hash, on.device_class, candidate, measured, campaign, versions={"tvm": "0.27"}
    )


def stock(storage: Storage, *numbers: int) -> int:
    """Store both device classes and a model with these workloads, for the CPU and the GPU; return its id."""
    storage.device_classes.put("metaschedule", CPU)
    storage.device_classes.put("metaschedule", GPU)
    model_id = storage.models.put(model(), "/models/model0.onnx")
    for device in (CPU, GPU):
        storage.extractions.put(model_id, "metaschedule", device.target, extraction(*(numbers or (0,))))
    return model_id


def campaign(storage: Storage, **changes: object) -> int:
    values: dict[str, object] = {
        "engine": "metaschedule",
        "spec": {"trials": 64},
        "models": [NewCampaignModel("/models/model0.onnx", {"x": (1, 3, 8, 8)})],
    }
    return storage.campaigns.create(**{**values, **changes})  # type: ignore[arg-type]


def task(of: int = 0, *, on: DeviceInfo = CPU, budget: int = 32, stored: int = 0) -> NewTask:
    return NewTask(workload(of).hash, on.device_class, f"task{of}", of + 1, budget, stored)
