"""Models, workloads, extractions and devices."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from orchestrator.errors import NotFoundError, StorageError
from orchestrator.storage import Sighting, Storage
from tests.kit.storage_builders import CPU, GPU, extraction, model, stock, workload
from workers.messages import Origin


def test_a_model_is_stored_once_per_content_and_shapes(storage: Storage) -> None:
    first = storage.models.put(model(), "/a.onnx", "x:1")
    assert storage.models.put(model(), "/b.onnx", "x:1") == first
    assert storage.models.put(model(), "/a.onnx", "x:8") != first
    row = storage.models.find(model().sha256, "x:1")
    assert row is not None
    assert (row.id, row.path, row.inputs, row.changes) == (first, "/b.onnx", model().inputs, model().changes)
    assert storage.models.get(first) == row
    assert storage.models.find("0" * 63 + "9") is None
    with pytest.raises(NotFoundError):
        storage.models.get(999)


def test_a_model_says_what_it_was_converted_from(storage: Storage) -> None:
    origin = Origin("net.pt2", "PyTorch 2.13.0", "torch.onnx.export(dynamo=True)")
    converted = storage.models.put(replace(model(), origin=origin), "/net.onnx")
    assert storage.models.get(converted).origin == origin
    assert storage.models.get(storage.models.put(model(1), "/a.onnx")).origin is None


def test_instants_are_utc_by_the_databases_clock(storage: Storage) -> None:
    row = storage.models.get(storage.models.put(model(), "/a.onnx"))
    assert row.created_at.tzinfo is timezone.utc
    assert abs(datetime.now(timezone.utc) - row.created_at) < timedelta(seconds=60)


def test_an_extraction_comes_back_as_it_was_put(storage: Storage) -> None:
    model_id = stock(storage, 2, 0, 1)
    assert storage.extractions.find(model_id, "metaschedule", CPU.target, "0.27.0") == extraction(2, 0, 1)


def test_no_tasks_is_not_the_same_as_not_extracted(storage: Storage) -> None:
    model_id = storage.models.put(model(), "/a.onnx")
    assert storage.extractions.find(model_id, "metaschedule", CPU.target, "0.27.0") is None
    storage.extractions.put(model_id, "metaschedule", CPU.target, extraction())
    assert storage.extractions.find(model_id, "metaschedule", CPU.target, "0.27.0") == extraction()
    assert storage.extractions.find(model_id, "metaschedule", CPU.target, "0.28.0") is None
    assert storage.extractions.find(model_id, "metaschedule", GPU.target, "0.27.0") is None
    assert storage.extractions.find(model_id, "autotvm", CPU.target, "0.27.0") is None


def test_putting_an_extraction_again_changes_nothing(storage: Storage) -> None:
    model_id = stock(storage, 0, 1)
    before = storage.extractions.put(model_id, "metaschedule", CPU.target, extraction(0, 1))
    assert storage.extractions.put(model_id, "metaschedule", CPU.target, extraction(5)) == before
    assert storage.extractions.find(model_id, "metaschedule", CPU.target, "0.27.0") == extraction(0, 1)
    with pytest.raises(NotFoundError, match="no model 99"):
        storage.extractions.put(99, "metaschedule", CPU.target, extraction(0))


def test_models_share_workloads(storage: Storage) -> None:
    stock(storage, 0, 1)
    second = storage.models.put(model(1), "/b.onnx")
    storage.extractions.put(second, "metaschedule", CPU.target, extraction(1, 2))
    assert [row.name for row in storage.workloads.search()] == ["conv0", "conv1", "conv2"]


def test_a_workload_is_found_by_the_start_of_its_hash(storage: Storage) -> None:
    stock(storage, 0, 1)
    assert storage.workloads.resolve("0001").hash == workload(1).hash
    assert storage.workloads.resolve(workload(0).hash).name == "conv0"
    assert storage.workloads.get(workload(1).hash) == workload(1)
    with pytest.raises(NotFoundError, match="several workloads"):
        storage.workloads.resolve("000")
    for missing in ("ff", "", "%", "_"):
        with pytest.raises(NotFoundError):
            storage.workloads.resolve(missing)
    with pytest.raises(NotFoundError):
        storage.workloads.get("0001")


def test_a_device_class_never_comes_to_mean_something_else(storage: Storage) -> None:
    first = storage.device_classes.put("metaschedule", CPU)
    assert storage.device_classes.put("metaschedule", CPU) == first
    for other in (replace(CPU, target="llvm -num-cores 4"), replace(CPU, cores=4), replace(CPU, model="B")):
        with pytest.raises(StorageError, match="cpu-a-2 is stored as"):
            storage.device_classes.put("metaschedule", other)
    found = storage.device_classes.find("cpu-a-2")
    assert found is not None
    assert (found.engine, found.target, found.cores) == ("metaschedule", CPU.target, 2)
    assert storage.device_classes.find("nothing") is None
    storage.device_classes.put("metaschedule", GPU)
    assert [row.name for row in storage.device_classes.all()] == ["cpu-a-2", "gpu-b"]
    assert storage.device_classes.all("autotvm") == []


def test_a_device_is_known_by_key_and_host(storage: Storage) -> None:
    with pytest.raises(NotFoundError, match="cpu-a-2"):
        storage.devices.see([Sighting("cpu", "host-a", CPU)])
    stock(storage)
    storage.devices.see([Sighting("cpu", "host-a", CPU)])
    before = storage.devices.all()
    storage.devices.see([Sighting("cpu", "host-a", replace(CPU, versions={"tvm": "0.28"}))])
    storage.devices.see([Sighting("cpu", "host-b", CPU)])
    after = {row.host: row for row in storage.devices.all()}
    assert set(after) == {"host-a", "host-b"}
    assert after["host-a"].versions == {"tvm": "0.28"}
    assert (after["host-a"].state, after["host-a"].trials_per_hour) == ("seen", None)
    storage.devices.see(
        [
            Sighting("cpu", "host-a", CPU, "busy", "", 120.0),
            Sighting("cpu", "host-b", CPU, "lost", "no answer"),
        ]
    )
    storage.devices.see([Sighting("cpu", "host-a", CPU, "free")])
    now = {row.host: (row.state, row.message, row.trials_per_hour) for row in storage.devices.all()}
    assert now == {"host-a": ("free", "", 120.0), "host-b": ("lost", "no answer", None)}
    assert after["host-a"].last_seen_at >= before[0].last_seen_at


def test_a_file_is_stored_once_for_each_of_its_input_shapes(storage: Storage) -> None:
    ids = [storage.models.put(model(), "/m.onnx", shapes) for shapes in ("x:1,3,8,8", "", "x:2,3,8,8")]
    storage.models.put(model(1), "/other.onnx")
    found = storage.models.of_file(model().sha256)
    assert [(row.id, row.shapes_key) for row in found] == [
        (ids[0], "x:1,3,8,8"),
        (ids[1], ""),
        (ids[2], "x:2,3,8,8"),
    ]
    assert storage.models.of_file("0") == []
