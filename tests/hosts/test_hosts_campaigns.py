"""Campaigns over hosts that are kept apart: which does what, and what they survive."""

from __future__ import annotations

import time

import pytest

from tests.kit.host_cluster import JOIN_SECONDS, Cluster, Tune, work_of
from tests.kit.separate_hosts import PYTHON, Host


def listening(host: Host) -> dict[int, str]:
    """Return the ports that somebody listens at there, with the address."""
    lines = host.run("ss", "--listening", "--tcp", "--numeric", "--no-header").stdout.splitlines()
    found = (line.split()[3].rpartition(":") for line in lines)
    return {int(port): address for address, _, port in found}


@pytest.mark.hosts
def test_a_campaign_searches_and_builds_on_both_nodes_and_measures_each_trial_once(cluster: Cluster) -> None:
    nodes = cluster.watch()
    nodes.wait({cluster.head.address, cluster.cpu.address}, time.time(), JOIN_SECONDS)
    tune = Tune(cluster, "--ray-address", cluster.address)
    worked: dict[tuple[str, str], float] = {}
    tune.wait_for(tune.trials_stored, "something is measured")
    # TVM's tracker and RPC servers, which run whatever reaches them: at TVM's own ports, on the loopback.
    ports = {port: address for port, address in listening(cluster.head).items() if 9090 <= port < 9890}
    assert len(ports) >= 2
    assert set(ports.values()) == {"127.0.0.1"}
    while tune.process.poll() is None and not tune.over(600):
        for host in (cluster.head, cluster.cpu):
            for role in ("search", "build"):
                place = host.name, role
                worked[place] = max(worked.get(place, 0.0), work_of(host, role))
        time.sleep(0.3)
    print("CPU seconds:", worked)
    tune.ended_well()
    assert all(seconds > 0.1 for seconds in worked.values()), worked


@pytest.mark.hosts
def test_a_node_that_is_cut_off_and_comes_back_loses_and_doubles_nothing(cluster: Cluster) -> None:
    nodes = cluster.watch()
    both = {cluster.head.address, cluster.cpu.address}
    nodes.wait(both, time.time(), JOIN_SECONDS)
    tune = Tune(cluster, "--ray-address", cluster.address, trials=48)
    tune.wait_for(lambda: work_of(cluster.cpu, "build") > 0.1, "the CPU node builds")
    cut = time.time()
    cluster.cpu.plug(False)
    noticed = nodes.wait({cluster.head.address}, cut, 60)
    stored = len(tune.trials_stored())
    went_on = tune.wait_for(lambda: len(tune.trials_stored()) > stored, "the head goes on alone")
    back = time.time()
    cluster.cpu.plug(True)
    returned = nodes.wait(both, back, JOIN_SECONDS)
    print(
        f"seconds: noticed {noticed:.1f}, next trials {went_on:.1f} later, back {returned:.1f} after it could"
    )
    tune.ended_well()


@pytest.mark.hosts
def test_a_node_that_dies_is_made_up_for_by_one_that_joins(cluster: Cluster) -> None:
    nodes = cluster.watch()
    nodes.wait({cluster.head.address, cluster.cpu.address}, time.time(), JOIN_SECONDS)
    tune = Tune(cluster, "--ray-address", cluster.address, trials=48)
    tune.wait_for(lambda: work_of(cluster.cpu, "build") > 0.1, "the CPU node builds")
    died = time.time()
    cluster.cpu.kill()
    noticed = nodes.wait({cluster.head.address}, died, 60)
    joins = time.time()
    other = cluster.network.host("other", 12)
    cluster.join(other)
    joined = nodes.wait({cluster.head.address, other.address}, joins, JOIN_SECONDS)
    used = tune.wait_for(lambda: work_of(other, "build") > 0.1, "the node that joined builds")
    print(f"seconds: noticed {noticed:.1f}, joined in {joined:.1f}, built there {used:.1f} later")
    tune.ended_well()


@pytest.mark.hosts
def test_a_board_with_nothing_but_an_rpc_server_is_measured_on(cluster: Cluster) -> None:
    head = cluster.head
    board = cluster.network.host("board", 20)
    # At their own addresses: where TVM isn't told one, both listen on all.
    head.start(
        PYTHON,
        *["-m", "tvm.exec.rpc_tracker", "--host", head.address],
        *["--port", "9190", "--port-end", "9191"],
        log="tracker.log",
    )
    tracker = f"{head.address}:9190"
    board.start(
        PYTHON,
        *["-m", "tvm.exec.rpc_server", "--host", board.address],
        *["--tracker", tracker, "--key", "board"],
        log="server.log",
    )
    cpu = head.run(
        PYTHON, "-c", "from tvm.target import codegen; print(codegen.llvm_get_system_cpu())"
    ).stdout
    target = f"llvm -mcpu={cpu.strip()} -num-cores=1"
    tune = Tune(
        cluster,
        *["--ray-address", cluster.address],
        *["--device", "board", "--tracker", tracker, "--target", target],
    )
    tune.ended_well()
    # Each measurement is a session of its own.
    sessions = (board.folder / "server.log").read_text().count(f"connected from ('{head.address}'")
    assert sessions >= tune.trials
