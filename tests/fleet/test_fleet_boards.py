"""A board: a device with nothing but TVM's own RPC server, registered at TVM's own tracker."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_models import save

from orchestrator.builds import build_model, run_library
from orchestrator.campaigns.coordinator import FleetOptions, follow, submit
from orchestrator.campaigns.spec import CampaignSpec, ModelRequest
from orchestrator.devices import check_device
from orchestrator.errors import EngineError, UsageError
from orchestrator.fleet import Toolbox
from orchestrator.storage import CampaignState, Storage
from workers.engines.rpc import tracked

KEY = "board-of-the-tests"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """A tracker with one server, both started as their users start them."""
    folder = tmp_path_factory.mktemp("board")
    host, port = "127.0.0.1", free_port()

    def started(module: str, *words: object) -> subprocess.Popen[bytes]:
        log = (folder / f"{module}.log").open("wb")
        line = [sys.executable, "-m", f"tvm.exec.{module}", *map(str, words)]
        return subprocess.Popen(line, stdout=log, stderr=log, start_new_session=True)

    ends = ("--host", host, "--port")
    processes = [started("rpc_tracker", *ends, port, "--port-end", port + 1)]
    try:
        until = time.monotonic() + 60
        while socket.socket().connect_ex((host, port)) != 0:
            assert time.monotonic() < until, "the tracker never listened"
            time.sleep(0.1)
        own = free_port()
        words = ("--tracker", f"{host}:{port}", "--key", KEY)
        processes.append(started("rpc_server", *ends, own, "--port-end", own + 1, *words))
        while not tracked(host, port).get(KEY):
            assert time.monotonic() < until, "the server never registered"
            time.sleep(0.1)
        yield host, port
    finally:
        for process in processes:
            subprocess.run(["pkill", "-KILL", "-s", str(process.pid)], check=False)
            process.wait()


@pytest.fixture(scope="module")
def tools() -> Iterator[Toolbox]:
    with Toolbox("metaschedule") as opened:
        yield opened


@pytest.fixture(scope="module")
def target(tools: Toolbox) -> str:
    """This machine's CPU, but one core of it."""
    own = tools.resolve_target("auto").target
    return own.replace(f'"num-cores": {tools.resolve_target("auto").cores}', '"num-cores": 1')


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Storage]:
    with Storage.open(f"sqlite:///{tmp_path / 'records.db'}") as opened:
        yield opened


def test_a_campaign_measures_on_a_board_and_its_library_runs_there(
    store: Storage, tools: Toolbox, tracker: tuple[str, int], target: str, tmp_path: Path
) -> None:
    model = save(tmp_path / "tiny.onnx")
    spec = CampaignSpec.of(
        {"models": [{"path": str(model)}], "boards": {KEY: target}, "trials": 6, "tasks": "conv2d"}
    )
    campaign = submit(store, spec, hold=True)
    outcome = follow(store, campaign.id, fleet=FleetOptions(tracker=f"{tracker[0]}:{tracker[1]}"))
    assert outcome.campaign.state is CampaignState.DONE
    trials = store.trials(campaign.id)
    assert len(trials) == outcome.measured == 6
    assert {(trial.device, trial.host) for trial in trials} == {(KEY, KEY)}
    (device_class,) = {trial.device_class for trial in trials}
    assert device_class.endswith(f"@{KEY}")
    (device,) = store.devices()
    assert (device.key, device.model, device.state, device.message) == (KEY, KEY, "seen", "")
    assert device.trials_per_hour is not None
    assert device.trials_per_hour > 0

    # The same target on this machine is another device class, and its builds have no use for these.
    request = ModelRequest(path=str(model))
    here = build_model(store, tools, request, tmp_path / "here.so", target=target)
    assert (here.coverage.tuned, here.device_class != device_class) == (0, True)
    built = build_model(store, tools, request, tmp_path / "board.so", target=target, board=KEY)
    assert (built.coverage.tuned, built.device_class) == (1, device_class)
    ran = run_library(
        tools, built.library, device=KEY, tracker=tracker, check=model, repeats=3, output=tmp_path / "out.npz"
    )
    assert ran.check is not None
    assert ran.check.agree
    assert len(ran.times_s) == 3
    beside = build_model(
        store, tools, request, tmp_path / "b.so", target=target, board=KEY, params=tmp_path / "b.npz"
    )
    ran = run_library(
        tools, beside.library, params=beside.params, device=KEY, tracker=tracker, check=model, repeats=0
    )
    assert ran.check is not None
    assert ran.check.agree


def test_a_device_is_checked_against_what_it_took_before(
    store: Storage, tools: Toolbox, tracker: tuple[str, int], target: str
) -> None:
    first = check_device(store, tools, target=target, key=KEY, tracker=tracker)
    assert (first.key, first.checks, first.ratio) == (KEY, 0, None)
    again = check_device(store, tools, target=target, key=KEY, tracker=tracker)
    assert again.checks == 1
    assert again.before_s == pytest.approx(first.time_s)
    assert again.ratio == pytest.approx(again.time_s / first.time_s)
    own = check_device(store, tools)
    assert own.checks == 0
    assert own.device.device_class != first.device.device_class


def test_a_device_or_a_tracker_that_is_not_there_is_named(
    store: Storage, tools: Toolbox, tracker: tuple[str, int], target: str
) -> None:
    with pytest.raises(UsageError, match=rf"knows no device of key other; it knows .*{KEY}"):
        check_device(store, tools, target=target, key="other", tracker=tracker)
    with pytest.raises(EngineError, match=r"no RPC tracker answers at 127\.0\.0\.1:9"):
        check_device(store, tools, target=target, key="other", tracker=("127.0.0.1", 9))
    with pytest.raises(UsageError, match="name it with --tracker"):
        check_device(store, tools, target=target, key="other")
