"""A board: a device with nothing but TVM's own RPC server, registered at TVM's own tracker."""

from __future__ import annotations

import platform
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.builds import bench_model, build_model, run_library
from orchestrator.campaigns.running.coordinator import follow
from orchestrator.campaigns.running.submit import submit
from orchestrator.campaigns.spec import CampaignSpec
from orchestrator.devices import boards
from orchestrator.devices.boards import refuse_wrong_targets
from orchestrator.devices.check import check_device
from orchestrator.devices.targets import resolve_boards
from orchestrator.errors import EngineError, TargetError, UsageError
from orchestrator.fleet.options import FleetOptions
from orchestrator.models.request import ModelRequest
from orchestrator.storage import CampaignState, Storage
from orchestrator.toolbox import Toolbox
from tests.kit.own_boards import free_port, registered, server
from tests.kit.tiny_models import save
from workers.messages import Endpoint

KEY, SECOND = "board-of-the-tests", "second-board"
OTHER_MACHINE = "aarch64" if platform.machine() == "x86_64" else "x86_64"
# A server whose TVM has no LLVM, as far as who asks can tell.
SILENT = """
import sys
import tvm_ffi, tvm.rpc
from tvm.rpc.server import PopenRPCServerState
for name in ("cpu", "triple"):
    tvm_ffi.register_global_func(f"target.llvm_get_system_{name}", lambda: "", override=True)
host, port, own, key = sys.argv[1:]
state = PopenRPCServerState(host, int(own), int(own) + 1, tracker_addr=(host, int(port)), key=key)
state.thread.join()
"""


@pytest.fixture(scope="module")
def tracker(start: Callable[..., subprocess.Popen[bytes]]) -> tuple[str, int]:
    """A tracker with one server, both started as their users start them."""
    host, port = "127.0.0.1", free_port()
    start("-m", "tvm.exec.rpc_tracker", "--host", host, "--port", port, "--port-end", port + 1)
    until = time.monotonic() + 60
    while socket.socket().connect_ex((host, port)) != 0:
        assert time.monotonic() < until, "the tracker never listened"
        time.sleep(0.1)
    start(*server((host, port), KEY, free_port()))
    registered((host, port), KEY)
    return host, port


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


@pytest.mark.slow
def test_a_campaign_measures_on_two_kinds_of_boards_at_once_and_its_library_runs_there(
    store: Storage,
    tools: Toolbox,
    tracker: tuple[str, int],
    start: Callable[..., subprocess.Popen[bytes]],
    target: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = save(tmp_path / "tiny.onnx")
    second = start(*server(tracker, SECOND, free_port()))
    registered(tracker, SECOND)
    spec = CampaignSpec.of(
        {
            "models": [{"path": str(model)}],
            "boards": {KEY: target, SECOND: target},
            "trials": 12,
            "tasks": "conv2d",
        }
    )
    campaign = submit(store, spec, hold=True)
    outcome = follow(store, campaign.id, fleet=FleetOptions(tracker=f"{tracker[0]}:{tracker[1]}"))
    assert outcome.campaign.state is CampaignState.DONE
    trials = store.trials.of_campaign(campaign.id)
    assert len(trials) == outcome.measured == 12
    # Each board's times are its own, and neither waited for the other to have all of its.
    kinds = Counter((trial.device, trial.host, trial.device_class.partition("@")[2]) for trial in trials)
    assert kinds == {(KEY, KEY, KEY): 6, (SECOND, SECOND, SECOND): 6}
    order = [trial.device for trial in sorted(trials, key=lambda trial: trial.id)]
    assert set(order[:6]) == {KEY, SECOND}
    (device_class,) = {trial.device_class for trial in trials if trial.device == KEY}
    device = next(row for row in store.devices.all() if row.key == KEY)
    assert (device.key, device.model, device.state, device.message) == (KEY, KEY, "seen", "")
    assert device.trials_per_hour is not None
    assert device.trials_per_hour > 0

    # The campaign ends with the comparison on the board, where onnxruntime's time here says nothing.
    report = next(report for report in outcome.reports if report.device_class == device_class)
    assert len(outcome.reports) == 2
    assert (report.device_class, report.outputs_agree, report.tasks_tuned) == (device_class, True, 1)
    assert (report.reference_s, report.reference_ratio) == (None, None)
    assert report.untuned_s is not None
    assert min(report.tuned_s, report.untuned_s) > 0
    shown = next(r for r in store.verifications.after_campaign(campaign.id) if r.device_class == device_class)
    assert (shown.reference_s, shown.tuned_s) == (None, report.tuned_s)

    # The same convolution in another model: nothing to measure, and on a board that is gone no comparison.
    subprocess.run(["pkill", "-KILL", "-s", str(second.pid)], check=False)
    monkeypatch.setattr(boards, "BOARD_SECONDS", 1.0)
    other = {"path": str(save(tmp_path / "other.onnx", outputs=7))}
    spec = CampaignSpec.of({"models": [other], "boards": {SECOND: target}, "trials": 6, "tasks": "conv2d"})
    campaign = submit(store, spec, hold=True)
    again = follow(store, campaign.id, fleet=FleetOptions(tracker=f"{tracker[0]}:{tracker[1]}"))
    assert (again.campaign.state, again.measured, again.reports) == (CampaignState.DONE, 0, ())
    assert again.campaign.message.startswith(
        f"nothing to measure: all trials were stored; not compared with onnxruntime: other on {SECOND}: "
        f"the tracker at {tracker[0]}:{tracker[1]} knows no device of key {SECOND}; it knows {KEY}"
    )

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


@pytest.mark.slow
def test_the_whole_model_is_timed_on_the_board_and_compared_with_onnxruntime_here(
    store: Storage,
    tools: Toolbox,
    tracker: tuple[str, int],
    target: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(boards, "BOARD_SECONDS", 1.0)
    request = ModelRequest(path=str(save(tmp_path / "tiny.onnx")))
    said: list[str] = []
    report = bench_model(
        store, tools, request, target=target, rounds=2, board=KEY, tracker=tracker, say=said.append
    )
    assert report.device_class.endswith(f"@{KEY}")
    assert report.outputs_agree
    assert 0 < report.max_rel < 1e-4
    assert report.untuned_s is not None
    assert min(report.untuned_s, report.tuned_s) > 0
    assert report.reference_s is None
    assert any("turn 2 of 2" in text for text in said)
    with pytest.raises(
        UsageError, match=rf"no device of key other; it knows .*{KEY}.* \(1 s were waited for it\)"
    ):
        bench_model(store, tools, request, target=target, board="other", tracker=tracker)


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (
            f"llvm -mtriple={OTHER_MACHINE}-linux-gnu -num-cores=4",
            f"it is for {OTHER_MACHINE}, the device is {platform.machine()}",
        ),
        ("cuda -arch=sm_80", "no cuda device answers there"),
        pytest.param(
            "llvm -mcpu=diamondrapids -num-cores=1",
            "its CPU, .*, lacks amx",
            marks=pytest.mark.skipif(platform.machine() != "x86_64", reason="it is a CPU of that kind"),
        ),
    ],
)
def test_a_target_that_the_board_can_not_run_is_refused_before_anything_is_imported_or_built(
    store: Storage, tracker: tuple[str, int], target: str, reason: str, tmp_path: Path
) -> None:
    spec = CampaignSpec.of({"models": [{"path": str(save(tmp_path / "tiny.onnx"))}], "boards": {KEY: target}})
    campaign = submit(store, spec, hold=True)
    with pytest.raises(TargetError, match=f"device {KEY} can't run code for target .*: {reason}"):
        follow(store, campaign.id, fleet=FleetOptions(tracker=f"{tracker[0]}:{tracker[1]}"))
    assert store.campaigns.get(campaign.id).state is CampaignState.FAILED
    (model,) = store.campaigns.models(campaign.id)
    assert model.model_id is None
    assert store.tasks.of_campaign(campaign.id) == []


@pytest.mark.skipif(platform.machine() != "x86_64", reason="it takes a CPU that lacks what another has")
def test_a_board_that_can_not_say_what_it_is_refuses_a_target_by_failing_at_a_known_kernel(
    start: Callable[..., subprocess.Popen[bytes]], tools: Toolbox, tracker: tuple[str, int], target: str
) -> None:
    key = "silent-board"
    start("-c", SILENT, *tracker, free_port(), key)
    registered(tracker, key)

    def refused(target: str) -> None:
        refuse_wrong_targets(tools, resolve_boards(tools, {key: target}), tracker)

    refused(target)
    with pytest.raises(TargetError, match="failed there while loading the candidate on the device"):
        refused("llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72 -num-cores=4")
    # Its instructions are illegal on what is built before it; that ends the server.
    with pytest.raises(
        TargetError, match=r"failed there while running the candidate.*is back at its tracker"
    ):
        refused("llvm -mcpu=diamondrapids -num-cores=1")


def test_a_board_in_use_is_waited_for_until_a_limit_that_says_so(
    tools: Toolbox, tracker: tuple[str, int], target: str
) -> None:
    # Here, for it imports TVM, and every process that runs tests collects this file.
    from workers.enginekit.rpc import requested

    holder = requested(Endpoint(*tracker, KEY, "cpu"), 30.0)
    with pytest.raises(
        EngineError, match=f"no device of key {KEY} became free at .* within 1 s: it is in use"
    ):
        tools.unfit(target, Endpoint(*tracker, KEY, "cpu", wait_s=1.0))
    del holder
    assert tools.unfit(target, Endpoint(*tracker, KEY, "cpu")) == ""


@pytest.mark.slow
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
