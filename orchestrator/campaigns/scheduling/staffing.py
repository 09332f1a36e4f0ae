"""What the campaigns of one coordinator share: the fleet they are tuned on, and the cores of this machine.

Each campaign lives in a thread of its own, which plans, waits here while it is tuned, and compares. One
thread, the coordinator's first, carries out what they ask for: Ray's start and all calls of the fleet are
its.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.campaigns.scheduling.scheduler import Scheduler, TuningJob
from orchestrator.errors import EngineTimeoutError, TunefleetError
from orchestrator.storage import Storage
from orchestrator.toolbox import Toolbox
from workers.messages import DeviceInfo

if TYPE_CHECKING:
    from orchestrator.fleet.ray.fleet import RayFleet

__all__ = ["Job", "Staffing"]

#: Seconds after which a device that a campaign needs, and that a running fleet lacks, counts as missing.
COME_SECONDS = 300.0
#: Seconds to wait for the cores of this machine: others' comparisons have them too, for minutes.
QUIET_SECONDS = 1800.0
_STEP_SECONDS = 0.2


@dataclass(eq=False)
class Job:
    """A campaign's wish to be tuned.

    Attributes
    ----------
    stopped : callable
        Says whether it is to be stopped.
    priority : callable
        Says which priority it has by now.
    """

    engine: str
    tuned: TuningJob
    devices: tuple[DeviceInfo, ...]
    boards: Mapping[str, DeviceInfo]
    tracker: tuple[str, int] | None
    stopped: Callable[[], bool]
    priority: Callable[[], int]
    over: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None
    asked_at: float | None = None

    def end(self, error: BaseException | None = None) -> None:
        """Let the campaign go on."""
        self.error = error
        self.over.set()


@dataclass(eq=False)
class _Hold:
    """A campaign's wish to have the cores of this machine for itself."""

    tools: Toolbox
    granted: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)


class Staffing:
    """The fleet and this machine.

    Parameters
    ----------
    address, slots
        See :class:`~orchestrator.fleet.ray.fleet.RayFleet`.
    halted : callable
        Says whether everything is to be stopped.
    say : callable, optional
        Told what is going on that is no single campaign's.
    joined : callable, optional
        Called when Ray was started, which may have taken signals for itself.
    """

    def __init__(
        self,
        store: Storage,
        address: str | None,
        slots: int | None,
        *,
        halted: Callable[[], bool] = lambda: False,
        say: Callable[[str], None] = lambda _: None,
        joined: Callable[[], object] = lambda: None,
    ) -> None:
        self._store, self._address, self._slots = store, address, slots
        self._halted, self._say, self._joined = halted, say, joined
        self._fleet: RayFleet | None = None
        self._loop: Scheduler | None = None
        self._engine = ""
        self._jobs: deque[Job] = deque()
        self._tuned: list[Job] = []
        self._holds: deque[_Hold] = deque()
        self._tools: set[Toolbox] = set()
        self._paused_local: set[Toolbox] = set()
        # Ray is started and left by one at a time, and not while another asks its nodes.
        self._ray = threading.Lock()
        self._wake = threading.Event()

    # -- for a campaign, in its own thread

    def tune(self, job: Job) -> None:
        """Wait until a campaign was tuned.

        Raises
        ------
        TunefleetError
            What was wrong with it, or with its devices.
        """
        self._jobs.append(job)
        self.wake()
        job.over.wait()
        if job.error is not None:
            raise job.error

    def find(
        self,
        engine: str,
        targets: tuple[str, ...],
        say: Callable[[str], None],
        stopped: Callable[[], bool],
    ) -> dict[str, DeviceInfo]:
        """Find devices on the nodes; see :func:`~orchestrator.fleet.ray.find.find_devices`."""
        from orchestrator.fleet.ray.find import find_devices

        assert self._address is not None, "there is no cluster to look in"
        with self._ray:
            if self._fleet is not None:
                say("asking the nodes of Ray for their devices")
                return self._fleet.find(targets, stopped)
            return find_devices(engine, self._address, targets, say, stopped)

    @contextlib.contextmanager
    def beside(self, tools: Toolbox) -> Iterator[None]:
        """Have the engine processes of a campaign stand still where they would disturb what is measured."""
        self._tools.add(tools)
        try:
            yield
        finally:
            self._tools.discard(tools)
            self._paused_local.discard(tools)

    @contextlib.contextmanager
    def quiet(self, tools: Toolbox, go_on: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Have the cores of this machine for a campaign's own engine processes, to time something on them.

        Parameters
        ----------
        go_on : callable, optional
            Raises where it is not worth waiting any more.

        Raises
        ------
        EngineTimeoutError
            Others would not leave them for :data:`QUIET_SECONDS`.
        """
        hold = _Hold(tools)
        self._holds.append(hold)
        self.wake()
        until = time.monotonic() + QUIET_SECONDS
        try:
            while not hold.granted.wait(_STEP_SECONDS):
                go_on()
                if time.monotonic() > until:
                    raise EngineTimeoutError(
                        f"the cores of this machine were not free for {QUIET_SECONDS:.0f} s: other campaigns "
                        "of this coordinator measure or compare on them"
                    )
            yield
        finally:
            hold.released.set()
            self.wake()

    def wake(self) -> None:
        """Have the first thread look at once."""
        self._wake.set()

    # -- for the first thread

    def step(self) -> None:
        """Do what there is to do, for half a second at most where no fleet has to be started."""
        self._give_quiet()
        self._staff()
        self._pause_local()
        loop = self._loop
        if loop is None:
            self._wake.wait(_STEP_SECONDS)
            self._wake.clear()
            return
        for job in self._tuned:
            loop.rank(job.tuned.id, job.priority())
        try:
            loop.step()
        except Exception as error:
            loop.stop(error)
            raise

    def close(self) -> None:
        """End the fleet: nobody is going to be tuned on it."""
        fleet, self._fleet, self._loop = self._fleet, None, None
        if fleet is not None:
            self._say("stopping the workers")
            with self._ray:
                fleet.stop()

    def stop(self, error: Exception) -> None:
        """Send all campaigns away, for this reason, and end the fleet."""
        if self._loop is not None:
            self._loop.stop(error)
        while self._jobs:
            self._jobs.popleft().end(error)
        for hold in list(self._holds):
            hold.granted.set()
        self.close()

    @property
    def staffed(self) -> bool:
        """There is a fleet."""
        return self._fleet is not None

    # -- the fleet

    def _staff(self) -> None:
        """See that each campaign that is to be tuned gets to the fleet."""
        for job in list(self._jobs):
            if job.stopped():
                self._jobs.remove(job)
                job.end()
                continue
            if self._loop is not None and self._engine != job.engine and not self._loop.busy:
                self.close()
            if self._fleet is None:
                # What is timed on this machine is not to be disturbed by the start of Ray.
                if not self._timing and self._ray.acquire(blocking=False):
                    try:
                        self._start(job)
                    finally:
                        self._ray.release()
                return
            if self._engine == job.engine:
                self._wait_for_devices(job, self._fleet)

    def _start(self, job: Job) -> None:
        # Imported here: what only reads the store never waits for Ray's import.
        from orchestrator.fleet.ray.fleet import RayFleet

        fleet = RayFleet(
            job.engine,
            () if job.boards else job.devices,
            self._address,
            self._slots,
            boards=job.boards,
            tracker=job.tracker,
        )
        try:
            fleet.join(self._say)
            # A Ray that took SIGTERM for itself all the same would end this process where it stands.
            self._joined()
            ready = fleet.start(self._say, lambda: self._halted() or all(j.stopped() for j in self._jobs))
        except TunefleetError as error:
            fleet.stop()
            self._jobs.remove(job)
            job.end(error)
            return
        except BaseException:
            fleet.stop()
            raise
        if not ready:
            fleet.stop()
            return
        self._fleet, self._loop, self._engine = (
            fleet,
            Scheduler(self._store, fleet, self._pause_local),
            job.engine,
        )

    def _wait_for_devices(self, job: Job, fleet: RayFleet) -> None:
        now = time.monotonic()
        if job.asked_at is None:
            job.asked_at = now
            fleet.need(() if job.boards else job.devices, job.boards, job.tracker)
        lacking = fleet.lacking(job.tuned.device_classes)
        if lacking is not None and fleet.coming and now - job.asked_at < COME_SECONDS:
            return
        self._jobs.remove(job)
        if lacking is not None:
            job.end(lacking)
            return

        def ended(error: Exception | None) -> None:
            self._tuned.remove(job)
            job.end(error)

        assert self._loop is not None
        self._tuned.append(job)
        self._loop.add(job.tuned, job.stopped, ended, job.priority())

    # -- the cores of this machine

    @property
    def _timing(self) -> _Hold | None:
        """Who has the cores for itself."""
        first = self._holds[0] if self._holds else None
        return first if first is not None and first.granted.is_set() else None

    def _give_quiet(self) -> None:
        """Give the cores to who asked for them first, and back to all when that is over."""
        if not self._holds:
            return
        hold = self._holds[0]
        if hold.released.is_set():
            self._holds.popleft()
            if self._fleet is not None:
                # The fleet has a step's time between two.
                self._fleet.release_cores()
        elif not hold.granted.is_set() and (self._fleet is None or self._fleet.reserve_cores()):
            self._pause_local(hold.tools)
            hold.granted.set()

    def _pause_local(self, but: Toolbox | None = None) -> None:
        """Have the engine processes of campaigns that plan or compile stand still, or go on.

        Told again and again, for one that was not there the last time hears nothing of it.
        """
        timing = self._timing
        but = but or (timing.tools if timing is not None else None)
        still = but is not None or (self._fleet is not None and self._fleet.paused_here)
        for tools in list(self._tools):
            if still and tools is not but:
                self._paused_local.add(tools)
                tools.pause()
            elif tools in self._paused_local:
                self._paused_local.discard(tools)
                tools.resume()
