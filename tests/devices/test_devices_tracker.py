"""A tracker that is served for boards, and TVM's own server that registers there."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator

import psutil
import pytest

from orchestrator.devices.tracker import ServedTracker
from orchestrator.errors import EngineError, UsageError
from tests.kit.own_boards import free_port, registered, server

KEY = "board-of-the-tracker"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def tracker(said: list[str]) -> Iterator[ServedTracker]:
    with ServedTracker("metaschedule", "127.0.0.1", free_port(), said.append) as served:
        yield served


def listening(address: tuple[str, int]) -> psutil.Process:
    """Return the process that listens at an address, with the engine process above it."""
    for process in psutil.Process().children(recursive=True):
        try:
            found = process.net_connections("tcp")
        except psutil.Error:
            continue
        if any(c.status == "LISTEN" and c.laddr == address for c in found):
            return process
    raise AssertionError(f"nobody listens at {address}")


def test_a_tracker_that_dies_is_back_at_its_port_and_so_are_the_boards(
    tracker: ServedTracker,
    said: list[str],
    start: Callable[..., subprocess.Popen[bytes]],
    eventually: Callable[..., None],
) -> None:
    start(*server(tracker.address, KEY, free_port()))
    tracker.wait_for([KEY], 60)

    process = listening(tracker.address)
    os.kill(process.pid, signal.SIGKILL)
    eventually(lambda: any("is back" in text for text in said), "another tracker serves")
    registered(tracker.address, KEY)

    # With the engine process goes all of it, and nothing that was forked is left to say so.
    said.clear()
    parent = listening(tracker.address).ppid()
    os.kill(parent, signal.SIGKILL)
    eventually(lambda: any("is back" in text for text in said), "another engine process serves", 30)
    registered(tracker.address, KEY)
    tracker.stop()
    assert socket.socket().connect_ex(tracker.address) != 0


def test_boards_that_do_not_come_are_waited_for_until_a_limit(
    tracker: ServedTracker, said: list[str]
) -> None:
    with pytest.raises(EngineError, match=r"no device of key a, b registered at 127\.0\.0\.1:\d+ within 1 s"):
        tracker.wait_for(["a", "b"], 1)
    assert said == ["waiting for a, b to register, 1 s at most"]


def test_an_address_that_is_taken_or_not_of_this_machine_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            UsageError, match=f"no tracker can listen at 127.0.0.1:{port}: Address already in use"
        ):
            ServedTracker("metaschedule", "127.0.0.1", port)
    with pytest.raises(
        UsageError, match=r"no tracker can listen at 192\.0\.2\.1:9190: .* an address of this machine"
    ):
        ServedTracker("metaschedule", "192.0.2.1", 9190)
