"""What stands in for boards: TVM's own RPC server, started on this machine."""

from __future__ import annotations

import socket
import time

from workers.enginekit.rpc import RpcDevices

__all__ = ["free_port", "registered", "server"]


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def registered(address: tuple[str, int], key: str) -> None:
    """Wait until a server is."""
    until = time.monotonic() + 60
    while not RpcDevices().tracked(*address).get(key):
        assert time.monotonic() < until, f"{key} never registered"
        time.sleep(0.1)


def server(address: tuple[str, int], key: str, port: int) -> list[object]:
    """Return the words that start TVM's own server."""
    own = ["--host", address[0], "--port", port, "--port-end", port + 1]
    return ["-m", "tvm.exec.rpc_server", *own, "--tracker", f"{address[0]}:{address[1]}", "--key", key]
