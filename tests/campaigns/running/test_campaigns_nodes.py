"""A campaign on a Ray of several nodes that come and go; the engine is a stand-in, the rest is real."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster

from orchestrator.campaigns.running.coordinator import follow
from orchestrator.campaigns.running.submit import submit
from orchestrator.campaigns.scheduling.alone import tune_alone
from orchestrator.campaigns.spec import CampaignSpec
from orchestrator.campaigns.tuning.tuner import Tuning
from orchestrator.errors import EngineLostError, TargetError
from orchestrator.fleet.options import FleetOptions
from orchestrator.fleet.port import DeviceState, DevicesWanted
from orchestrator.fleet.ray import fleet as ray_fleet
from orchestrator.fleet.ray.cluster import ROLE_LABEL
from orchestrator.fleet.ray.find import find_devices
from orchestrator.fleet.ray.fleet import RayFleet
from orchestrator.fleet.work import MeasureWork, Work
from orchestrator.storage import CampaignState, Storage, TaskState
from tests.kit.lean_ray import LEAN
from tests.kit.planned_campaigns import CPU, OWNER, plan
from workers.messages import DeviceInfo

# A node that is gone is to be noticed in seconds; Ray's own settings take half a minute.
HEALTH = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    # One that is killed refuses at once; one that is slow to answer has only waited for a core.
    "health_check_timeout_ms": 5000,
    "health_check_failure_threshold": 3,
}


@pytest.fixture(scope="module")
def head() -> Iterator[Cluster]:
    """A cluster of its head alone, which takes seconds to start."""
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "_system_config": HEALTH, **LEAN})
    yield made
    made.shutdown()


@pytest.fixture
def cluster(head: Cluster) -> Iterator[Cluster]:
    """The same cluster, to add nodes to."""
    yield head
    for node in list(head.worker_nodes):
        head.remove_node(node, allow_graceful=False)
    head.wait_for_nodes()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Storage]:
    with Storage.open(f"sqlite:///{tmp_path / 'records.db'}") as opened:
        yield opened


class CountingFleet(RayFleet):
    """A fleet that counts by the node what is measured."""

    measured: Counter[str]

    def submit(self, work: Work) -> None:
        if isinstance(work, MeasureWork):
            self.measured[work.device.place] += 1
        super().submit(work)


class Run:
    """A campaign that is tuned in a thread, and which nodes measured for it."""

    def __init__(self, store: Storage, cluster: Cluster, trials: int) -> None:
        spec = CampaignSpec.of({"models": [{"path": "/model.onnx"}], "trials_per_task": trials})
        self.id, made = plan(store, spec, (1, 2, 3))
        self.store = store
        self.fleet = CountingFleet("stand_in_engines.quick", DevicesWanted((CPU,)), address=cluster.address)
        self.measured = self.fleet.measured = Counter()
        self.error: BaseException | None = None
        self._given_up = threading.Event()
        assert self.fleet.start()
        self._tuning = Tuning(store, self.id, OWNER, spec, made, lambda _: None, lambda: None)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            tune_alone(self.store, self.fleet, self._tuning, self._given_up.is_set)
        except BaseException as error:
            self.error = error

    def wait_for(self, condition: Callable[[], object], what: str, seconds: float = 60.0) -> float:
        """Return the seconds it took."""
        started = time.monotonic()
        while not condition():
            assert self._thread.is_alive(), f"it ended before {what}: {self.error}"
            assert time.monotonic() - started < seconds, f"still not so: {what}"
            time.sleep(0.05)
        return time.monotonic() - started

    def give_up(self) -> None:
        """End it where a test failed: a thread that goes on asking Ray would connect to it again."""
        self._given_up.set()
        self._thread.join(120)
        self.fleet.stop()

    def end(self) -> None:
        self._thread.join(120)
        assert not self._thread.is_alive(), "it never ended"
        self.fleet.stop()

    def stored(self) -> dict[str, int]:
        rows = self.store.tasks.of_campaign(self.id)
        assert {row.state for row in rows} == {TaskState.SATISFIED}
        return {row.name: row.measured for row in rows}


@pytest.fixture
def run(store: Storage, cluster: Cluster) -> Iterator[Callable[[int], Run]]:
    made: list[Run] = []

    def begin(trials: int) -> Run:
        made.append(Run(store, cluster, trials))
        return made[-1]

    yield begin
    for one in made:
        one.give_up()


def test_nodes_that_join_and_die_during_a_campaign_cost_no_trial_and_double_none(
    cluster: Cluster, run: Callable[[int], Run]
) -> None:
    second = cluster.add_node(num_cpus=1)
    campaign = run(160)
    campaign.wait_for(lambda: len(campaign.measured) == 2, "both nodes measure")

    third = cluster.add_node(num_cpus=1)
    noticed = campaign.wait_for(lambda: campaign.fleet.coming, "the new node is noticed")
    assert noticed < 10
    # Its processes have to start first, and how long these take is the machine's affair.
    campaign.wait_for(lambda: third.node_id in campaign.measured, "the new node measures", 120)

    cluster.remove_node(second, allow_graceful=False)
    gone = campaign.wait_for(
        lambda: any(d.state is DeviceState.LOST for d in campaign.fleet.all_devices), "the death is noticed"
    )
    assert gone < 20
    after = campaign.measured[second.node_id]
    campaign.end()
    assert campaign.error is None
    assert campaign.measured[second.node_id] == after
    assert campaign.stored() == {"task1": 160, "task2": 160, "task3": 160}
    # What was under way on it was measured again, and nothing else was.
    assert 480 <= campaign.measured.total() <= 480 + 20


@pytest.mark.slow
def test_the_last_node_that_goes_ends_the_run_after_a_while_with_what_is_missing(
    cluster: Cluster, run: Callable[[int], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_fleet, "PATIENCE_SECONDS", 3.0)
    node = cluster.add_node(num_cpus=1, labels={ROLE_LABEL: "measure"})
    campaign = run(400)
    # The head searches and measures too, until nothing is left that may.
    campaign.wait_for(lambda: campaign.measured[node.node_id], "the other node measures")
    for device in campaign.fleet.all_devices:
        if device.place != node.node_id:
            device.state = DeviceState.QUARANTINED
    cluster.remove_node(node, allow_graceful=False)
    campaign.end()
    assert isinstance(campaign.error, EngineLostError)
    assert f"there was no device of class {CPU.device_class} for 3 s" in str(campaign.error)
    assert "is quarantined" in str(campaign.error)
    assert "is gone" in str(campaign.error)


def test_a_target_that_is_not_here_is_found_on_the_node_that_has_it(cluster: Cluster) -> None:
    cluster.add_node(num_cpus=1, env_vars={"QUICK_IS_RARE": "1"})
    found = find_devices("stand_in_engines.quick", cluster.address, ("rare", "llvm"))
    assert {target: device.model for target, device in found.items()} == {
        "rare": "Rare",
        "llvm": "Some CPU",
    }
    cluster.remove_node(cluster.worker_nodes.copy().pop(), allow_graceful=False)


def test_a_target_that_no_node_has_is_refused_before_anything_is_imported_or_built(
    cluster: Cluster, store: Storage, tmp_path: Path
) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(b"never read")
    spec = CampaignSpec.of(
        {"models": [{"path": str(model)}], "targets": ["rare"], "engine": "stand_in_engines.quick"}
    )
    campaign = submit(store, spec, hold=True)
    with pytest.raises(
        TargetError, match="rare can't be measured here, for too rare, nor on any node of the"
    ):
        follow(store, campaign.id, fleet=FleetOptions(ray_address=cluster.address))
    assert store.campaigns.get(campaign.id).state is CampaignState.FAILED
    assert store.campaigns.models(campaign.id)[0].model_id is None


@pytest.mark.slow
def test_a_device_that_leaves_cores_over_is_measured_while_the_rest_search_and_build() -> None:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        pytest.skip("it takes two cores to have one left")
    one = DeviceInfo("one core", "cpu-a-1", "Some CPU", 1, "cpu")
    fleet = RayFleet("stand_in_engines.quick", DevicesWanted((one,)))
    try:
        assert fleet.start()
        (device,) = fleet.all_devices
        assert not device.shares_cores
        assert fleet.free_slots == len(cores) - 1
        node = device.node
        assert node is not None
        for actor in (node.search, node.build):
            assert list(ray.get(actor.cores.remote(), timeout=30)) == cores[1:]
        assert list(ray.get(node.measure.cores.remote(), timeout=30)) == cores
    finally:
        fleet.stop()
