"""The engine process: a warm interpreter that forks a child for every piece of work.

It is the crash boundary, the kill boundary and the version boundary at once. Its parent (see
:mod:`workers.process`) holds the other end of one socket and speaks in plain data. A child that crashes,
hangs or leaks costs its own piece of work and nothing else: this process starts no thread, so a fork of it is
a clean start in some 20 ms where a new interpreter with TVM in it takes seconds.

Requests are tuples, their first member what is wanted:

=========  =======================================================  ==========================================
request    further members                                          what happens
=========  =======================================================  ==========================================
call       id, method, args, kwargs, seconds                        one fork runs the engine's method
open       id, session, method, args, kwargs, seconds               a fork makes an object and keeps it
use        id, session, method, args, kwargs, seconds               the object's method runs in that fork
close      session                                                  the fork ends
spawn      id, service, method, args, kwargs, seconds               a fork that runs on; answers when ready
end        service                                                  the service is killed
pause                                                               calls and sessions are stopped (SIGSTOP)
resume                                                              and go on; their limits wait for them
=========  =======================================================  ==========================================

Answers are ``("done", id, pickled value)``, ``("failed", id, kind, text, stage)`` with `kind` one of
``error``, ``timeout``, ``crash``, ``closed``, and ``("exited", service, text)``.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib
import os
import pickle
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any

from workers.process.lifeline import die_with_parent

__all__ = ["main", "ready", "stage"]

# Set in a child: the way to its parent.
_up: Connection | None = None


def stage(text: str) -> None:
    """Say what this piece of work is doing now; a timeout or a crash is reported with the last such word."""
    if _up is not None:
        _up.send_bytes(pickle.dumps(("stage", text)))


def ready(value: Any) -> None:
    """Say that this service is up; `value` answers the request that started it."""
    if _up is not None:
        _up.send_bytes(pickle.dumps(("ready", value)))


@dataclass
class _Child:
    pid: int
    pipe: Connection
    kind: str  # call, session, service
    request: int | None  # the request it is working on
    deadline: float | None
    stage: str = "starting"
    session: str = ""
    # What a session is to do next: number, message and time limit.
    queue: deque[tuple[int, Any, float | None]] = field(default_factory=deque)


@dataclass
class _Host:
    engine: Any
    parent: Connection
    children: dict[Connection, _Child] = field(default_factory=dict)
    sessions: dict[str, _Child] = field(default_factory=dict)
    paused_at: float | None = None

    def serve(self) -> None:
        while True:
            for source in wait([self.parent, *self._audible()], self._next_deadline()):
                assert isinstance(source, Connection)
                if source is self.parent:
                    try:
                        request = self.parent.recv()
                    except (EOFError, OSError):
                        return
                    self._handle(request)
                elif source in self.children and self._hears(self.children[source]):
                    self._hear(self.children[source])
            self._kill_late()

    def _audible(self) -> list[Connection]:
        return [pipe for pipe, child in self.children.items() if self._hears(child)]

    def _hears(self, child: _Child) -> bool:
        """Say whether to listen to a child: one stopped halfway through an answer would hold us up."""
        return self.paused_at is None or child.kind == "service"

    # -- requests

    def _handle(self, request: tuple[Any, ...]) -> None:
        kind, *rest = request
        if kind == "call":
            number, method, args, kwargs, seconds = rest
            self._fork("call", number, seconds, lambda: self._run_once(method, args, kwargs))
        elif kind == "open":
            number, name, method, args, kwargs, seconds = rest
            self._end(name)
            ours, theirs = Pipe()
            child = self._fork(
                "session",
                number,
                seconds,
                lambda: self._run_session(theirs, method, args, kwargs),
                (ours, theirs),
            )
            child.session = name
            self.sessions[name] = child
        elif kind == "use":
            number, name, method, args, kwargs, seconds = rest
            session = self.sessions.get(name)
            if session is None:
                self._fail(number, "closed", f"no search {name} is open here", "")
                return
            session.queue.append((number, (method, args, kwargs), seconds))
            self._feed(session)
        elif kind == "spawn":
            number, name, method, args, kwargs, seconds = rest
            self._end(name)
            child = self._fork("service", number, seconds, lambda: self._run_once(method, args, kwargs))
            child.session = name
            self.sessions[name] = child
        elif kind in ("close", "end"):
            self._end(rest[0])
        elif kind == "pause":
            self._pause()
        elif kind == "resume":
            self._resume()

    def _feed(self, session: _Child) -> None:
        """Give a session its next request.

        Only one that reads is given anything: a message that fills the pipe to a stopped or busy one would
        stop this process as well.
        """
        if session.queue and session.request is None and self.paused_at is None:
            session.request, message, seconds = session.queue.popleft()
            session.deadline = self._deadline(seconds)
            with contextlib.suppress(OSError):  # it died: its pipe's end says so in a moment
                session.pipe.send(message)

    def _end(self, name: str) -> None:
        """End a session or a service, where there is one of that name."""
        child = self.sessions.pop(name, None)
        if child is None:
            return
        self._give_up(child, "closed", f"{name} was closed")
        child.kind = "ended"
        self._kill(child)

    def _give_up(self, child: _Child, kind: str, text: str) -> None:
        """Fail what a child is working on, and what it would have worked on next."""
        if child.request is not None:
            number, child.request, child.deadline = child.request, None, None
            self._fail(number, kind, text, child.stage)
        while child.queue:
            self._fail(child.queue.popleft()[0], "closed", f"{child.session} has ended", "")

    def _pause(self) -> None:
        if self.paused_at is None:
            self.paused_at = time.monotonic()
            self._signal_workers(signal.SIGSTOP)

    def _resume(self) -> None:
        if self.paused_at is not None:
            stopped = time.monotonic() - self.paused_at
            self.paused_at = None
            for child in self.children.values():
                if child.kind != "service" and child.deadline is not None:
                    child.deadline += stopped
            self._signal_workers(signal.SIGCONT)
            for child in list(self.children.values()):
                self._feed(child)

    def _signal_workers(self, number: int) -> None:
        for child in self.children.values():
            if child.kind != "service":
                _signal_group(child.pid, number)

    # -- children

    def _fork(
        self,
        kind: str,
        request: int,
        seconds: float | None,
        work: Callable[[], None],
        pipe: tuple[Connection, Connection] | None = None,
    ) -> _Child:
        ours, theirs = pipe or Pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            _become_child(theirs, [self.parent, ours, *self.children])
            try:
                work()
            finally:
                os._exit(0)
        theirs.close()
        # In both processes, so that neither order of the two leaves a moment without the group.
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)
        child = _Child(pid, ours, kind, request, self._deadline(seconds))
        self.children[ours] = child
        if self.paused_at is not None and kind != "service":
            _signal_group(pid, signal.SIGSTOP)
        return child

    def _run_once(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        _answer(lambda: getattr(self.engine, method)(*args, **kwargs))

    def _run_session(
        self, pipe: Connection, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        kept: list[Any] = []

        def opened() -> None:
            kept.append(getattr(self.engine, method)(*args, **kwargs))

        _answer(opened)
        while kept:
            try:
                name, more, named = pipe.recv()
            except (EOFError, OSError):
                return
            _answer(functools.partial(getattr(kept[0], name), *more, **named))

    def _hear(self, child: _Child) -> None:
        try:
            data = child.pipe.recv_bytes()
        except (EOFError, OSError):
            self._bury(child)
            return
        kind, value = pickle.loads(data)
        if kind == "stage":
            child.stage = value
        elif child.request is not None:
            number, child.request, child.deadline = child.request, None, None
            if kind == "error":
                self._fail(number, "error", value, child.stage)
            elif kind == "ready":
                self.parent.send(("done", number, pickle.dumps(value)))
            else:
                self.parent.send(("done", number, value))
            self._feed(child)

    def _bury(self, child: _Child) -> None:
        del self.children[child.pipe]
        child.pipe.close()
        if self.sessions.get(child.session) is child:
            del self.sessions[child.session]
        # What it started itself goes with it.
        _signal_group(child.pid, signal.SIGKILL)
        _, status = os.waitpid(child.pid, 0)
        text = _how_it_ended(status)
        self._give_up(child, "crash", text)
        if child.kind == "service":
            self.parent.send(("exited", child.session, text))

    def _kill(self, child: _Child) -> None:
        _signal_group(child.pid, signal.SIGKILL)

    def _kill_late(self) -> None:
        if self.paused_at is not None:
            late = [c for c in self.children.values() if c.kind == "service"]
        else:
            late = list(self.children.values())
        now = time.monotonic()
        for child in late:
            if child.deadline is not None and now >= child.deadline and child.request is not None:
                self._kill(child)
                self._give_up(child, "timeout", "")

    def _next_deadline(self) -> float | None:
        deadlines = [c.deadline for c in self.children.values() if c.deadline is not None]
        if not deadlines:
            return None
        # While paused, deadlines may lie in the past without meaning anything.
        return max(0.0 if self.paused_at is None else 0.2, min(deadlines) - time.monotonic())

    def _deadline(self, seconds: float | None) -> float | None:
        return None if seconds is None else time.monotonic() + seconds

    def _fail(self, number: int, kind: str, text: str, at: str) -> None:
        self.parent.send(("failed", number, kind, text, at))


def _become_child(up: Connection, others: list[Connection]) -> None:
    global _up
    die_with_parent()
    with contextlib.suppress(OSError):
        os.setpgid(0, 0)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    # Another child's pipe held open here would hide that child's end from the parent.
    for connection in others:
        connection.close()
    _up = up


def _answer(work: Callable[[], Any]) -> None:
    """Run `work` and send up what came of it."""
    assert _up is not None
    message: tuple[str, Any]
    try:
        message = ("value", pickle.dumps(work()))
    except BaseException as error:  # a child has nobody else to tell
        message = ("error", (type(error).__name__, _text_of(error)))
    # The pipe is gone where the parent is: nothing is left to do.
    with contextlib.suppress(OSError):
        _up.send_bytes(pickle.dumps(message))


def _text_of(error: BaseException) -> str:
    text = str(error).strip() or "no message"
    # TVM's messages may hold a whole module; both ends tell more than the middle.
    return text if len(text) <= 4000 else text[:2000] + "\n[...]\n" + text[-2000:]


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _how_it_ended(status: int) -> str:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return f"its process was killed by signal {number} ({signal.Signals(number).name})"
    return f"its process ended with exit code {os.WEXITSTATUS(status)}"


def main(argv: list[str] | None = None) -> None:
    """Serve one engine over the socket whose file descriptor is given."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--engine", required=True, help="package under workers.engines, or a module's path")
    parser.add_argument("--role", required=True, choices=("search", "build", "measure", "model"))
    parser.add_argument("--fd", type=int, required=True, help="socket to the parent")
    options = parser.parse_args(argv)
    # Ctrl-C goes to the whole foreground group: the parent decides what ends, in which order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = Connection(options.fd)
    try:
        if "." in options.engine:
            engine = importlib.import_module(options.engine).ENGINE
        else:
            from workers import engines

            engine = engines.load(options.engine)
        engine.warm(options.role)
    except BaseException as error:
        parent.send(("failed", 0, "error", (type(error).__name__, _text_of(error)), "starting the engine"))
        return
    parent.send(("done", 0, pickle.dumps(os.getpid())))
    host = _Host(engine, parent)
    try:
        host.serve()
    finally:
        for child in host.children.values():
            _signal_group(child.pid, signal.SIGKILL)


if __name__ == "__main__":
    # Run as a module, this file would exist twice, and engines would find `stage` in the wrong one.
    from workers.process.host import main as imported_main

    imported_main()
