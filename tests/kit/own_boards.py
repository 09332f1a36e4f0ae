"""What stands in for boards: TVM's own RPC server, started on this machine."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

__all__ = ["free_port", "registered", "server", "start"]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts Python as a board's owner does; it is killed in the end with all that it started."""
    log = tmp_path_factory.mktemp("board") / "log"
    processes: list[subprocess.Popen[bytes]] = []

    def started(*words: object) -> subprocess.Popen[bytes]:
        with log.open("ab") as file:
            line = [sys.executable, *map(str, words)]
            processes.append(subprocess.Popen(line, stdout=file, stderr=file, start_new_session=True))
        return processes[-1]

    yield started
    for process in processes:
        subprocess.run(["pkill", "-KILL", "-s", str(process.pid)], check=False)
        process.wait()


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def registered(address: tuple[str, int], key: str) -> None:
    """Wait until a server is."""
    # Here, for it imports TVM, and every process that runs tests collects this file.
    from workers.enginekit.rpc import RpcDevices

    until = time.monotonic() + 60
    while not RpcDevices().tracked(*address).get(key):
        assert time.monotonic() < until, f"{key} never registered"
        time.sleep(0.1)


def server(address: tuple[str, int], key: str, port: int) -> list[object]:
    """Return the words that start TVM's own server."""
    own = ["--host", address[0], "--port", port, "--port-end", port + 1]
    return ["-m", "tvm.exec.rpc_server", *own, "--tracker", f"{address[0]}:{address[1]}", "--key", key]
