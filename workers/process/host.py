"""The engine process: a warm interpreter that forks a child for every piece of work.

It is the crash boundary, the kill boundary and the version boundary at once. Its parent (see
:mod:`workers.process`) holds the other end of one socket and speaks in plain data. A child that crashes,
hangs or leaks costs its own piece of work and nothing else: this process starts no thread, so a fork of it is
a clean start in some 20 ms where a new interpreter with TVM in it takes seconds.

What it is asked and what it answers is in :mod:`workers.process.protocol`.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import gc
import os
import pickle
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from multiprocessing.connection import Connection, Pipe, wait
from operator import attrgetter
from typing import Any, get_args

from workers.environments.lifeline import die_with_parent
from workers.files import full_temporary_folder
from workers.process.protocol import (
    Answer,
    Call,
    Close,
    Done,
    Exited,
    Failed,
    Fault,
    Job,
    Open,
    Pause,
    Raised,
    Ready,
    Request,
    Returned,
    Role,
    Spawn,
    Stage,
    Use,
    Warm,
    Word,
)

__all__ = ["main", "ready", "stage"]

# Roles whose work waits for what measures beside it. A CPU is measured while they are stopped; a GPU while
# they go on, and what launches its kernels, of microseconds each, is not to wait for a core.
_YIELDING, _NICE = ("search", "build"), 5

# Set in a child: the way to its parent.
_up: Connection | None = None


def stage(text: str) -> None:
    """Say what this piece of work is doing now; a timeout or a crash is reported with the last such word."""
    _tell(Stage(text))


def ready(value: Any) -> None:
    """Say that this service is up; `value` answers the request that started it."""
    _tell(Ready(value))


def _tell(word: Word) -> None:
    if _up is not None:
        _up.send_bytes(pickle.dumps(word))


class _Kind(Enum):
    CALL = "call"
    SESSION = "session"
    SERVICE = "service"
    #: A session or a service that was ended on purpose, and whose process is not yet gone.
    ENDED = "ended"


@dataclass
class _Child:
    pid: int
    pipe: Connection
    kind: _Kind
    request: int | None  # the request it is working on
    deadline: float | None
    stage: str = "starting"
    #: Name of the session or the service that it is.
    name: str = ""
    #: What a session is to do next.
    queue: deque[Use] = field(default_factory=deque)


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
        return self.paused_at is None or child.kind is _Kind.SERVICE

    # -- requests

    def _handle(self, request: Request) -> None:
        if isinstance(request, Call):
            self._fork(_Kind.CALL, request, functools.partial(self._run_once, request.job))
        elif isinstance(request, Open):
            ours, theirs = Pipe()
            self._keep(
                request.session,
                _Kind.SESSION,
                request,
                functools.partial(self._run_session, theirs, request.job),
                (ours, theirs),
            )
        elif isinstance(request, Use):
            session = self.sessions.get(request.session)
            if session is None:
                text = f"no search {request.session} is open here"
                self._send(Failed(request.number, Fault.CLOSED, text))
                return
            session.queue.append(request)
            self._feed(session)
        elif isinstance(request, Spawn):
            work = functools.partial(self._run_once, request.job)
            self._keep(request.service, _Kind.SERVICE, request, work)
        elif isinstance(request, Close):
            self._end(request.name)
        elif isinstance(request, Pause):
            self._pause()
        else:
            self._resume()

    def _keep(
        self,
        name: str,
        kind: _Kind,
        request: Open | Spawn,
        work: Callable[[], None],
        pipe: tuple[Connection, Connection] | None = None,
    ) -> None:
        """Fork a session or a service, in the place of one of the same name."""
        self._end(name)
        child = self._fork(kind, request, work, pipe)
        child.name = name
        self.sessions[name] = child

    def _feed(self, session: _Child) -> None:
        """Give a session its next request.

        Only one that reads is given anything: a message that fills the pipe to a stopped or busy one would
        stop this process as well.
        """
        if session.queue and session.request is None and self.paused_at is None:
            request = session.queue.popleft()
            session.request, session.deadline = request.number, self._deadline(request.timeout_s)
            with contextlib.suppress(OSError):  # it died: its pipe's end says so in a moment
                session.pipe.send(request.job)

    def _end(self, name: str) -> None:
        """End a session or a service, where there is one of that name."""
        child = self.sessions.pop(name, None)
        if child is None:
            return
        self._give_up(child, Fault.CLOSED, f"{name} was closed")
        child.kind = _Kind.ENDED
        self._kill(child)

    def _give_up(self, child: _Child, fault: Fault, text: str) -> None:
        """Fail what a child is working on, and what it would have worked on next."""
        if child.request is not None:
            number, child.request, child.deadline = child.request, None, None
            self._send(Failed(number, fault, text, stage=child.stage))
        while child.queue:
            self._send(Failed(child.queue.popleft().number, Fault.CLOSED, f"{child.name} has ended"))

    def _pause(self) -> None:
        if self.paused_at is None:
            self.paused_at = time.monotonic()
            self._signal_workers(signal.SIGSTOP)

    def _resume(self) -> None:
        if self.paused_at is not None:
            stopped = time.monotonic() - self.paused_at
            self.paused_at = None
            for child in self.children.values():
                if child.kind is not _Kind.SERVICE and child.deadline is not None:
                    child.deadline += stopped
            self._signal_workers(signal.SIGCONT)
            for child in list(self.children.values()):
                self._feed(child)

    def _signal_workers(self, number: int) -> None:
        for child in self.children.values():
            if child.kind is not _Kind.SERVICE:
                _signal_group(child.pid, number)

    # -- children

    def _fork(
        self,
        kind: _Kind,
        request: Call | Open | Spawn,
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
        child = _Child(pid, ours, kind, request.number, self._deadline(request.timeout_s))
        self.children[ours] = child
        if self.paused_at is not None and kind is not _Kind.SERVICE:
            _signal_group(pid, signal.SIGSTOP)
        return child

    def _run_once(self, job: Job) -> None:
        _answer(functools.partial(_do, self.engine, job))

    def _run_session(self, pipe: Connection, job: Job) -> None:
        kept: list[object] = []
        _answer(lambda: kept.append(_do(self.engine, job)))
        while kept:
            try:
                job = pipe.recv()
            except (EOFError, OSError):
                return
            _answer(functools.partial(_do, kept[0], job))

    def _hear(self, child: _Child) -> None:
        try:
            data = child.pipe.recv_bytes()
        except (EOFError, OSError):
            self._bury(child)
            return
        word: Word = pickle.loads(data)
        if isinstance(word, Stage):
            child.stage = word.text
        elif child.request is not None:
            number, child.request, child.deadline = child.request, None, None
            if isinstance(word, Raised):
                self._send(Failed(number, Fault.ERROR, word.text, word.error, child.stage))
            elif isinstance(word, Ready):
                self._send(Done(number, pickle.dumps(word.value)))
            else:
                self._send(Done(number, word.value))
            self._feed(child)

    def _bury(self, child: _Child) -> None:
        del self.children[child.pipe]
        child.pipe.close()
        if self.sessions.get(child.name) is child:
            del self.sessions[child.name]
        # What it started itself goes with it.
        _signal_group(child.pid, signal.SIGKILL)
        _, status = os.waitpid(child.pid, 0)
        text = _how_it_ended(status) + full_temporary_folder()
        self._give_up(child, Fault.CRASH, text)
        if child.kind is _Kind.SERVICE:
            self._send(Exited(child.name, text))

    def _kill(self, child: _Child) -> None:
        _signal_group(child.pid, signal.SIGKILL)

    def _kill_late(self) -> None:
        if self.paused_at is not None:
            late = [c for c in self.children.values() if c.kind is _Kind.SERVICE]
        else:
            late = list(self.children.values())
        now = time.monotonic()
        for child in late:
            if child.deadline is not None and now >= child.deadline and child.request is not None:
                self._kill(child)
                self._give_up(child, Fault.TIMEOUT, "")

    def _next_deadline(self) -> float | None:
        deadlines = [c.deadline for c in self.children.values() if c.deadline is not None]
        if not deadlines:
            return None
        # While paused, deadlines may lie in the past without meaning anything.
        return max(0.0 if self.paused_at is None else 0.2, min(deadlines) - time.monotonic())

    def _deadline(self, seconds: float | None) -> float | None:
        return None if seconds is None else time.monotonic() + seconds

    def _send(self, answer: Answer) -> None:
        self.parent.send(answer)


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


def _do(target: object, job: Job) -> object:
    """Call the method that a job names: of an engine, of one of its roles, or of what a session keeps."""
    return attrgetter(job.method)(target)(*job.args, **job.kwargs)


def _answer(work: Callable[[], object]) -> None:
    """Run `work` and send up what came of it."""
    word: Word
    try:
        word = Returned(pickle.dumps(work()))
    except BaseException as error:  # a child has nobody else to tell
        word = Raised(type(error).__name__, _text_of(error))
    # The pipe is gone where the parent is: nothing is left to do.
    with contextlib.suppress(OSError):
        _tell(word)


def _text_of(error: BaseException) -> str:
    text = str(error).strip() or "no message"
    # TVM's messages may hold a whole module; both ends tell more than the middle.
    between = "\n[...]\n" if "\n" in text else " [...] "
    return text if len(text) <= 4000 else text[:2000] + between + text[-2000:]


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
    parser.add_argument("--engine", required=True, help="module that has an ENGINE")
    parser.add_argument("--folder", help="of that module, a package that isn't found by its name here")
    parser.add_argument("--role", required=True, choices=get_args(Role))
    parser.add_argument("--fd", type=int, required=True, help="socket to the parent")
    options = parser.parse_args(argv)
    if options.role in _YIELDING:
        os.nice(_NICE)
    # Ctrl-C goes to the whole foreground group: the parent decides what ends, in which order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = Connection(options.fd)
    warm: Answer
    # Of what an import makes nothing is garbage, and looking for some is a fifth of importing TVM. Nor is it
    # ever to be looked through in a child, which would copy it for that.
    gc.disable()
    try:
        from workers.environments.load import load

        engine = load(options.engine, options.folder)
        engine.warm(options.role)
        warm = Warm(getattr(engine, "traits", None))
    except BaseException as error:
        text, name = _text_of(error), type(error).__name__
        parent.send(Failed(0, Fault.ERROR, text, name, "starting the engine"))
        return
    gc.freeze()
    gc.enable()
    parent.send(warm)
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
