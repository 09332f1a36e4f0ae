"""What cost models learned, as it is stored."""

from __future__ import annotations

import pytest

from orchestrator.errors import NotFoundError
from orchestrator.storage import Experience, NewSamples, Storage, cost_models
from tests.kit.storage_builders import CPU, GPU, stock, workload

KIND = "features"


def learned(
    storage: Storage, where: str, samples: bytes, *, of: int = 0, count: int = 8, kind: str = KIND
) -> None:
    storage.cost_models.learned(where, kind, [NewSamples(workload(of).hash, count, samples)], None, 0)


def test_the_latest_samples_come_first_and_the_latest_model_alone(storage: Storage) -> None:
    stock(storage, 0, 1)
    here = CPU.device_class
    assert storage.cost_models.experience(here, KIND) == Experience()
    storage.cost_models.learned(here, KIND, [NewSamples(workload(0).hash, 8, b"first")], b"old", 8)
    storage.cost_models.learned(here, KIND, [NewSamples(workload(1).hash, 4, b"second")], b"new", 12)
    learned(storage, here, b"another kind", kind="wider")

    assert storage.cost_models.experience(here, KIND) == Experience((b"second", b"first"), 12, b"new")
    assert storage.cost_models.experience(here, "wider").model is None


def test_of_other_device_classes_come_those_workloads_that_are_not_known_here(storage: Storage) -> None:
    stock(storage, 0, 1)
    learned(storage, GPU.device_class, b"theirs of a workload known here", of=0)
    learned(storage, GPU.device_class, b"theirs", of=1)
    learned(storage, CPU.device_class, b"ours", of=0)

    found = storage.cost_models.experience(CPU.device_class, KIND)
    assert (found.samples, found.count) == ((b"ours", b"theirs"), 16)


def test_a_campaign_begins_with_so_many_and_the_store_keeps_so_many(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost_models, "_OWN", 10)
    monkeypatch.setattr(cost_models, "KEPT", 20)
    stock(storage, 0)
    for number in range(5):
        learned(storage, CPU.device_class, b"%d" % number)

    assert storage.cost_models.experience(CPU.device_class, KIND).samples == (b"4", b"3")
    monkeypatch.setattr(cost_models, "_OWN", 1000)
    assert storage.cost_models.experience(CPU.device_class, KIND).samples == (b"4", b"3", b"2")


def test_what_is_not_stored_has_learned_nothing(storage: Storage) -> None:
    stock(storage, 0)
    with pytest.raises(NotFoundError):
        learned(storage, CPU.device_class, b"x", of=7)
    with pytest.raises(NotFoundError, match="nowhere"):
        learned(storage, "nowhere", b"x")
