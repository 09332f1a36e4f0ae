"""The loop that gives the devices and cores of one fleet to the campaigns that are tuned on it.

It is one thread's, the only one that touches the fleet. What each campaign has to give and what became of it
is for its :class:`~orchestrator.campaigns.tuning.tuner.Tuning`; who is next,
:mod:`~orchestrator.campaigns.scheduling.shares` says.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from orchestrator.campaigns.scheduling.shares import Shares
from orchestrator.errors import StorageError
from orchestrator.storage import Sighting, Storage

__all__ = ["Fleet", "Scheduler", "TuningJob"]

#: Built candidates that end a turn of searching and building where these share cores with the device.
TURN = 16
#: Searches open at once, at least, of all campaigns together; each holds a process with some 20 MB of its
#: own. One that is opened anew proposes again what it knew to be measured. Every core may have one.
OPEN = 48
_LEAST_OPEN = 4
_TELL_SECONDS = 5.0
_WAIT_SECONDS = 0.5
_CORES = "cores"


class Fleet(Protocol):
    """What this loop needs of a fleet; see :class:`orchestrator.fleet.ray.fleet.RayFleet`."""

    versions: dict[str, str]

    @property
    def total_slots(self) -> int: ...
    @property
    def free_slots(self) -> int: ...
    @property
    def computing(self) -> int: ...
    @property
    def ready_devices(self) -> Mapping[str, int]: ...
    @property
    def all_devices(self) -> Sequence[Any]: ...
    def idle_devices(self) -> Sequence[Any]: ...
    def search(self, tag: Any, session: str, method: str, *args: Any) -> None: ...
    def train(self, tag: Any, samples: Any, timeout_s: float) -> None: ...
    def close(self, session: str) -> None: ...
    def build(self, tag: Any, *args: Any) -> None: ...
    def measure(self, tag: Any, artifact: Any, device: Any, *args: Any) -> None: ...
    def wait(self, timeout_s: float) -> list[Any]: ...
    def check(self, device_classes: Sequence[str]) -> None: ...
    def pause(self, device: Any) -> None: ...
    def resume(self, device: Any) -> None: ...


class TuningJob(Protocol):
    """What this loop needs of a campaign; see :class:`orchestrator.campaigns.tuning.tuner.Tuning`."""

    @property
    def id(self) -> int: ...
    @property
    def device_classes(self) -> Sequence[str]: ...
    @property
    def done(self) -> bool: ...
    @property
    def flush_in_s(self) -> float | None: ...
    def begin(self, fleet: Any) -> None: ...
    def fit(self, ready: Mapping[str, int], max_open: int) -> None: ...
    @property
    def wants_cores(self) -> bool: ...
    def measurable_on(self, device_class: str) -> int: ...
    def compute(self) -> bool: ...
    def measure(self, device: Any) -> None: ...
    def take(self, completion: Any) -> None: ...
    def tend(self) -> None: ...
    def stop(self) -> None: ...
    def end(self) -> None: ...


@dataclass(frozen=True)
class _Work:
    """The tag of a piece of work on the fleet: whose it is, its own tag, and what it was charged."""

    tuned: TuningJob
    tag: Any
    resource: str
    charged: float
    began: float


@dataclass
class _Member:
    tuned: TuningJob
    stopped: Callable[[], bool]
    ended: Callable[[Exception | None], None]
    computing: int = 0


class _Counter:
    """The fleet as one campaign sees it: what it asks for is noted, and comes back to it."""

    def __init__(self, loop: Scheduler, tuned: TuningJob) -> None:
        self._loop, self._tuned, self._fleet = loop, tuned, loop.fleet

    @property
    def versions(self) -> dict[str, str]:
        return self._fleet.versions

    def search(self, tag: Any, *args: Any) -> None:
        self._fleet.search(self._loop._begin(self._tuned, tag, _CORES), *args)

    def train(self, tag: Any, *args: Any) -> None:
        self._fleet.train(self._loop._begin(self._tuned, tag, _CORES), *args)

    def build(self, tag: Any, *args: Any) -> None:
        self._fleet.build(self._loop._begin(self._tuned, tag, _CORES), *args)

    def measure(self, tag: Any, artifact: Any, device: Any, *args: Any) -> None:
        work = self._loop._begin(self._tuned, tag, _model(device.device_class))
        self._fleet.measure(work, artifact, device, *args)

    def close(self, session: str) -> None:
        self._fleet.close(session)


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
        self.fleet = fleet
        self._store, self._pause_local, self._clock = store, pause_local, clock
        self._shares = Shares()
        self._members: dict[int, _Member] = {}
        self._began = self._told_at = time.monotonic()

    @property
    def busy(self) -> bool:
        """There is a campaign to be tuned."""
        return bool(self._members)

    def add(
        self,
        tuned: TuningJob,
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
        self._members[tuned.id] = member = _Member(tuned, stopped, ended)
        self._shares.join(tuned.id, priority)
        self._guarded(member, lambda: tuned.begin(_Counter(self, tuned)))

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
            self._guarded(member, member.tuned.tend)
        if not self._members and not alone:
            return
        for completion in self.fleet.wait(self._pause_s()):
            self._take(completion)
        self._settle()
        self._tell_devices()

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
        fleet, members = self.fleet, self._members.values()
        ready = fleet.ready_devices
        most = max(OPEN, fleet.total_slots)
        for member in members:
            member.tuned.fit(ready, max(_LEAST_OPEN, most // len(members)))
        places: dict[Any, list[Any]] = {}
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
        while self.fleet.free_slots > 0:
            for campaign_id in self._shares.order(_CORES, self._members):
                member = self._members[campaign_id]
                if self._guarded(member, member.tuned.compute):
                    break
            else:
                return

    def _give_to_devices(self, devices: list[Any], nothing_else: bool) -> None:
        """Give one of the devices of one place a candidate: they share cores, and measure one at a time."""
        sharing = [device for device in devices if device.shares_cores]
        if sharing and not sharing[0].paused:
            # What is to be measured first may be what nothing of its own priority is worked on for.
            if sum(self._waiting(sharing, everyone=nothing_else).values()) >= (1 if nothing_else else TURN):
                self.fleet.pause(sharing[0])
                self._pause_local()
            else:
                devices = [device for device in devices if not device.shares_cores]
        # Until it is known to be refused, for a campaign that failed over it leaves its turn to the next.
        while devices and (waiting := self._waiting(devices, everyone=nothing_else)):
            campaign_id = self._shares.order(_model(devices[0].device_class), waiting)[0]
            member = self._members[campaign_id]
            device = next(d for d in devices if member.tuned.measurable_on(d.device_class))
            if self._guarded(member, lambda: self._measure(member, device)):  # noqa: B023 - called here
                return

    def _measure(self, member: _Member, device: Any) -> bool:
        member.tuned.measure(device)
        return True

    def _waiting(self, devices: list[Any], *, everyone: bool = False) -> dict[int, int]:
        """Count the candidates that wait for any of these devices, by campaign.

        Where cores are shared, those of a lower priority wait until the higher has no use for the cores.
        """
        level = None
        if not everyone and len(self._members) > 1 and devices[0].shares_cores:
            level = max(
                (
                    self._shares.priority(i)
                    for i, m in self._members.items()
                    if m.computing or m.tuned.wants_cores
                ),
                default=None,
            )
        found: dict[int, int] = {}
        for campaign_id, member in self._members.items():
            if level is None or self._shares.priority(campaign_id) >= level:
                count = sum(member.tuned.measurable_on(device.device_class) for device in devices)
                if count:
                    found[campaign_id] = count
        return found

    def _begin(self, tuned: TuningJob, tag: Any, resource: str) -> _Work:
        if resource == _CORES:
            self._members[tuned.id].computing += 1
        return _Work(tuned, tag, resource, self._shares.begin(tuned.id, resource), self._clock())

    # -- taking results

    def _take(self, completion: Any) -> None:
        work: _Work = completion.tag
        self._shares.end(work.tuned.id, work.resource, work.charged, self._clock() - work.began)
        member = self._members.get(work.tuned.id)
        own = replace(completion, tag=work.tag)
        if member is None or member.tuned is not work.tuned:
            work.tuned.take(own)  # it is over, and only wants to know what it left open
            return
        if work.resource == _CORES:
            member.computing -= 1
        self._guarded(member, lambda: work.tuned.take(own))

    def _settle(self) -> None:
        """Stop the campaigns that are to be stopped, and let those go that are over."""
        for member in list(self._members.values()):
            if member.stopped():
                self._guarded(member, member.tuned.stop)
            elif self._members.get(member.tuned.id) is member:
                self._guarded(member, lambda: self.fleet.check(member.tuned.device_classes))  # noqa: B023
            if self._members.get(member.tuned.id) is member and member.tuned.done:
                self._let_go(member, None)

    def _guarded(self, member: _Member, work: Callable[[], Any]) -> Any:
        """Do what is one campaign's; what goes wrong there ends that one and leaves the others running."""
        try:
            return work()
        except Exception as error:
            self._let_go(member, error)
            return None

    def _let_go(self, member: _Member, error: Exception | None) -> None:
        if self._members.get(member.tuned.id) is not member:
            return
        del self._members[member.tuned.id]
        self._shares.leave(member.tuned.id)
        try:
            member.tuned.end()
        except Exception as later:
            error = later
        self._tell_devices(final=not self._members)
        member.ended(error)

    def _pause_s(self) -> float:
        """Say how long nothing has to happen."""
        due = [member.tuned.flush_in_s for member in self._members.values()]
        return max(0.0, min([_WAIT_SECONDS, *(seconds for seconds in due if seconds is not None)]))

    def _tell_devices(self, *, final: bool = False) -> None:
        """Store how the devices stand, for whoever asks meanwhile; now and then, and where one changed."""
        now = time.monotonic()
        if now < self._told_at + _TELL_SECONDS and not final:
            return
        elapsed, self._told_at = now - self._began, now
        found = []
        for device in self.fleet.all_devices:
            state = device.state if device.state != "ready" else "busy" if device.busy else "free"
            found.append(
                Sighting(
                    device.station.key,
                    device.host,
                    device.station.device,
                    "seen" if final and device.state == "ready" else state,
                    device.last_error,
                    device.measured / elapsed * 3600 if elapsed > 0 else None,
                )
            )
        # It is told for people: a store that fails now is told the next time.
        with contextlib.suppress(StorageError):
            self._store.devices.see(found)


def _model(device_class: str) -> str:
    """Name what a device class is a class of: targets for the same hardware share it."""
    return device_class.rpartition("@")[2]
