"""A TVM RPC tracker for boards, served and supervised by this process."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Sequence

from orchestrator.devices.address import family_of
from orchestrator.errors import EngineError, TunefleetError, UsageError
from workers.clients import DevicesClient, Service
from workers.messages import address_text
from workers.process.engine_process import EngineProcess

__all__ = ["ServedTracker"]

_SERVICE = "tracker"
_START_SECONDS = 60.0
_ASK_SECONDS = 30.0
# How often it is looked after, and boards that are waited for are looked for.
_LOOK_SECONDS = 0.5
#: Addresses that mean all of a machine's, and where it reaches them itself.
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


class ServedTracker:
    """A tracker at an address of this machine; one that dies is started again, at the same port.

    Boards that were registered come back by themselves: TVM's server tries for a minute.

    Parameters
    ----------
    engine : str
        Whose TVM serves it. Servers of another register there as well.
    host, port : str and int
        Address to listen at.
    say : callable, optional
        Told when it died and when it is back.

    Attributes
    ----------
    address : tuple of (str, int)
        Where this machine reaches it.

    Raises
    ------
    UsageError
        Nothing can listen at that address.
    """

    def __init__(
        self, engine: str, host: str, port: int, say: Callable[[str], None] = lambda _: None
    ) -> None:
        self._host, self._port, self._say = host, port, say
        self.address = (_ANYWHERE.get(host, host), port)
        self._where = address_text(host, port)
        self._process = EngineProcess(engine, "measure", on_exit=lambda *_: self._ended.set())
        self._ended = threading.Event()
        self._over = threading.Event()
        self._pid: int | None = None
        self._watch = threading.Thread(target=self._look_after, daemon=True)
        try:
            # TVM's own word for it is that no port is free, whatever is wrong.
            socket.create_server((host, port), family=family_of(host)).close()
        except OSError as error:
            raise UsageError(
                f"no tracker can listen at {self._where}: {error.strerror or error}. Give an address of this "
                "machine, and a port that is free"
            ) from None
        try:
            self._serve()
        except BaseException:
            self._process.stop()
            raise
        self._watch.start()

    def __enter__(self) -> ServedTracker:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def open_to_all(self) -> bool:
        """Whether it listens on all addresses of this machine."""
        return self._host in _ANYWHERE

    def stop(self) -> None:
        """Stop the tracker, and the thread that watches it."""
        self._over.set()
        self._process.stop()
        self._watch.join(_START_SECONDS)

    def wait_for(self, keys: Sequence[str], seconds: float) -> None:
        """Wait until a device is registered under each of these keys.

        Raises
        ------
        EngineError
            Some were not there after that time.
        """
        until = time.monotonic() + seconds
        missing: list[str] = []
        while time.monotonic() < until:
            there: dict[str, int] = {}
            with contextlib.suppress(EngineError):  # it was just started again
                there = DevicesClient(self._process, timeout_s=_ASK_SECONDS).tracked(*self.address)
            now = [key for key in keys if not there.get(key)]
            if not now:
                return
            if now != missing:
                missing = now
                self._say(f"waiting for {', '.join(missing)} to register, {seconds:.0f} s at most")
            time.sleep(_LOOK_SECONDS)
        raise EngineError(
            f"no device of key {', '.join(missing)} registered at {address_text(*self.address)} within "
            f"{seconds:.0f} s"
        )

    def _serve(self) -> None:
        self._ended.clear()
        Service(self._process, _SERVICE).serve_tracker(self._host, self._port)
        self._pid = self._process.pid

    def _look_after(self) -> None:
        """Start the tracker again whenever it has died, until :meth:`stop`."""
        told = False
        while not self._over.wait(_LOOK_SECONDS):
            if not self._ended.is_set() and self._process.pid == self._pid:
                continue
            where = self._where
            if not told:
                self._say(f"the tracker at {where} died; it is started again")
                told = True
            try:
                self._serve()
            except TunefleetError:
                continue  # its port may still be held by what died with it
            told = False
            self._say(f"the tracker at {where} is back")
