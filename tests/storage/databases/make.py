"""Makes the stored databases of the checkout's schema revision, as this release would write them::

    python -m tests.storage.databases.make

Run once for every revision, before it is released, and never again for that one: what it made is then a
database of an older release. It takes a PostgreSQL, which it starts itself.
"""

from __future__ import annotations

import gzip
import os
import sqlite3
import subprocess
import tempfile
from pathlib import Path

from benchmarks.postgres_server import PostgresServer, find_binaries
from orchestrator.storage import (
    CampaignState,
    CheckState,
    MeasurementKey,
    MeasurementKind,
    NewAuditEntry,
    NewBeginning,
    NewCampaignModel,
    NewDeviceCheck,
    NewInside,
    NewLayoutDecision,
    NewMeasurement,
    NewSamples,
    NewSearch,
    NewTask,
    NewToken,
    NewTrial,
    NewVerification,
    Sighting,
    Storage,
    TokenScope,
)
from orchestrator.storage import TaskState as T
from orchestrator.storage._schema import HEAD
from workers.messages import (
    Candidate,
    Condition,
    DeviceInfo,
    Extraction,
    Measurement,
    Origin,
    PreparedModel,
    TaskSpec,
    TensorSpec,
    TrialState,
    Workload,
)

HERE = Path(__file__).parent
CPU = DeviceInfo("llvm -num-cores 2", "cpu-a-2", "Some CPU", 2, "cpu", versions={"tvm": "0.27.0"})
GPU = DeviceInfo("cuda -arch=sm_90", "gpu-b", "Some GPU", 0, "cuda", versions={"tvm": "0.27.0"})
CONV = Workload("c0" * 32, "metaschedule", "fused_conv2d_add_relu", 2.3e8, b"conv" * 100)
DENSE = Workload("de" * 32, "metaschedule", "fused_matmul_add", 4.1e6, b"dense" * 100)
TRACE = '[[["SampleCategorical", [], [{n}, 64], []]], [[0, {n}]]]'


def fill(storage: Storage) -> None:
    """Store what `test_storage_upgrades.py` looks for."""
    for device in (CPU, GPU):
        storage.device_classes.put("metaschedule", device)
        storage.devices.see([Sighting(f"{device.kind}-key", "host-a", device)])
    tensor = TensorSpec("input", (1, 3, 224, 224), "float32")
    squeezenet = PreparedModel(
        "ab" * 32,
        "squeezenet",
        b"onnx",
        (tensor,),
        (tensor,),
        ("opset raised to 17",),
        origin=Origin("squeezenet.pt2", "PyTorch 2.13.0", "torch.onnx.export(dynamo=True)"),
    )
    model_id = storage.models.put(squeezenet, "/models/squeezenet.onnx", "input=1,3,224,224")
    tasks = (TaskSpec("conv", 3, CONV), TaskSpec("dense", 1, DENSE))
    close = Extraction(tasks, "0.27.0-1", "blocked", "by its estimate", "nhwc", 0.0012, 0.0013)
    for device in (CPU, GPU):
        storage.extractions.put(model_id, "metaschedule", device.target, close)

    nightly = _campaign(storage, "nightly", "somebody")
    storage.campaigns.set_model(nightly, 0, model_id)
    storage.campaigns.transition(nightly, CampaignState.EXTRACTING, owner="somebody")
    plan = [
        NewTask(CONV.hash, CPU.device_class, "conv", 3, 16),
        NewTask(DENSE.hash, CPU.device_class, "dense", 1, 8),
    ]
    storage.tasks.put(nightly, plan, owner="somebody")
    storage.campaigns.transition(nightly, CampaignState.TUNING, owner="somebody")
    states = list(TrialState)
    trials = [_trial(n, CONV, CPU, TrialState.OK, nightly) for n in range(8)]
    trials += [_trial(n, DENSE, CPU, states[n % len(states)], nightly) for n in range(len(states))]
    storage.trials.record(trials, campaign_id=nightly, owner="somebody")
    conv, dense = storage.tasks.of_campaign(nightly)
    storage.tasks.update(conv.id, state=T.PLATEAUED, note="the last 8 brought nothing better")
    storage.tasks.update(dense.id, state=T.EXHAUSTED, note="its space is used up")
    decision = NewLayoutDecision(
        model_id, CPU.device_class, "0.27.0-1", "nhwc", "blocked", 0.001, 0.002, "it is faster"
    )
    storage.beginnings.put(nightly, NewBeginning(model_id, CPU.device_class, 0.4, 0.01), owner="somebody")
    insides = {CONV.hash: NewInside(_trial(0, CONV, CPU, TrialState.OK, nightly).candidate.hash, 0.0015)}
    storage.insides.put(model_id, CPU.device_class, insides)
    storage.searches.add(nightly, [NewSearch("host-a", 1.0, 2.5)], owner="somebody")
    storage.layouts.decide(nightly, decision, {"blocked": [], "nhwc": []}, owner="somebody")
    storage.campaigns.add_active_time(nightly, 12.5)
    storage.campaigns.transition(nightly, CampaignState.VERIFYING, owner="somebody")
    storage.verifications.put(
        NewVerification(
            model_id, CPU.device_class, "key", 0.4, 0.02, 0.01, 1e-5, 2e-6, 2, 2, nightly, {"runs": 5}
        )
    )
    storage.campaigns.transition(nightly, CampaignState.DONE, message="measured 15 trials", owner="somebody")

    paused = _campaign(storage, "weekly", None)
    storage.campaigns.transition(paused, CampaignState.PAUSED, message="paused on request")
    begun = _campaign(storage, None, "a coordinator that died")
    storage.campaigns.transition(begun, CampaignState.EXTRACTING, owner="a coordinator that died")
    token = storage.tokens.create(NewToken("ada", "ab" * 32, TokenScope.SUBMIT, campaigns_at_once=2))
    storage.submissions.put(paused, token.id)
    for state, time_s, drift in ((CheckState.FIRST, 0.001, 0.0), (CheckState.DRIFTED, 0.0013, 0.3)):
        storage.device_checks.put(
            NewDeviceCheck(
                CPU.device_class,
                "cpu-key",
                "host-a",
                "known",
                state,
                "run",
                60.0,
                {"tvm": "0.27.0"},
                (time_s,),
                time_s,
                0.001,
                drift,
                condition=Condition(2600.0, "performance", 1.5),
            ),
            campaign_id=nightly,
        )
    drifted = MeasurementKey(CONV.hash, CPU.device_class, f"{2:064x}", "token-2")
    storage.measurements.mark([drifted], 0.3)
    storage.audit.note(
        NewAuditEntry("pause", f"campaign {paused}", token.id, "ada", "192.0.2.7", {"why": "x"})
    )
    storage.profiles.add(model_id, CPU.device_class, {"run_s": 0.002, "tasks": []})
    storage.cost_models.learned(
        CPU.device_class, "features", [NewSamples(CONV.hash, 8, b"samples")], b"model", 8, campaign_id=nightly
    )
    # Imported, say: of no campaign, on the other device class.
    storage.trials.record([_trial(9, CONV, GPU, TrialState.OK, None)])
    # Measured again, and then with another driver.
    storage.measurements.add([_again(9, CONV, GPU, MeasurementKind.AGAIN, {"tvm": "0.27.0"}, 0.007)])
    driven = {"tvm": "0.27.0", "llvm": "22", "kernels": "1", "driver": "550.54"}
    storage.toolchains.adopt(GPU.device_class, driven)
    storage.measurements.add([_again(9, CONV, GPU, MeasurementKind.REVALIDATED, driven, 0.008)])


def _campaign(storage: Storage, name: str | None, owner: str | None) -> int:
    return storage.campaigns.create(
        engine="metaschedule",
        spec={"trials": 24, "models": [{"path": "/models/squeezenet.onnx"}]},
        models=[NewCampaignModel("/models/squeezenet.onnx", {"input": (1, 3, 224, 224)})],
        name=name,
        seed=2**40,
        owner=owner,
        ttl_s=0.01,
    )


def _trial(
    n: int, workload: Workload, device: DeviceInfo, state: TrialState, campaign: int | None
) -> NewTrial:
    ok = state is TrialState.OK
    times = (0.001 * (9 - n), 0.002 * (9 - n), 0.003 * (9 - n)) if ok else ()
    measured = Measurement(state, times, "" if ok else f"it failed: {n}\n  at line 1", "cpu:0", "host-a", 0.5)
    candidate = Candidate(f"{n:064x}", TRACE.format(n=n))
    return NewTrial(
        workload.hash,
        device.device_class,
        candidate,
        measured,
        campaign,
        0.25,
        f"token-{n}",
        {"tvm": "0.27.0"},
    )


def _again(
    n: int,
    workload: Workload,
    device: DeviceInfo,
    kind: MeasurementKind,
    versions: dict[str, str],
    seconds: float,
) -> NewMeasurement:
    measured = Measurement(TrialState.OK, (seconds,), "", "gpu:0", "host-b", 0.4)
    token = f"token-{n}-{kind.value}"
    return NewMeasurement(
        workload.hash, device.device_class, f"{n:064x}", measured, kind, token, versions, 0.2
    )


def make_sqlite(target: Path) -> None:
    """Write a compressed SQLite file, without its write-ahead log."""
    with tempfile.TemporaryDirectory() as folder:
        full, compact = Path(folder, "full.db"), Path(folder, "compact.db")
        with Storage.open(str(full)) as storage:
            fill(storage)
        connection = sqlite3.connect(full)
        connection.execute(f"VACUUM INTO '{compact}'")
        connection.close()
        target.write_bytes(gzip.compress(compact.read_bytes(), mtime=0))


def make_postgresql(target: Path) -> None:
    """Write a dump in SQL that a driver can send, psql's own commands left out."""
    with PostgresServer({"fsync": "off"}) as server:
        url = server.url
        with Storage.open(url.render_as_string(hide_password=False)) as storage:
            fill(storage)
        dump = subprocess.run(
            [str(find_binaries() / "pg_dump"), "--inserts", "--no-owner", "--no-privileges", "--no-comments"],
            env={
                **os.environ,
                "PGHOST": str(url.query["host"]),
                "PGUSER": str(url.username),
                "PGDATABASE": str(url.database),
            },
            stdout=subprocess.PIPE,
            text=True,
            timeout=120,
            check=True,
        ).stdout
    lines = [line for line in dump.splitlines() if line and not line.startswith(("\\", "--"))]
    target.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    make_sqlite(HERE / f"{HEAD}.db.gz")
    make_postgresql(HERE / f"{HEAD}.sql")
