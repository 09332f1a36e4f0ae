"""TVM's RPC tracker and RPC server, each as the whole work of one process; classic TVM has the same.

``tvm.rpc.Tracker`` and ``tvm.rpc.Server`` start a process of their own, which outlives its parent when that
is killed. Here their states run in a process that the engine process forks, watches, and takes with it.
"""

from __future__ import annotations

# Connecting to a host's name imports it, which is better done before forking.
import encodings.idna  # noqa: F401
import itertools
import multiprocessing.util
import os
import signal
import socket
import time
from collections import Counter
from typing import Any

import tvm.rpc
import tvm.rpc.base
import tvm.rpc.tracker
from tvm.rpc.server import PopenRPCServerState
from tvm.rpc.tracker import PopenTrackerServerState

from workers.enginekit.roles import WAITING, Address
from workers.environments.lifeline import die_with_parent
from workers.errors import EngineError
from workers.messages import Endpoint, Station, address_text
from workers.process.host import ready, stage

__all__ = ["RpcDevices", "answers", "requested"]

# Ports to try, from the first free one; TVM's own ranges start at 9190 and 9090.
_TRACKER_PORTS = (9190, 9890)
_SERVER_PORTS = (9090, 9890)
# What does not answer by then is not there.
_TRACKER_SECONDS = 5.0
# For so long such a question may keep a device.
_ANSWER_SECONDS = 30.0


class RpcDevices:
    """See :class:`workers.enginekit.roles.Devices`; what asks them is :func:`requested`."""

    def serve_tracker(self, host: str, port: int | None = None) -> None:
        """Run a tracker until killed, at `port` or, where that is left out, at a free one."""
        _send_at_once()
        first, last = _TRACKER_PORTS if port is None else (port, port + 1)
        state = PopenTrackerServerState(host, port=first, port_end=last, silent=True)
        ready((host, state.port))
        _wait_for(state.thread)

    def serve_device(self, host: str, tracker: Address, station: Station) -> None:
        """Run an RPC server until killed, or until a candidate kills its listener.

        A candidate that segfaults ends the thread that listens while its process lives on, and the device is
        gone from the tracker (TVM #17495). So this process ends with that thread, its sockets close, the
        tracker forgets it, and whoever watches this process starts another.
        """
        _see_only(station)
        _send_at_once()
        # Each session is a fork of this process by multiprocessing; none may outlive it.
        multiprocessing.util.register_after_fork(RpcDevices, lambda _: die_with_parent())
        first, last = _SERVER_PORTS
        state = PopenRPCServerState(
            host,
            port=first,
            port_end=last,
            tracker_addr=tracker,
            key=station.key,
            custom_addr=host,
            silent=True,
        )
        ready((host, state.port))
        _wait_for(state.thread)

    def tracked(self, host: str, port: int) -> dict[str, int]:
        """Return how many servers are registered at a tracker under each key, the busy ones too."""
        try:
            # TVM's own connection tries for a minute.
            socket.create_connection((host, port), _TRACKER_SECONDS).close()
            summary = tvm.rpc.connect_tracker(host, port).summary()
        except (OSError, RuntimeError, ConnectionError) as error:
            raise EngineError(
                f"no RPC tracker answers at {address_text(host, port)}: {str(error).splitlines()[0]}"
            ) from None
        keys = (str(server["key"]) for server in summary["server_info"])
        return dict(Counter(key.removeprefix("server:") for key in keys))

    def count_devices(self, kind: str) -> int:
        """Return how many devices of a kind answer on this machine."""
        if kind == "cpu":
            return 1  # TVM has it under every number
        return sum(1 for _ in itertools.takewhile(lambda i: tvm.device(kind, i).exist, itertools.count()))


def requested(endpoint: Endpoint, limit_s: float) -> Any:
    """Return a session with a device behind a tracker, which the server ends after `limit_s` seconds.

    Raises
    ------
    EngineError
        None was free within the endpoint's ``wait_s``. TVM itself would wait without an end.
    """
    where = endpoint.where
    stage(f"{WAITING} with key {endpoint.key!r} at {where}")

    def give_up(*_: object) -> None:
        raise EngineError(
            f"no device of key {endpoint.key} became free at {where} within {endpoint.wait_s:g} s: "
            "it is in use, or its server is gone"
        )

    # It waits in a read of a socket that only a signal ends; this process has nothing else to do.
    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, endpoint.wait_s)
    _send_at_once()
    try:
        tracker = tvm.rpc.connect_tracker(endpoint.host, endpoint.port)
        return tracker.request(endpoint.key, session_timeout=limit_s)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def answers(endpoint: Endpoint) -> tuple[bool, str, str]:
    """Ask a device behind a tracker what it is.

    Returns
    -------
    exists : bool
        It has a device of the endpoint's kind.
    triple, cpu : str
        LLVM's names of its system and its CPU; empty where its TVM has no LLVM to know them by.
    """
    session = requested(endpoint, _ANSWER_SECONDS)
    stage("asking the device what it is")

    def asked(name: str) -> str:
        try:
            return str(session.get_function(f"target.llvm_get_system_{name}")())
        except (AttributeError, RuntimeError):  # of a TVM without it: so the newer one says it, so the older
            return ""

    return bool(session.device(endpoint.kind, 0).exist), asked("triple"), asked("cpu")


def _send_at_once() -> None:
    """Have this process's connections to a tracker, and a tracker's own, send without waiting.

    TVM sends each message to and from a tracker in two pieces. Of such a pair the kernel holds the second
    back until the first is acknowledged, which the other side puts off for 40 ms (Nagle's algorithm and
    delayed acknowledgements, RFC 1122 4.2.3). A request for a device took 95 ms for that, and registering
    again after a session as long once more.
    """
    if tvm.rpc.base.connect_with_retry is not _connected:
        tvm.rpc.base.connect_with_retry = _connected
        # In place: the older TVM's class calls its own name, which another class must not have.
        tvm.rpc.tracker.TCPEventHandler.__init__ = _handles


_connect_with_retry = tvm.rpc.base.connect_with_retry


def _connected(*args: Any, **kwargs: Any) -> socket.socket:
    connection: socket.socket = _connect_with_retry(*args, **kwargs)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


_handles_late = tvm.rpc.tracker.TCPEventHandler.__init__


def _handles(handler: Any, tracker: Any, connection: socket.socket, address: Any) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    _handles_late(handler, tracker, connection, address)


def _see_only(station: Station) -> None:
    """Give this process the cores or the GPU that are the station's, before TVM looks for any."""
    device = station.device
    # By the names that Ray gave this node's GPUs with, numbers or UUIDs; without any, by their numbers.
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = [str(station.index)] if seen is None else seen.split(",")[station.index :]
    os.environ["CUDA_VISIBLE_DEVICES"] = names[0] if names and device.kind == "cuda" else ""
    if not device.cores:
        return
    os.environ["TVM_NUM_THREADS"] = str(device.cores)
    usable = sorted(os.sched_getaffinity(0))
    own = usable[station.index * device.cores : (station.index + 1) * device.cores]
    # A target may be for fewer cores than there are: its kernels stay on those, and others off them.
    if len(own) == device.cores < len(usable):
        os.sched_setaffinity(0, own)


def _wait_for(thread: Any) -> None:
    while thread.is_alive():
        time.sleep(0.05)
    os._exit(1)
