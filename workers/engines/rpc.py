"""TVM's RPC tracker and RPC server, each as the whole work of one process; classic TVM has the same.

``tvm.rpc.Tracker`` and ``tvm.rpc.Server`` start a process of their own, which outlives its parent when that
is killed. Here their states run in a process that the engine process forks, watches, and takes with it.
"""

from __future__ import annotations

import multiprocessing.util
import os
import time
from typing import Any

from tvm.rpc.server import PopenRPCServerState
from tvm.rpc.tracker import PopenTrackerServerState

from workers.host import die_with_parent, ready

__all__ = ["serve_device", "serve_tracker"]

# Ports to try, from the first free one; TVM's own ranges start at 9190 and 9090.
_TRACKER_PORTS = (9190, 9890)
_SERVER_PORTS = (9090, 9890)


def serve_tracker(host: str) -> None:
    """Run a tracker until killed."""
    first, last = _TRACKER_PORTS
    state = PopenTrackerServerState(host, port=first, port_end=last, silent=True)
    ready((host, state.port))
    _wait_for(state.thread)


def serve_device(host: str, tracker: tuple[str, int], key: str, environment: dict[str, str]) -> None:
    """Run an RPC server until killed, or until a candidate kills its listener.

    A candidate that segfaults ends the thread that listens while its process lives on, and the device is gone
    from the tracker (TVM #17495). So this process ends with that thread, its sockets close, the tracker
    forgets it, and whoever watches this process starts another.
    """
    os.environ.update(environment)
    # Each session is a fork of this process by multiprocessing; none may outlive it.
    multiprocessing.util.register_after_fork(serve_device, lambda _: die_with_parent())
    first, last = _SERVER_PORTS
    state = PopenRPCServerState(
        host, port=first, port_end=last, tracker_addr=tracker, key=key, custom_addr=host, silent=True
    )
    ready((host, state.port))
    _wait_for(state.thread)


def _wait_for(thread: Any) -> None:
    while thread.is_alive():
        time.sleep(0.05)
    os._exit(1)
