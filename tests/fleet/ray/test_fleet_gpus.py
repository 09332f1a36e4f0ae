"""Which server sees which GPU. Ray is told of GPUs that aren't there, and the engine believes it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster

from orchestrator.errors import EngineError
from orchestrator.fleet.completions import CandidateMeasured
from orchestrator.fleet.port import DevicesWanted
from orchestrator.fleet.ray import actors, joining
from orchestrator.fleet.ray.cluster import ROLE_LABEL
from orchestrator.fleet.ray.find import find_devices
from orchestrator.fleet.ray.fleet import RayFleet
from orchestrator.fleet.work import MeasureWork
from tests.kit.lean_ray import LEAN
from workers.engines.metaschedule import ENGINE as REAL
from workers.messages import Artifact, EvaluatorConfig

ENGINE = "stand_in_engines.gpus"
TARGET = "cuda -arch=sm_90"
# As where Ray was started for two GPUs of several, and with NVIDIA's other ways to name them.
NUMBERS, UUIDS = "2,3", "GPU-8f6d0b9c,MIG-51fe32a1"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    node: dict[str, Any] = {"num_cpus": 0, "num_gpus": 2, "labels": {ROLE_LABEL: "measure"}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUDA_VISIBLE_DEVICES", NUMBERS)
        made = Cluster(initialize_head=True, head_node_args={**node, **LEAN})
        patch.setenv("CUDA_VISIBLE_DEVICES", UUIDS)
        made.add_node(**node)
    yield made
    made.shutdown()


@pytest.fixture
def fleet(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[RayFleet]:
    wanted = DevicesWanted((REAL.targets.resolve_target(request.param),))
    made = RayFleet(ENGINE, wanted, address=cluster.address)
    yield made
    made.stop()


def seen(fleet: RayFleet) -> list[str]:
    """Ask every device's server for the GPUs that it sees."""
    devices = fleet.idle_devices()
    for device in devices:
        fleet.submit(MeasureWork(Artifact(b"", ".so", "[]"), device, EvaluatorConfig(timeout_s=30)))
    found: list[str] = []
    until = time.monotonic() + 90
    while len(found) < len(devices) and time.monotonic() < until:
        for done in fleet.wait(0.5):
            assert isinstance(done, CandidateMeasured), done
            said = re.search(r"seen: (.*)\.", done.measurement.message)
            assert said is not None, done.measurement
            found.append(said[1])
    return sorted(found)


@pytest.mark.parametrize("fleet", [TARGET], indirect=True)
def test_each_gpu_has_a_server_that_sees_it_alone_by_the_name_ray_has_for_it(fleet: RayFleet) -> None:
    assert fleet.start()
    assert seen(fleet) == [*NUMBERS.split(","), *UUIDS.split(",")]


@pytest.mark.parametrize("fleet", ["llvm -num-cores=1"], indirect=True)
def test_servers_of_a_cpu_see_no_gpu(fleet: RayFleet) -> None:
    assert fleet.start()
    assert set(seen(fleet)) == {""}


def test_gpus_that_others_have_are_found_and_waited_for_with_an_end(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray.init(address=cluster.address, namespace="others")
    held = ray.util.placement_group([{"GPU": 1}] * 2, strategy="STRICT_SPREAD", lifetime="detached")
    ray.get(held.ready(), timeout=60)
    ray.shutdown()
    # Whoever only asks which devices there are needs none of them.
    device = find_devices(ENGINE, cluster.address, (TARGET,))[TARGET]

    fleet = RayFleet(ENGINE, DevicesWanted((device,)), address=cluster.address)
    for module in (actors, joining):
        monkeypatch.setattr(module, "START_SECONDS", 3.0)
    try:
        with pytest.raises(EngineError, match="another coordinator, has its 2 GPUs"):
            fleet.start()
    finally:
        fleet.stop()
