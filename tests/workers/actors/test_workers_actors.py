"""The actors as plain classes: servers and engine processes are killed, and the device comes back."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator

import psutil
import pytest

from tests.kit.measuring import EVALUATOR
from workers.actors import BuildActor, MeasureActor
from workers.errors import EngineLostError
from workers.messages import Artifact, Candidate, DeviceInfo, Measurement, Station, TrialState, Workload

Eventually = Callable[..., None]
Running = Callable[[int], bool]


@pytest.fixture
def own(device: DeviceInfo) -> Iterator[MeasureActor]:
    """A measure actor to do harm to."""
    actor = MeasureActor("metaschedule")
    actor.start()
    actor.offer((device,))
    actor.serve()
    yield actor
    actor.stop()


def services(actor: MeasureActor) -> list[psutil.Process]:
    """Return the tracker and the server, in the order of their start."""
    children = psutil.Process(actor._process.pid).children()
    return sorted(children, key=lambda process: process.create_time())


def measure_until_good(
    actor: MeasureActor, artifact: Artifact, device: DeviceInfo, attempts: int = 3
) -> list[Measurement]:
    """Measure as the coordinator does: a lost device is asked again, so often and no more."""
    results: list[Measurement] = []
    for _ in range(attempts):
        results.append(actor.measure(artifact, Station(device.device_class, device), EVALUATOR))
        if results[-1].state is not TrialState.DEVICE_LOST:
            break
    assert results[-1].state is TrialState.OK, results[-1].message
    return results


def test_a_killed_server_is_started_again(
    own: MeasureActor, artifact: Artifact, device: DeviceInfo, eventually: Eventually
) -> None:
    _, server = services(own)
    os.kill(server.pid, signal.SIGKILL)
    eventually(lambda: len(services(own)) == 2 and server not in services(own), "another server is there")
    measure_until_good(own, artifact, device)


def test_a_killed_tracker_takes_its_servers_and_all_start_again(
    own: MeasureActor, artifact: Artifact, device: DeviceInfo, eventually: Eventually, running: Running
) -> None:
    before = services(own)
    os.kill(before[0].pid, signal.SIGKILL)
    eventually(lambda: not any(running(process.pid) for process in before), "the server ends as well")
    measure_until_good(own, artifact, device)
    eventually(lambda: len(services(own)) == 2, "a tracker and a server are there, once each")


def test_a_killed_engine_process_comes_back_with_its_services(
    own: MeasureActor, artifact: Artifact, device: DeviceInfo, eventually: Eventually, running: Running
) -> None:
    before = [process.pid for process in services(own)]
    first = own._process.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    eventually(lambda: not any(map(running, before)), "tracker and server died with it")
    measure_until_good(own, artifact, device)
    assert own._process.pid not in (None, first)
    eventually(lambda: len(services(own)) == 2, "a tracker and a server are there, once each")


@pytest.mark.slow
def test_an_engine_process_that_comes_back_by_another_call_gets_its_services_too(
    own: MeasureActor, artifact: Artifact, device: DeviceInfo, eventually: Eventually
) -> None:
    first = own._process.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    eventually(lambda: own._process._connection is None, "its end was noticed")
    # Something else than a measurement starts it again, without tracker and server.
    own.start()
    measure_until_good(own, artifact, device)


def test_losing_the_engine_process_over_a_measurement_blames_no_candidate(
    own: MeasureActor, device: DeviceInfo, written_in_c: Callable[[str], Artifact], eventually: Eventually
) -> None:
    results: list[Measurement] = []
    endless = written_in_c("for (;;) { sleep(1); }")
    measuring = threading.Thread(
        target=lambda: results.append(own.measure(endless, Station(device.device_class, device), EVALUATOR)),
        daemon=True,
    )
    measuring.start()
    eventually(lambda: len(services(own)) == 3, "it is being measured")
    pid = own._process.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    measuring.join(10)
    assert [result.state for result in results] == [TrialState.DEVICE_LOST]


def test_a_device_without_a_server_is_given_up_after_a_while_and_says_so(
    own: MeasureActor, artifact: Artifact, device: DeviceInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(own._restarts, device.device_class, 11)
    lost = own.measure(artifact, Station(device.device_class, device), EVALUATOR)
    assert lost.state is TrialState.DEVICE_LOST
    assert "died 10 times in a row" in lost.message


def test_stopping_leaves_no_tracker_server_or_session(
    own: MeasureActor,
    device: DeviceInfo,
    written_in_c: Callable[[str], Artifact],
    eventually: Eventually,
    running: Running,
) -> None:
    endless = written_in_c("for (;;) { sleep(1); }")
    threading.Thread(
        target=lambda: own.measure(endless, Station(device.device_class, device), EVALUATOR), daemon=True
    ).start()
    eventually(lambda: len(services(own)) == 3, "it is being measured")
    host = psutil.Process(own._process.pid)
    eventually(lambda: len(host.children(recursive=True)) >= 4, "the server has a session")
    family = [host.pid, *(process.pid for process in host.children(recursive=True))]
    own.stop()
    eventually(lambda: not any(map(running, family)), "nothing of it is left")


def test_losing_the_engine_process_over_builds_blames_no_candidate(
    convolution: Workload, device: DeviceInfo, candidates: tuple[Candidate, ...]
) -> None:
    actor = BuildActor("metaschedule")
    actor.start()
    outcomes: list[object] = []

    def build(candidate: Candidate) -> None:
        try:
            outcomes.append(actor.build(convolution, device.target, candidate, 60)[0].state)
        except EngineLostError:
            outcomes.append("lost")
            # As a busy actor would: the next build starts the process again while others hear of its end.
            actor._process.start()

    actor.pause()
    builds = [threading.Thread(target=build, args=(c,), daemon=True) for c in candidates * 4]
    for thread in builds:
        thread.start()
    while len(actor._process._asked) < len(builds):
        pass
    pid = actor._process.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    for thread in builds:
        thread.join(60)
    actor.stop()
    assert outcomes == ["lost"] * len(builds)
