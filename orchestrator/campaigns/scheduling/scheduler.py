"""The loop that gives the devices and cores of one fleet to the campaigns that are tuned on it.

It is one thread's, the only one that touches the fleet. A campaign's job says what it has to give; here it is
charged to the campaign and given to the fleet, and its completion goes back to the job. Who is next,
:mod:`~orchestrator.campaigns.scheduling.shares` says.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from orchestrator.campaigns.scheduling.job import TuningJob
from orchestrator.campaigns.scheduling.shares import Shares
from orchestrator.campaigns.scheduling.sightings import DeviceReports
from orchestrator.errors import StorageError
from orchestrator.fleet.port import Completion, Device, Fleet, Work
from orchestrator.storage import Storage

__all__ = ["Scheduler"]

#: Built candidates that end a turn of searching and building where these share cores with the device.
TURN = 16
#: Searches open at once, at least, of all campaigns together; each holds a process with some 20 MB of its
#: own. One that is opened anew proposes again what it knew to be measured. Every core may have one.
OPEN = 48
_LEAST_OPEN = 4
_WAIT_SECONDS = 0.5
_CORES = "cores"
_Value = TypeVar("_Value")


@dataclass
class _Member:
    """A campaign on the fleet, and how many pieces of its work the cores have."""

    job: TuningJob
    stopped: Callable[[], bool]
    ended: Callable[[Exception | None], None]
    computing: int = 0


@dataclass(frozen=True)
class _Charge:
    """Whose a piece of work is, and what it was charged."""

    member: _Member
    resource: str
    charged: float
    began: float


class Scheduler:
    """One fleet and the campaigns on it.

    Parameters
    ----------
    pause_local : callable, optional
        Called when searches and builds on a device's cores were made to stand still, and when they go on:
        what else uses these cores is to do so as well.
    clock : callable, optional
        Seconds, steady: what work is charged by.
    """

    def __init__(
        self,
        store: Storage,
        fleet: Fleet,
        pause_local: Callable[[], None] = lambda: None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fleet, self._pause_local, self._clock = fleet, pause_local, clock
        self._shares = Shares()
        self._members: dict[int, _Member] = {}
        self._charges: dict[Work, _Charge] = {}
        self._reports = DeviceReports(store, fleet)

    @property
    def busy(self) -> bool:
        """There is a campaign to be tuned."""
        return bool(self._members)

    def add(
        self,
        job: TuningJob,
        stopped: Callable[[], bool],
        ended: Callable[[Exception | None], None],
        priority: int = 0,
    ) -> None:
        """Take a campaign in.

        Parameters
        ----------
        stopped : callable
            Says whether it is to be stopped; asked all the time.
        ended : callable
            Told when it is over here, and what was wrong if anything was.
        """
        self._members[job.id] = member = _Member(job, stopped, ended)
        self._shares.join(job.id, priority)
        self._guarded(member, lambda: job.begin(self._fleet.versions))
        self._close_searches(job)

    def rank(self, campaign_id: int, priority: int) -> None:
        """Give a campaign another priority."""
        if campaign_id in self._members:
            self._shares.rank(campaign_id, priority)

    def step(self) -> None:
        """Give out what can be given out, and take what ended; after half a second at most."""
        self._settle()
        alone = not self._members
        # Devices first: none shall wait for the store.
        self._dispatch()
        for member in list(self._members.values()):
            self._guarded(member, member.job.tend)
            self._close_searches(member.job)
        if not self._members and not alone:
            return
        for completion in self._fleet.wait(self._pause_s()):
            self._take(completion)
        self._settle()
        self._reports.tell()

    def stop(self, error: Exception) -> None:
        """Let all campaigns go where the loop itself can't go on; what they have measured they store."""
        for member in list(self._members.values()):
            self._let_go(member, error)

    # -- giving out work

    def _dispatch(self) -> None:
        """Give every idle device its next candidate, and every free core its next piece of work.

        A device that shares its cores has turns: what is searched and built on them stands still from the
        moment when enough candidates wait for it until none does, so that the device is quiet.
        """
        fleet, members = self._fleet, self._members.values()
        ready = fleet.ready_devices
        most = max(OPEN, fleet.total_slots)
        for member in members:
            member.job.fit(ready, max(_LEAST_OPEN, most // len(members)))
        places: dict[str, list[Device]] = {}
        for device in fleet.idle_devices():
            places.setdefault(device.place, []).append(device)
        for devices in places.values():
            sharing = [device for device in devices if device.shares_cores]
            if sharing and sharing[0].paused and not self._waiting(sharing):
                fleet.resume(sharing[0])
                self._pause_local()
        self._give_to_cores()
        nothing_else = fleet.computing == 0
        for devices in places.values():
            self._give_to_devices(devices, nothing_else)

    def _give_to_cores(self) -> None:
        while self._fleet.free_slots > 0:
            for campaign_id in self._shares.order(_CORES, self._members):
                if self._give(self._members[campaign_id], None):
                    break
            else:
                return

    def _give_to_devices(self, devices: list[Device], nothing_else: bool) -> None:
        """Give one of the devices of one place a candidate: they share cores, and measure one at a time."""
        sharing = [device for device in devices if device.shares_cores]
        if sharing and not sharing[0].paused:
            # What is to be measured first may be what nothing of its own priority is worked on for.
            if sum(self._waiting(sharing, everyone=nothing_else).values()) >= (1 if nothing_else else TURN):
                self._fleet.pause(sharing[0])
                self._pause_local()
            else:
                devices = [device for device in devices if not device.shares_cores]
        # Until it is known to be refused, for a campaign that failed over it leaves its turn to the next.
        while devices and (waiting := self._waiting(devices, everyone=nothing_else)):
            campaign_id = self._shares.order(_model(devices[0].device_class), waiting)[0]
            member = self._members[campaign_id]
            device = next(d for d in devices if member.job.measurable_on(d))
            if self._give(member, device) or campaign_id in self._members:
                return

    def _give(self, member: _Member, device: Device | None) -> bool:
        """Give a device, or without one a core, a campaign's next piece of work; say whether it had any."""
        job = member.job

        def give() -> bool:
            work: Work | None
            work = job.next_work() if device is None else job.next_measurement(device)
            if work is None:
                return False
            resource = _CORES if device is None else _model(device.device_class)
            self._fleet.submit(work)
            charged = self._shares.begin(job.id, resource)
            self._charges[work] = _Charge(member, resource, charged, self._clock())
            if device is None:
                member.computing += 1
            return True

        return self._guarded(member, give) or False

    def _waiting(self, devices: Sequence[Device], *, everyone: bool = False) -> dict[int, int]:
        """Count the candidates that wait for any of these devices, by campaign.

        Where cores are shared, those of a lower priority wait until the higher has no use for the cores.
        """
        level = None
        if not everyone and len(self._members) > 1 and devices[0].shares_cores:
            level = max(
                (
                    self._shares.priority(i)
                    for i, m in self._members.items()
                    if m.computing or m.job.wants_cores
                ),
                default=None,
            )
        found: dict[int, int] = {}
        for campaign_id, member in self._members.items():
            if level is None or self._shares.priority(campaign_id) >= level:
                count = sum(member.job.measurable_on(device) for device in devices)
                if count:
                    found[campaign_id] = count
        return found

    # -- taking results

    def _take(self, completion: Completion) -> None:
        charge = self._charges.pop(completion.work)
        member, job = charge.member, charge.member.job
        self._shares.end(job.id, charge.resource, charge.charged, self._clock() - charge.began)
        if self._members.get(job.id) is not member:
            job.take(completion)  # it is over, and only wants to know what it left open
        else:
            if charge.resource == _CORES:
                member.computing -= 1
            self._guarded(member, lambda: job.take(completion))
        self._close_searches(job)

    def _close_searches(self, job: TuningJob) -> None:
        for session in job.closed_searches():
            self._fleet.close_search(session)

    def _settle(self) -> None:
        """Stop the campaigns that are to be stopped, and let those go that are over."""
        for member in list(self._members.values()):
            if member.stopped():
                self._guarded(member, member.job.stop)
            elif self._members.get(member.job.id) is member:
                self._guarded(member, lambda: self._fleet.check(member.job.device_classes))  # noqa: B023
            if self._members.get(member.job.id) is member and member.job.done:
                self._let_go(member, None)

    def _guarded(self, member: _Member, work: Callable[[], _Value]) -> _Value | None:
        """Do what is one campaign's; what goes wrong there ends that one and leaves the others running."""
        try:
            return work()
        except Exception as error:
            self._let_go(member, error)
            return None

    def _let_go(self, member: _Member, error: Exception | None) -> None:
        job = member.job
        if self._members.get(job.id) is not member:
            return
        del self._members[job.id]
        self._shares.leave(job.id)
        try:
            job.end()
        except Exception as later:
            # Each of two that are about the store may say where something is that it didn't take.
            both = error is not None and type(error) is type(later) is StorageError
            error = StorageError(f"{error}\n{later}") if both else later
        self._close_searches(job)
        self._reports.tell(final=not self._members)
        member.ended(error)

    def _pause_s(self) -> float:
        """Say how long nothing has to happen."""
        due = [member.job.flush_in_s for member in self._members.values()]
        return max(0.0, min([_WAIT_SECONDS, *(seconds for seconds in due if seconds is not None)]))


def _model(device_class: str) -> str:
    """Return the hardware that a device class is of: the classes of all targets for it share its devices."""
    return device_class.rpartition("@")[2]
