"""A process that answers one question after another, with limits of time and memory for each."""

from __future__ import annotations

import json
import os
import pathlib
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import psutil

__all__ = ["Helper", "HelperLostError"]

_LOOK_S = 0.5
_SAID = 2000


class HelperLostError(Exception):
    """It took too long or too much, or died. What it last said of itself is the text.

    Attributes
    ----------
    why : str
        ``timeout``, ``memory`` or ``died``.
    """

    def __init__(self, why: str, text: str) -> None:
        super().__init__(text)
        self.why = why


class Helper:
    """One such process, started when it is first asked, and again after it was lost.

    Parameters
    ----------
    command : sequence of str
        Runs :func:`.serving.serve`.
    folder : path
        Where it runs.
    environment : dict of str to str, optional
        Variables beside those that there are.
    """

    def __init__(
        self, command: Sequence[str], folder: pathlib.Path, environment: dict[str, str] | None = None
    ) -> None:
        self._command, self._folder = list(command), folder
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._said: Any = None

    def __enter__(self) -> Helper:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def ask(self, question: dict[str, Any], *, seconds: float, most_bytes: int) -> dict[str, Any]:
        """Send a question and wait for the answer.

        Raises
        ------
        HelperLostError
            It has none, and was ended.
        """
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        line, until = b"", time.monotonic() + seconds
        try:
            process.stdin.write(json.dumps(question).encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            raise self._lost("died") from None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if selector.select(_LOOK_S):
                    part = os.read(process.stdout.fileno(), 1 << 16)
                    if not part:
                        raise self._lost("died")
                    line += part
                elif time.monotonic() > until:
                    raise self._lost("timeout")
                elif _memory(process.pid) > most_bytes:
                    raise self._lost("memory")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._said = tempfile.TemporaryFile()  # noqa: SIM115, for it lives as long as the process
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                start_new_session=True,
            )
        return self._process

    def _lost(self, why: str) -> HelperLostError:
        said = self._said
        self.stop()
        said.seek(0, os.SEEK_END)
        said.seek(max(said.tell() - _SAID, 0))
        lines = said.read().decode(errors="replace").strip().splitlines()
        said.close()
        return HelperLostError(why, lines[-1] if lines else "")

    def stop(self) -> None:
        """End it, and what it started."""
        process, self._process = self._process, None
        if process is None:
            return
        for one in _family(process.pid):
            try:
                one.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _family(pid: int) -> list[psutil.Process]:
    try:
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _memory(pid: int) -> int:
    total = 0
    for one in _family(pid):
        try:
            memory = one.memory_info()
        except psutil.NoSuchProcess:
            continue
        total += memory.rss - getattr(memory, "shared", 0)
    return total
