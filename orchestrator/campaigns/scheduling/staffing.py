"""The fleet of a coordinator: started when a campaign is to be tuned, and given up when none is.

Each campaign lives in a thread of its own, which plans, waits here while it is tuned, and compares. One
thread, the coordinator's first, carries out what they ask for: the fleet's start and all calls of it are its.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from orchestrator.campaigns.scheduling.job import TuningJob
from orchestrator.campaigns.scheduling.quiet import QuietCores
from orchestrator.campaigns.scheduling.scheduler import Scheduler
from orchestrator.errors import EngineError, TunefleetError
from orchestrator.fleet.choose import choose_backend
from orchestrator.fleet.port import DevicesWanted, Fleet
from orchestrator.storage import Storage
from workers.messages import DeviceInfo

__all__ = ["Staffing", "TuningRequest"]

#: Seconds after which a device that a campaign needs, and that a running fleet lacks, counts as missing.
COME_SECONDS = 300.0
_STEP_SECONDS = 0.2


@dataclass(eq=False)
class TuningRequest:
    """A campaign's wish to be tuned.

    Attributes
    ----------
    stopped : callable
        Says whether it is to be stopped.
    priority : callable
        Says which priority it has by now.
    begins : callable
        Called, in the coordinator's first thread, when the fleet is there and its tuning begins.
    job : TuningJob or None
        What is to be tuned; None while the campaign isn't ready for that. Its fleet is started all the same.
    staffed : threading.Event
        Nothing is being started for it any more: the fleet is there, or won't be.
    withdrawn : bool
        It will not come to be tuned.
    too_early : bool
        A fleet could not be started ahead of its tuning; it is tried again when it is ready.
    """

    engine: str
    wanted: DevicesWanted
    stopped: Callable[[], bool]
    priority: Callable[[], int]
    begins: Callable[[], None] = lambda: None
    job: TuningJob | None = None
    staffed: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)
    withdrawn: bool = False
    too_early: bool = False
    error: BaseException | None = None
    asked_at: float | None = None

    @property
    def unwanted(self) -> bool:
        """There is no use in going on with it."""
        return self.withdrawn or self.stopped()

    def end(self, error: BaseException | None = None) -> None:
        """Let the campaign go on."""
        self.error = error
        self.staffed.set()
        self.over.set()


class Staffing:
    """The fleet, and the scheduler on it.

    Parameters
    ----------
    address, slots
        See :meth:`orchestrator.fleet.port.FleetBackend.make`.
    halted : callable
        Says whether everything is to be stopped.
    say : callable, optional
        Told what is going on that is no single campaign's.

    Attributes
    ----------
    cores : QuietCores
        Who has the cores of this machine for itself.
    """

    def __init__(
        self,
        store: Storage,
        address: str | None,
        slots: int | None,
        *,
        halted: Callable[[], bool] = lambda: False,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._store, self._address, self._slots = store, address, slots
        self._backend = choose_backend(address)
        self._halted, self._say = halted, say
        self._fleet: Fleet | None = None
        self._scheduler: Scheduler | None = None
        self._engine = ""
        self._waiting: deque[TuningRequest] = deque()
        self._tuned: list[TuningRequest] = []
        # A fleet is started and left by one at a time, and not while another asks its nodes.
        self._changing = threading.Lock()
        self._wake = threading.Event()
        self.cores = QuietCores(self.wake)

    # -- for a campaign, in its own thread

    @contextlib.contextmanager
    def ahead(self, request: TuningRequest) -> Iterator[None]:
        """Have the fleet started for a campaign that is not ready to be tuned, but will be by :meth:`tune`.

        One that never comes to that is forgotten in the end; what is started for it alone is ended.
        """
        self._waiting.append(request)
        self.wake()
        try:
            yield
        finally:
            request.withdrawn = True
            self.wake()

    def tune(self, request: TuningRequest, job: TuningJob) -> None:
        """Wait until a campaign was tuned for which :meth:`ahead` asked.

        Raises
        ------
        TunefleetError
            What was wrong with it, or with its devices.
        """
        request.job = job
        self.wake()
        request.over.wait()
        if request.error is not None:
            raise request.error

    def find(
        self,
        engine: str,
        targets: tuple[str, ...],
        say: Callable[[str], None],
        stopped: Callable[[], bool],
    ) -> dict[str, DeviceInfo]:
        """Find devices on the fleet's machines; see :meth:`orchestrator.fleet.port.Fleet.find`."""
        assert self._address is not None, "there is no cluster to look in"
        with self._changing:
            if self._fleet is not None:
                say("asking the nodes of Ray for their devices")
                return self._fleet.find(targets, stopped)
            return self._backend.find_devices(engine, self._address, targets, say, stopped)

    def wake(self) -> None:
        """Have the first thread look at once."""
        self._wake.set()

    # -- for the first thread

    def step(self) -> None:
        """Do what there is to do, for half a second at most where no fleet has to be started."""
        self.cores.grant(self._fleet)
        self._staff()
        self._pause_local()
        scheduler = self._scheduler
        if scheduler is None:
            self._wake.wait(_STEP_SECONDS)
            self._wake.clear()
            return
        for request in self._tuned:
            if request.job is not None:
                scheduler.rank(request.job.id, request.priority())
        try:
            scheduler.step()
        except Exception as error:
            scheduler.stop(error)
            raise

    def close(self) -> None:
        """End the fleet: nobody is going to be tuned on it."""
        fleet, self._fleet, self._scheduler = self._fleet, None, None
        if fleet is not None:
            self._say("stopping the workers")
            with self._changing:
                fleet.stop()

    def stop(self, error: Exception) -> None:
        """Send all campaigns away, for this reason, and end the fleet."""
        if self._scheduler is not None:
            self._scheduler.stop(error)
        while self._waiting:
            self._waiting.popleft().end(error)
        self.cores.grant_all()
        self.close()

    @property
    def staffed(self) -> bool:
        """There is a fleet."""
        return self._fleet is not None

    # -- the fleet

    def _pause_local(self) -> None:
        self.cores.pause_local(self._fleet)

    def _staff(self) -> None:
        """See that each campaign that is to be tuned gets to the fleet."""
        for request in list(self._waiting):
            if request.unwanted:
                self._waiting.remove(request)
                request.end()
                continue
            scheduler = self._scheduler
            if scheduler is not None and self._engine != request.engine and not scheduler.busy:
                self.close()
            if self._fleet is None:
                if request.too_early and request.job is None:
                    continue
                # What is timed on this machine is not to be disturbed by the start of a fleet.
                if not self.cores.reserved and self._changing.acquire(blocking=False):
                    try:
                        self._start(request)
                    finally:
                        self._changing.release()
                return
            if self._engine == request.engine:
                self._wait_for_devices(request, self._fleet)

    def _start(self, request: TuningRequest) -> None:
        fleet = self._backend.make(request.engine, request.wanted, self._address, self._slots)
        try:
            ready = fleet.start(
                self._say, lambda: self._halted() or all(other.unwanted for other in self._waiting)
            )
        except TunefleetError as error:
            fleet.stop()
            if request.job is None and isinstance(error, EngineError):
                # Its models are being compiled on these cores, which may have been too much at once.
                request.too_early = True
                request.staffed.set()
                return
            self._waiting.remove(request)
            request.end(error)
            return
        except BaseException:
            fleet.stop()
            raise
        if not ready:
            fleet.stop()
            return
        self._fleet, self._engine = fleet, request.engine
        self._scheduler = Scheduler(self._store, fleet, self._pause_local)

    def _wait_for_devices(self, request: TuningRequest, fleet: Fleet) -> None:
        """Give a campaign to the scheduler when the fleet has its devices; end it where it has none."""
        now = time.monotonic()
        if request.asked_at is None:
            request.asked_at = now
            fleet.need(request.wanted)
            request.staffed.set()
        job = request.job
        if job is None:
            return
        lacking = fleet.lacking(job.device_classes)
        if lacking is not None and fleet.coming and now - request.asked_at < COME_SECONDS:
            return
        self._waiting.remove(request)
        if lacking is not None:
            request.end(lacking)
            return

        def ended(error: Exception | None) -> None:
            self._tuned.remove(request)
            request.end(error)

        assert self._scheduler is not None
        self._tuned.append(request)
        request.begins()
        self._scheduler.add(job, request.stopped, ended, request.priority())
