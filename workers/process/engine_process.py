"""An engine process, seen from the side that starts it."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import itertools
import os
import pathlib
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import IO, Any

from workers import environments, errors
from workers.errors import EngineError, EngineLostError, EngineTimeoutError
from workers.messages import Traits
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
    Request,
    Resume,
    Role,
    Spawn,
    Use,
    Warm,
)

__all__ = ["EngineProcess"]

# Importing TVM takes seconds where nothing else runs, and many where everything does.
_START_SECONDS = 180.0


@dataclass(frozen=True)
class _Asked:
    """What is waited for, and how long its work may take."""

    future: Future[Any]
    timeout_s: float | None


class EngineProcess:
    """One engine process. It starts with the first call, and again after it was lost.

    Parameters
    ----------
    engine : str
        Name of the engine; or, with a dot in it, of a module that has an ``ENGINE``.
    role : {'search', 'build', 'measure', 'model'}
        What it imports ahead.
    python : str, optional
        Interpreter of the engine's environment. Left out, :func:`workers.environments.interpreter` says
        which, each time the process starts and on the machine where it does.
    on_exit : callable, optional
        Called with a service's name and the reason when a service ends by itself.

    Notes
    -----
    Safe to use from several threads.
    """

    def __init__(
        self,
        engine: str,
        role: Role,
        python: str | None = None,
        on_exit: Callable[[str, str], None] | None = None,
    ) -> None:
        self._engine, self._role, self._python = engine, role, python
        self._on_exit = on_exit
        self._lock = threading.Lock()
        # Not the same one: an answer must be taken, with the first lock, while a large request is on its way,
        # or both processes wait for each other to read.
        self._sending = threading.Lock()
        self._numbers = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._asked: dict[int, _Asked] = {}
        self._traits: Traits | None = None
        self._log: IO[bytes] | None = None
        self._stopping = False

    # -- calls

    # Methods are named by text here; :mod:`workers.clients` has them with their types.

    def call(self, method: str, *args: Any, timeout_s: float | None = None, **kwargs: Any) -> Any:
        """Run a method of the engine in a fresh fork and return what it returns.

        Parameters
        ----------
        method : str
            Its name; ``build.build`` is that of the engine's role.

        Raises
        ------
        EngineTimeoutError
            After `timeout_s` seconds; the fork was killed.
        EngineLostError
            Where the fork crashed, or the engine process died.
        TunefleetError
            What the engine raised; an error outside that tree comes as EngineError.
        """
        return self.submit(method, *args, timeout_s=timeout_s, **kwargs).result()

    def submit(self, method: str, *args: Any, timeout_s: float | None = None, **kwargs: Any) -> Future[Any]:
        """Start :meth:`call` and return its future."""
        number = next(self._numbers)
        return self._request(Call(number, Job(method, args, kwargs), timeout_s))

    def open(
        self, session: str, method: str, *args: Any, timeout_s: float | None = None, **kwargs: Any
    ) -> None:
        """Make an object with the engine's `method` in a fork that keeps it, under the name `session`."""
        self.submit_open(session, method, *args, timeout_s=timeout_s, **kwargs).result()

    def submit_open(
        self, session: str, method: str, *args: Any, timeout_s: float | None = None, **kwargs: Any
    ) -> Future[Any]:
        """Start :meth:`open` and return its future."""
        number = next(self._numbers)
        return self._request(Open(number, session, Job(method, args, kwargs), timeout_s))

    def use(
        self, session: str, method: str, *args: Any, timeout_s: float | None = None, **kwargs: Any
    ) -> Any:
        """Call a method of the object that `session` keeps."""
        return self.submit_use(session, method, *args, timeout_s=timeout_s, **kwargs).result()

    def submit_use(
        self, session: str, method: str, *args: Any, timeout_s: float | None = None, **kwargs: Any
    ) -> Future[Any]:
        """Start :meth:`use` and return its future; a session does one thing after the other."""
        number = next(self._numbers)
        return self._request(Use(number, session, Job(method, args, kwargs), timeout_s))

    def close(self, session: str) -> None:
        """End a session; one that is gone already is no error."""
        self._tell(Close(session))

    def spawn(
        self, service: str, method: str, *args: Any, timeout_s: float | None = None, **kwargs: Any
    ) -> Any:
        """Start a service and return what it announced when it was ready."""
        return self.submit_spawn(service, method, *args, timeout_s=timeout_s, **kwargs).result()

    def submit_spawn(
        self, service: str, method: str, *args: Any, timeout_s: float | None = None, **kwargs: Any
    ) -> Future[Any]:
        """Start :meth:`spawn` and return its future."""
        number = next(self._numbers)
        return self._request(Spawn(number, service, Job(method, args, kwargs), timeout_s))

    def end(self, service: str) -> None:
        """Kill a service."""
        self._tell(Close(service))

    def pause(self) -> None:
        """Stop all calls and sessions where they stand, so that a measurement has the machine to itself."""
        self._tell(Pause())

    def resume(self) -> None:
        """Let them go on; their time limits did not run meanwhile."""
        self._tell(Resume())

    # -- life

    @property
    def pid(self) -> int | None:
        """The engine process's id, where it runs."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    @property
    def traits(self) -> Traits:
        """What the engine says of itself; its process is started to know it.

        Raises
        ------
        EngineError
            It can't be started, or what it runs is no engine that tunes.
        """
        self.start()
        if self._traits is None:
            raise EngineError(f"{self._engine} is no engine that tunes")
        return self._traits

    def start(self) -> None:
        """Start the engine process and wait until it is warm.

        Raises
        ------
        EngineError
            Where its environment is missing or lacks something, with what it said.
        """
        with self._lock:
            if self._connection is not None:
                return
            if self._stopping:
                raise EngineLostError(f"the {self._engine} engine was stopped")
            python = self._python or environments.interpreter(self._engine)
            ours, theirs = socket.socketpair()
            self._log = tempfile.TemporaryFile(prefix="tunefleet-engine-")  # noqa: SIM115
            command = [*_host(python), *_module(self._engine), "--role", self._role]
            self._process = subprocess.Popen(
                [*command, "--fd", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                env=_environment(python, self._role),
                # A Ctrl-C at the terminal is for whoever started this: that one ends the engine in order.
                start_new_session=True,
            )
            theirs.close()
            connection = Connection(ours.detach())
            try:
                self._greet(connection, python)
            except BaseException:
                connection.close()
                self._kill()
                raise
            self._connection = connection
            threading.Thread(target=self._listen, args=(connection,), daemon=True).start()

    def _greet(self, connection: Connection, python: str) -> None:
        """Wait until a new engine process is warm."""
        try:
            if not connection.poll(_START_SECONDS):
                raise EngineTimeoutError(
                    f"the {self._engine} engine did not start within {_START_SECONDS:.0f} s"
                )
            answer: Answer = connection.recv()
        except (EOFError, OSError):
            raise EngineLostError(
                f"the {self._engine} engine's process ended while it started.\n{self._tail()}"
            ) from None
        if isinstance(answer, Failed):
            option = "" if "." in self._engine else f" --engine {self._engine}"
            if _known(answer.error) is not None:
                raise EngineError(f"the {self._engine} engine can't start: {answer.text}")
            mend = f"`tunefleet doctor{option}` says what is missing"
            if answer.error == ModuleNotFoundError.__name__ and python == sys.executable:
                # This environment was made for looking at a store, or for asking a service.
                mend = "pip install 'tunefleet[tuning]' brings what tunes"
            raise EngineError(
                f"the {self._engine} engine can't start with {python}: {answer.error}: {answer.text}. {mend}"
            )
        assert isinstance(answer, Warm)
        self._traits = answer.traits

    def stop(self) -> None:
        """Kill the engine process and everything it started. It can't be used any more."""
        self._stopping = True
        process, connection = self._process, self._connection
        if connection is not None:
            # The end of its socket is how an engine process learns that nobody needs it any more.
            with contextlib.suppress(OSError):
                socket.socket(fileno=os.dup(connection.fileno())).shutdown(socket.SHUT_RDWR)
        if process is not None:
            try:
                process.wait(2)
            except subprocess.TimeoutExpired:
                self._kill()

    def _kill(self) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def __enter__(self) -> EngineProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # -- wire

    def _request(self, request: Call | Open | Use | Spawn) -> Future[Any]:
        self.start()
        future: Future[Any] = Future()
        data = pickle.dumps(request)
        with self._lock:
            connection = self._connection
            if connection is None:
                future.set_exception(EngineLostError(f"the {self._engine} engine's process ended"))
                return future
            self._asked[request.number] = _Asked(future, request.timeout_s)
        self._send(connection, data)
        return future

    def _tell(self, request: Request) -> None:
        connection = self._connection
        if connection is not None:
            self._send(connection, pickle.dumps(request))

    def _send(self, connection: Connection, data: bytes) -> None:
        # Where it died, the listener fails all futures.
        with self._sending, contextlib.suppress(OSError):
            connection.send_bytes(data)

    def _listen(self, connection: Connection) -> None:
        while True:
            try:
                answer: Answer = connection.recv()
            except (EOFError, OSError):
                break
            if isinstance(answer, Exited):
                if self._on_exit is not None and not self._stopping:
                    # In a thread of its own: who restarts the service waits for an answer that is read here.
                    what = (answer.service, answer.reason)
                    threading.Thread(target=self._on_exit, args=what, daemon=True).start()
            elif not isinstance(answer, Warm):
                with self._lock:
                    asked = self._asked.pop(answer.number, None)
                if asked is not None:
                    _settle(asked, answer)
        self._lost()

    def _lost(self) -> None:
        with self._lock:
            self._connection = None
            lost, self._asked = list(self._asked.values()), {}
            process = self._process
        if process is not None:
            # Children of its own are in groups of their own; they die with it by the kernel's hand.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
        for asked in lost:
            asked.future.set_exception(
                EngineLostError(f"the {self._engine} engine's process ended.\n{self._tail()}")
            )

    def _tail(self) -> str:
        if self._log is None:
            return ""
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, self._log.tell() - 2000))
        return self._log.read().decode(errors="replace").strip()


_ROOT = pathlib.Path(__file__).resolve().parents[2]
# Of the folder this package lies in, another interpreter may see this package alone: where it was installed,
# the rest are libraries for this interpreter, which would be found before its own.
_ELSEWHERE = """
import importlib.util as util, sys
folder = sys.argv[1]
init = folder + "/__init__.py"
spec = util.spec_from_file_location("workers", init, submodule_search_locations=[folder])
sys.modules["workers"] = module = util.module_from_spec(spec)
spec.loader.exec_module(module)
from workers.process.host import main
main(sys.argv[2:])
"""


def _host(python: str) -> list[str]:
    """Return the command that starts :mod:`workers.process.host`."""
    if python == sys.executable:
        return [python, "-m", "workers.process.host"]
    return [python, "-c", _ELSEWHERE, str(_ROOT / "workers")]


def _module(engine: str) -> list[str]:
    """Say to :mod:`workers.process.host` which module is the engine, and where it lies."""
    package = None if "." in engine else environments.find_package(engine)
    if package is None or package.own:
        return ["--engine", engine]
    return ["--engine", package.module, "--folder", str(package.folder)]


def _environment(python: str, role: str) -> dict[str, str]:
    """Return the environment variables of an engine process."""
    found = environments.variables(python)
    allocator = _allocator() if role == "search" else ""
    if allocator:
        found["LD_PRELOAD"] = " ".join(filter(None, [found.get("LD_PRELOAD"), allocator]))
    if python == sys.executable:
        paths = [str(_ROOT), *filter(None, [found.get("PYTHONPATH")])]
        found["PYTHONPATH"] = os.pathsep.join(paths)
    return found


@functools.cache
def _allocator() -> str:
    """Return the path of jemalloc, which comes with Ray, where it is and runs here; else nothing.

    A search spends a fifth of its time in malloc and free; with jemalloc it takes a fifth less. Builds gain
    nothing by it, and what measures shall run as the model will.
    """
    # Made for pages of this size; with others it ends the process.
    ray = importlib.util.find_spec("ray") if os.sysconf("SC_PAGE_SIZE") == 4096 else None
    found = pathlib.Path(ray.origin).parent / "core" / "libjemalloc.so" if ray and ray.origin else None
    return str(found) if found and found.is_file() else ""


def _settle(asked: _Asked, answer: Done | Failed) -> None:
    if isinstance(answer, Failed):
        asked.future.set_exception(_error(answer, asked.timeout_s))
        return
    try:
        value = pickle.loads(answer.value)
    except Exception as error:  # whatever it is, those who wait for other answers still want them
        asked.future.set_exception(EngineError(f"its answer can't be read here: {error}"))
    else:
        asked.future.set_result(value)


def _error(failed: Failed, limit_s: float | None) -> errors.TunefleetError:
    where = f" while {failed.stage}" if failed.stage else ""
    error: errors.TunefleetError
    if failed.fault is Fault.TIMEOUT:
        error = EngineTimeoutError(f"killed after {limit_s:g} s{where}")
    elif failed.fault is Fault.ERROR:
        known = _known(failed.error)
        if known is not None:
            error = known(failed.text)
        else:
            error = EngineError(f"{failed.error}{where}: {failed.text}")
    elif failed.fault is Fault.CRASH:
        ended, _, more = failed.text.partition("; ")
        error = EngineLostError(f"{ended}{where}" + (f"; {more}" if more else ""))
    else:
        error = EngineLostError(failed.text)
    error.stage = failed.stage
    return error


def _known(name: str) -> type[errors.TunefleetError] | None:
    """Return the class of this project's errors that an engine process named; None for any other."""
    found = getattr(errors, name, None)
    return found if isinstance(found, type) and issubclass(found, errors.TunefleetError) else None
