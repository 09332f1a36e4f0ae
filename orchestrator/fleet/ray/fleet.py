"""The fleet on Ray: search, build and measure actors on every node, and boards behind a tracker."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import ray

from orchestrator.errors import EngineError, EngineLostError
from orchestrator.fleet.completions import CandidateMeasured, Completion, DeviceChecked, WorkFailed
from orchestrator.fleet.port import Device, DeviceState, DevicesWanted, Work
from orchestrator.fleet.ray.actors import ActorClasses
from orchestrator.fleet.ray.boards import Boards
from orchestrator.fleet.ray.cluster import CONNECT_SECONDS, join_ray, signals_left_alone
from orchestrator.fleet.ray.find import ask_nodes
from orchestrator.fleet.ray.lost import ask_lost, take_back
from orchestrator.fleet.ray.node import Node, RayDevice, own_device
from orchestrator.fleet.ray.nodes import Nodes
from orchestrator.fleet.ray.pending import Await, Ping, Ref, Tracked, UnderWay, WorkUnderWay
from orchestrator.fleet.ray.quiet import pause_node, release_nodes, reserve_node, resume_node
from orchestrator.fleet.ray.work import Desk
from workers.messages import DeviceInfo, TrialState

__all__ = ["RayFleet"]

# How often the cluster is asked for its nodes, and the tracker for its boards.
_LOOK_SECONDS = 2.0
#: Seconds to go on without any core to search on, or any device of a class: a node may come back.
PATIENCE_SECONDS = 120.0
_COMPUTE = "node to search and build on"
_ACTORS = ActorClasses()


class RayFleet:
    """Actors on a Ray cluster, and what they have under way; see :class:`orchestrator.fleet.port.Fleet`.

    Nodes that join are taken in, and nodes that die are given up, while it runs.

    Parameters
    ----------
    wanted : DevicesWanted
        What to measure on, on the nodes that have it and at the tracker.
    address : str, optional
        Ray cluster to join; by default one is started on this machine, and stopped with the fleet.
    slots : int, optional
        Searches and builds at once on a cluster of one's own; by default as many as there are cores.
    actors : ActorClasses, optional
        What its actors are made of.
    node_slots : int, optional
        Searches and builds at once on each node, however many cores it has: for actors that only wait.
    await_refs : callable, optional
        What waits for Ray's results as ``ray.wait`` does.
    """

    def __init__(
        self,
        engine: str,
        wanted: DevicesWanted,
        *,
        address: str | None = None,
        slots: int | None = None,
        actors: ActorClasses = _ACTORS,
        node_slots: int | None = None,
        await_refs: Await = ray.wait,
    ) -> None:
        self.versions: Mapping[str, str] = {}
        self._address, self._slots, self._wanted = address, slots, wanted
        self._nodes = Nodes(engine, actors, node_slots)
        self._under_way = UnderWay(await_refs)
        self._desk = Desk(self._nodes, self._under_way)
        self._boards = Boards(self._nodes, self._under_way)
        self._looked = 0.0
        self._lacking: dict[str, float] = {}
        self._ended: list[Completion] = []

    # -- its life

    def join(self, say: Callable[[str], None] = lambda _: None) -> None:
        """Start or join Ray. It must not be broken off: processes of half a Ray are known to nobody.

        Raises
        ------
        UsageError
            Where no cluster answers at the address.
        """
        say("starting Ray" if self._address is None else f"joining Ray at {self._address}")
        with signals_left_alone():
            join_ray(self._address, self._slots)

    def start(
        self, say: Callable[[str], None] = lambda _: None, stopped: Callable[[], bool] = lambda: False
    ) -> bool:
        """Have Ray, and the actors of all nodes warm. Returns early, and False, where `stopped` says so.

        Ray's own waits must not be broken off by an exception out of a signal handler: it ends up inside what
        Ray was just doing, and comes out as another. So they are made in threads.

        Raises
        ------
        UsageError
            Where no cluster answers at the address.
        EngineError
            Where the engine can't start on any node, or none has a device of a class, with what was said.
        """
        self.join(say)
        say("warming up the search, build and measure actors")
        self._look_for_nodes()
        while self._nodes.joining:
            self._nodes.take_ready(0.2)
            if stopped():
                return False
        if not self._nodes.present:
            refused = iter(self._nodes.refused.values())
            raise next(refused, EngineError("the Ray cluster has no node with a CPU"))
        self.versions = self._nodes.present[0].versions
        if self._wanted.boards:
            self._boards.look(self._wanted)
            until = time.monotonic() + CONNECT_SECONDS
            while self._boards.looking and not stopped() and time.monotonic() < until:
                self._ended += self.wait(0.2)
        if lacking := self.lacking(self._wanted.device_classes):
            raise lacking
        return not stopped()

    def stop(self) -> None:
        """End the actors with all they started, and Ray where this fleet started it."""
        if not ray.is_initialized():
            return
        self._nodes.stop([] if self._boards.gateway is None else [self._boards.gateway])
        self._under_way.clear()
        ray.shutdown()

    # -- what it measures on

    def need(self, wanted: DevicesWanted) -> None:
        """Have more classes measured on, while it runs; :attr:`coming` says whether nodes are still asked."""
        self._wanted = self._wanted.and_more(wanted)
        self._nodes.extend(self._wanted.devices)
        self._boards.look(self._wanted)

    @property
    def coming(self) -> bool:
        """What there is may be more in a moment: nodes are warmed up or asked, or the tracker is."""
        return self._nodes.coming or self._boards.looking

    def lacking(self, device_classes: Sequence[str]) -> EngineError | None:
        """Say what is wrong where no node and no board has a device of one of these classes."""
        there = {device.device_class for device in self.all_devices}
        lacking = [name for name in dict.fromkeys(device_classes) if name not in there]
        if not lacking:
            return None
        told = "; ".join([*map(str, self._nodes.refused.values()), *filter(None, [self._boards.problem])])
        return EngineError(
            f"no node of the cluster and no board has a device of class {', '.join(lacking)}"
            + (f" ({told})" if told else "")
        )

    def check(self, device_classes: Sequence[str]) -> None:
        """See whether what a campaign needs is there.

        Raises
        ------
        EngineLostError
            There was nothing to search on, or no device of one of these classes, for `PATIENCE_SECONDS`.
        """
        for what, since in self._lacking.items():
            if what not in (_COMPUTE, *map(_of_class, device_classes)):
                continue
            if time.monotonic() - since > PATIENCE_SECONDS:
                told = "; ".join(
                    f"{d.name} is {d.state.value}: {d.last_error}"
                    for d in self.all_devices
                    if d.state is not DeviceState.READY
                )
                raise EngineLostError(
                    f"there was no {what} for {PATIENCE_SECONDS:.0f} s" + (f" ({told})" if told else "")
                )

    def find(self, targets: tuple[str, ...], stopped: Callable[[], bool]) -> dict[str, DeviceInfo]:
        """Find out which devices targets mean on this fleet's nodes; from any thread."""
        nodes = list(self._nodes.present)
        actors = [actor for node in nodes for actor in (node.measure, node.accelerators) if actor]
        return ask_nodes(actors, targets, stopped)

    # -- how it stands

    @property
    def total_slots(self) -> int:
        """Searches and builds at once, where nothing is under way."""
        return sum(node.slots for node in self._nodes.present)

    @property
    def free_slots(self) -> int:
        """Searches and builds that could be begun now."""
        return sum(max(0, node.slots - node.busy) for node in self._nodes.present if node.computes)

    @property
    def computing(self) -> int:
        """Searches and builds under way that do not stand still."""
        return self._under_way.computing

    @property
    def all_devices(self) -> list[RayDevice]:
        """Every device that is or was there."""
        return [*self._nodes.devices, *self._boards.devices, *self._nodes.gone]

    @property
    def ready_devices(self) -> Mapping[str, int]:
        """Devices that measure, or could, by their class."""
        ready = (d for d in self.all_devices if d.state is DeviceState.READY)
        return Counter(device.device_class for device in ready)

    def idle_devices(self) -> list[RayDevice]:
        """Return the devices that can be given something."""
        return [device for device in self.all_devices if device.idle]

    # -- work

    def submit(self, work: Work) -> None:
        """Begin a piece of work."""
        self._desk.submit(work, self._boards.gateway)

    def close_search(self, session: str) -> None:
        """End a search."""
        self._desk.close(session)

    def wait(self, timeout_s: float) -> list[Completion]:
        """Return what ended, after `timeout_s` seconds at most."""
        if time.monotonic() - self._looked > _LOOK_SECONDS:
            self._looked = time.monotonic()
            self._look_for_nodes()
            self._boards.look(self._wanted)
            ask_lost(self._nodes, self._under_way)
            self._nodes.extend(self._wanted.devices)
            self._note_what_lacks()
        self._nodes.take_ready(0)
        found, self._ended = self._ended + self._desk.take_dropped(), []
        if not self._under_way:
            if not found:
                time.sleep(min(timeout_s, 0.1))  # nothing can end; a node may join
            return found
        for ref, pending in self._under_way.ended(0 if found else timeout_s):
            match pending:
                case WorkUnderWay():
                    found.append(self._completion(ref, pending))
                case Tracked():
                    self._boards.answered(ref, self._wanted)
                case Ping():
                    take_back(ref, pending)
        return found

    # -- quiet on cores

    def pause(self, device: Device) -> None:
        """Have searches and builds on a device's cores stand still."""
        node = own_device(device).node
        if node is not None:
            pause_node(node)

    def resume(self, device: Device) -> None:
        """Let them go on."""
        node = own_device(device).node
        if node is not None:
            resume_node(node)

    def reserve_cores(self) -> bool:
        """Have nothing of this fleet run on the cores of this machine; say whether that is so by now."""
        node = self._nodes.here()
        return node is None or reserve_node(node)

    def release_cores(self) -> None:
        """Let them go on."""
        release_nodes(self._nodes)

    @property
    def paused_here(self) -> bool:
        """Searches and builds on this machine stand still, for something is measured on its cores."""
        node = self._nodes.here()
        return node is not None and node.paused

    # -- helpers

    def _look_for_nodes(self) -> None:
        for node in self._nodes.look(self._wanted.devices):
            self._lose(node)

    def _lose(self, node: Node) -> None:
        """Have what a node that is gone had under way be given to another."""
        pending = self._under_way.take_of(node)
        self._boards.lose(node, asked=any(isinstance(p, Tracked) for p in pending))
        self._desk.lose(node, [p for p in pending if isinstance(p, WorkUnderWay)])

    def _completion(self, ref: Ref, pending: WorkUnderWay) -> Completion:
        completion = self._desk.completion(ref, pending)
        device = pending.device
        if isinstance(completion, WorkFailed) and device is None and pending.node.silent:
            ask_lost(self._nodes, self._under_way)
        elif isinstance(completion, CandidateMeasured | DeviceChecked) and device is not None:
            told = completion.measurement
            # Where it has had enough of its losses, nothing waits for it any more.
            if told.state is TrialState.DEVICE_LOST and device.blame(told.message):
                self.resume(device)
        return completion

    def _note_what_lacks(self) -> None:
        """Note since when there has been nothing to search on, or no device of a class."""
        now = time.monotonic()
        ready = self.ready_devices
        lacking = {_of_class(name) for name in self._wanted.device_classes if not ready.get(name)}
        if not any(node.slots for node in self._nodes.present):
            lacking.add(_COMPUTE)
        self._lacking = {what: self._lacking.get(what, now) for what in lacking}


def _of_class(name: str) -> str:
    return f"device of class {name}"
