"""Where models' time goes, as it is stored."""

from __future__ import annotations

import pytest

from orchestrator.errors import NotFoundError
from orchestrator.storage import Storage
from tests.kit.storage_builders import CPU, GPU, stock


def test_the_latest_profile_of_a_model_on_a_device_class_is_read(storage: Storage) -> None:
    known = stock(storage)
    here, there = CPU.device_class, GPU.device_class
    assert storage.profiles.latest(known, here) is None

    storage.profiles.add(known, here, {"run_s": 0.002, "tasks": []})
    storage.profiles.add(known, here, {"run_s": 0.001, "tasks": [{"name": "naïve"}]})

    found = storage.profiles.latest(known, here)
    assert found is not None
    assert found.document == {"run_s": 0.001, "tasks": [{"name": "naïve"}]}
    assert (found.model_id, found.device_class) == (known, here)
    assert storage.profiles.latest(known, there) is None


def test_a_device_class_that_is_not_stored_has_no_profiles(storage: Storage) -> None:
    known = stock(storage)
    with pytest.raises(NotFoundError, match="nowhere"):
        storage.profiles.add(known, "nowhere", {})
