"""What the actors have in common: an engine process, and the cores they keep to."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import ClassVar

from workers.clients import ToolchainClient
from workers.process.engine_process import EngineProcess
from workers.process.protocol import Role

__all__ = ["EngineActor"]


class EngineActor:
    """What all three have in common.

    Parameters
    ----------
    engine : str
    python : str, optional
        See :class:`workers.process.engine_process.EngineProcess`.
    cores : tuple of int, optional
        Cores to keep to, this process with all it starts; on the others something is measured.
    """

    role: ClassVar[Role]

    def __init__(self, engine: str, python: str | None = None, cores: tuple[int, ...] = ()) -> None:
        # Given when it is made, so that an actor that Ray starts again keeps to them too.
        if cores:
            _keep_to(cores)
        self._process = EngineProcess(engine, self.role, python, on_exit=self._service_ended)

    def start(self) -> tuple[str, int | None, dict[str, str]]:
        """Warm the engine up; return the host's name, the engine process's id, and the versions."""
        self._process.start()
        return socket.gethostname(), self._process.pid, ToolchainClient(self._process).versions()

    def cores(self) -> tuple[int, ...]:
        """Return the cores of this machine that this actor may use."""
        return tuple(sorted(os.sched_getaffinity(0)))

    def pause(self) -> None:
        """Stand still: something on this machine is being measured."""
        self._process.pause()

    def resume(self) -> None:
        """Go on."""
        self._process.resume()

    def stop(self) -> None:
        """End the engine process and all it started."""
        self._process.stop()

    def _service_ended(self, service: str, reason: str) -> None:
        pass


def _keep_to(cores: tuple[int, ...]) -> None:
    # A process has no cores of its own, its threads have, and what they start inherits theirs.
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread), cores)
