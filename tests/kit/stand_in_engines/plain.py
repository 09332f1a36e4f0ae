"""An engine without a TVM: it does what a test needs an engine to do, good or bad."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from typing import Any

from workers import errors
from workers.process.host import ready, stage


class Counter:
    """What a session keeps."""

    def __init__(self, start: int) -> None:
        self.total = start

    def add(self, number: int) -> tuple[int, int]:
        self.total += number
        return self.total, os.getpid()

    def size(self, data: bytes) -> int:
        return len(data)

    def sleep(self, seconds: float) -> str:
        time.sleep(seconds)
        return "slept"

    def fail(self) -> None:
        raise ValueError("this one failed")

    def crash(self) -> None:
        os.kill(os.getpid(), signal.SIGSEGV)


class Plain:
    """Every method is one behaviour."""

    name = "plain"

    def warm(self, role: str) -> None:
        self.role = role
        self.host = os.getpid()

    def add(self, a: int, b: int = 0) -> int:
        return a + b

    def pid(self) -> int:
        return os.getpid()

    def garbage(self) -> tuple[bool, bool]:
        """Say whether garbage is looked for, and whether it is in what was imported before."""
        return gc.isenabled(), gc.get_freeze_count() == 0

    def blob(self, size: int) -> bytes:
        return bytes(size)

    def echo(self, data: bytes) -> bytes:
        return data

    def sleep(self, seconds: float) -> str:
        stage("sleeping")
        time.sleep(seconds)
        return "slept"

    def work_for(self, cpu_seconds: float) -> float:
        """Use the processor this long, and return the clock's seconds it took."""
        started = time.monotonic()
        while time.process_time() < cpu_seconds:
            pass
        return time.monotonic() - started

    def count_into(self, path: str) -> None:
        """Write to a file for as long as this process runs."""
        number = 0
        while True:
            number += 1
            with open(path, "w", encoding="utf-8") as file:
                file.write(str(number))
            time.sleep(0.01)

    def fail(self, kind: str, text: str) -> None:
        stage("failing")
        known = getattr(errors, kind, None)
        raise (known or {"ValueError": ValueError}[kind])(text)

    def crash(self) -> None:
        stage("crashing")
        os.kill(os.getpid(), signal.SIGSEGV)

    def leave(self, code: int) -> None:
        os._exit(code)

    def unpicklable(self) -> Any:
        return lambda: None

    def unreadable(self) -> Any:
        """Return what only this process knows how to read."""
        return _OnlyHere()

    def with_grandchild(self, path: str) -> None:
        """Start a process, say which, and never end."""
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        with open(path, "w", encoding="utf-8") as file:
            file.write(str(child.pid))
        time.sleep(600)

    def counter(self, start: int) -> Counter:
        return Counter(start)

    def broken_counter(self) -> Counter:
        raise errors.ModelError("no counter for this")

    def serve(self, value: str) -> None:
        ready((value, os.getpid()))
        time.sleep(600)

    def serve_briefly(self, seconds: float) -> None:
        ready("up")
        time.sleep(seconds)
        os._exit(3)

    def never_ready(self) -> None:
        time.sleep(600)


class _OnlyHere:
    def __reduce__(self) -> Any:
        return _read_only_in, (os.getpid(),)


def _read_only_in(pid: int) -> str:
    if os.getpid() != pid:
        raise RuntimeError("read elsewhere")
    return "read"


ENGINE = Plain()
