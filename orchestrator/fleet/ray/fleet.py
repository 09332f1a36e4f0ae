"""The fleet on Ray: search, build and measure actors on every node, and boards behind a tracker."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray

from orchestrator.errors import EngineError, EngineLostError, TunefleetError
from orchestrator.fleet.port import Completion
from orchestrator.fleet.ray.actors import make_actor, plain_error
from orchestrator.fleet.ray.cluster import (
    CONNECT_SECONDS,
    ROLE_LABEL,
    START_SECONDS,
    join_ray,
    sigterm_left_alone,
)
from orchestrator.fleet.ray.find import ask_nodes
from orchestrator.fleet.ray.nodes import Device, Node, Pending, Ping, Tracked, device_of
from workers.actors import BuildActor, MeasureActor, SearchActor
from workers.messages import DeviceInfo, Measurement, Station, TrialState

__all__ = ["RayFleet"]

_STOP_SECONDS = 5.0
# Measurements that one node may have under way on boards, each of which is a thread that waits.
_MEASUREMENTS = 1024
# How often the cluster is asked for its nodes, and the tracker for its boards.
_LOOK_SECONDS = 2.0
#: Measurements in a row that a device was lost over, after which it is given no more.
QUARANTINE_AFTER = 3
#: Seconds to go on without any core to search on, or any device of a class: a node may come back.
PATIENCE_SECONDS = 120.0
_COMPUTE = "node to search and build on"


@dataclass
class RayFleet:
    """Actors on a Ray cluster, and what they have under way.

    Nodes that join are taken in, and nodes that die are given up, while it runs.

    Parameters
    ----------
    engine : str
    devices : tuple of DeviceInfo
        Classes to measure on, on the nodes that have them.
    address : str, optional
        Ray cluster to join; by default one is started on this machine, and stopped with the fleet.
    slots : int, optional
        Searches and builds at once on a cluster of one's own; by default as many as there are cores.
    boards : mapping of str to DeviceInfo, optional
        Devices that registered themselves at `tracker`, by their keys; any number under one key.
    tracker : tuple of (str, int), optional
    """

    engine: str
    devices: tuple[DeviceInfo, ...]
    address: str | None = None
    slots: int | None = None
    boards: Mapping[str, DeviceInfo] = field(default_factory=dict)
    tracker: tuple[str, int] | None = None
    versions: dict[str, str] = field(default_factory=dict)
    _nodes: list[Node] = field(default_factory=list)
    _joining: dict[str, Node] = field(default_factory=dict)
    _joined: queue.Queue[Node] = field(default_factory=queue.Queue)
    _extended: queue.Queue[tuple[Node, list[Device], TunefleetError | None]] = field(
        default_factory=queue.Queue
    )
    _extending: int = 0
    _refused: dict[str, TunefleetError] = field(default_factory=dict)
    _gateway: Node | None = None
    _boards: list[Device] = field(default_factory=list)
    _gone: list[Device] = field(default_factory=list)
    _pending: dict[Any, Pending] = field(default_factory=dict)
    _dropped: list[Completion] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)
    _sessions: dict[str, Node] = field(default_factory=dict)
    _home: str = ""
    _looked: float = 0.0
    _looking: bool = False
    _tracker_problem: str = ""
    _lacking: dict[str, float] = field(default_factory=dict)

    # -- life

    def join(self, say: Callable[[str], None] = lambda _: None) -> None:
        """Start or join Ray. It must not be broken off: processes of half a Ray are known to nobody.

        Raises
        ------
        UsageError
            Where no cluster answers at the address.
        """
        say("starting Ray" if self.address is None else f"joining Ray at {self.address}")
        with sigterm_left_alone():
            join_ray(self.address, self.slots)

    def start(
        self, say: Callable[[str], None] = lambda _: None, stopped: Callable[[], bool] = lambda: False
    ) -> bool:
        """Have the actors of all nodes warm. Returns early, and False, where `stopped` says so.

        Ray's own waits must not be broken off by an exception out of a signal handler: it ends up inside what
        Ray was just doing, and comes out as another. So they are made in threads.

        Raises
        ------
        EngineError
            Where the engine can't start on any node, or none has a device of a class, with what was said.
        """
        say("warming up the search, build and measure actors")
        self._look_for_nodes()
        while self._joining:
            self._take_joined(0.2)
            if stopped():
                return False
        if not self._nodes:
            raise next(iter(self._refused.values()), EngineError("the Ray cluster has no node with a CPU"))
        self.versions = self._nodes[0].versions
        if self.boards:
            self._look_at_tracker()
            until = time.monotonic() + CONNECT_SECONDS
            while self._looking and not stopped() and time.monotonic() < until:
                self._dropped += self.wait(0.2)
        if lacking := self.lacking(self._wanted):
            raise lacking
        return not stopped()

    def need(
        self,
        devices: tuple[DeviceInfo, ...] = (),
        boards: Mapping[str, DeviceInfo] | None = None,
        tracker: tuple[str, int] | None = None,
    ) -> None:
        """Have more classes measured on, while it runs; :attr:`coming` says whether nodes are still asked."""
        known = {device.device_class for device in self.devices}
        self.devices += tuple(device for device in devices if device.device_class not in known)
        self.boards = {**self.boards, **(boards or {})}
        self.tracker = self.tracker or tracker
        self._extend_nodes()
        self._look_at_tracker()

    @property
    def coming(self) -> bool:
        """What there is may be more in a moment: nodes are warmed up or asked, or the tracker is."""
        return bool(self._joining or self._extending or self._looking)

    def lacking(self, device_classes: Sequence[str]) -> EngineError | None:
        """Say what is wrong where no node and no board has a device of one of these classes."""
        there = {device.device_class for device in self.all_devices}
        lacking = [name for name in dict.fromkeys(device_classes) if name not in there]
        if not lacking:
            return None
        told = "; ".join([*map(str, self._refused.values()), *filter(None, [self._tracker_problem])])
        return EngineError(
            f"no node of the cluster and no board has a device of class {', '.join(lacking)}"
            + (f" ({told})" if told else "")
        )

    def stop(self) -> None:
        """End the actors with all they started, and Ray where this fleet started it."""
        if not ray.is_initialized():
            return
        nodes = [*self._nodes, *self._joining.values()]
        if self._gateway is not None and self._gateway not in nodes:
            nodes.append(self._gateway)
        actors = [actor for node in nodes for actor in node.actors]
        with contextlib.suppress(Exception):  # whatever is gone already needs no end
            ray.wait([a.stop.remote() for a in actors], num_returns=len(actors), timeout=_STOP_SECONDS)
        for node in nodes:
            self._end(node)
        # Ray ends the process in which a thread asks it something after its shutdown. They make actors, too.
        until = time.monotonic() + _STOP_SECONDS
        while any(thread.is_alive() for thread in self._threads) and time.monotonic() < until:
            time.sleep(0.05)
            for node in nodes:
                self._end(node)
        self._pending.clear()
        ray.shutdown()

    def _in_thread(self, work: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads = [*(known for known in self._threads if known.is_alive()), thread]
        thread.start()

    # -- what there is

    @property
    def total_slots(self) -> int:
        """Searches and builds at once, where nothing is under way."""
        return sum(node.slots for node in self._nodes)

    @property
    def free_slots(self) -> int:
        """Searches and builds that could be begun now."""
        return sum(max(0, node.slots - node.busy) for node in self._nodes if node.computes)

    @property
    def computing(self) -> int:
        """Searches and builds under way that do not stand still."""
        return sum(
            p.device is None and not p.node.paused and not isinstance(p.tag, Tracked | Ping)
            for p in self._pending.values()
        )

    @property
    def all_devices(self) -> list[Device]:
        """Every device that is or was there."""
        return [*(d for node in self._nodes for d in node.devices), *self._boards, *self._gone]

    @property
    def ready_devices(self) -> Mapping[str, int]:
        """Devices that measure, or could, by their class."""
        return Counter(device.device_class for device in self.all_devices if device.state == "ready")

    def idle_devices(self) -> list[Device]:
        """Return the devices that can be given something."""
        return [device for device in self.all_devices if device.idle]

    # -- work

    def search(self, tag: Any, session: str, method: str, *args: Any) -> None:
        """Call a search's actor; a session stays where it was opened, and is lost with that node."""
        node = self._sessions.get(session)
        if method == "open":
            node = self._sessions[session] = self._idlest()
        if node is None:
            lost = EngineLostError("the node of this search is gone")
            self._dropped.append(Completion(tag, error=lost, lost=True, moved=True))
            return
        self._start(tag, getattr(node.search, method).remote(session, *args), node)

    def train(self, tag: Any, samples: Any, timeout_s: float) -> None:
        """Train the cost model on some node."""
        node = self._idlest()
        self._start(tag, node.search.train.remote(samples, timeout_s), node)

    def close(self, session: str) -> None:
        """End a search."""
        node = self._sessions.pop(session, None)
        if node is not None:
            node.search.close.remote(session)

    def build(self, tag: Any, *args: Any) -> None:
        """Build a candidate. The completion's value is the result and a reference to the artifact."""
        node = self._idlest()
        result, artifact = node.build.build.options(num_returns=2).remote(*args)
        self._start(tag, result, node, extra=artifact)

    def measure(self, tag: Any, artifact: Any, device: Device, *args: Any) -> None:
        """Measure an artifact, given by its reference, on an idle device."""
        node = device._node or self._gateway
        assert node is not None, "a device without a node to measure it from"
        device.busy = True
        actor = device._actor or node.measure
        self._start(tag, actor.measure.remote(artifact, device.station, *args), node, device)

    def wait(self, timeout_s: float) -> list[Completion]:
        """Return what ended, after `timeout_s` seconds at most."""
        if time.monotonic() - self._looked > _LOOK_SECONDS:
            self._looked = time.monotonic()
            self._look_for_nodes()
            self._look_at_tracker()
            self._look_for_lost()
            self._extend_nodes()
            self._note_what_lacks()
        self._take_joined(0)
        found, self._dropped = self._dropped, []
        if not self._pending:
            if not found:
                time.sleep(min(timeout_s, 0.1))  # nothing can end; a node may join
            return found
        timeout = 0 if found else timeout_s
        ready, _ = ray.wait(list(self._pending), num_returns=1, timeout=timeout)
        if ready:
            more, _ = ray.wait(list(self._pending), num_returns=len(self._pending), timeout=0)
            ready = more or ready
        ended = (self._completion(ref) for ref in ready)
        return found + [completion for completion in ended if completion is not None]

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
                    f"{d.name} is {d.state}: {d.last_error}" for d in self.all_devices if d.state != "ready"
                )
                raise EngineLostError(
                    f"there was no {what} for {PATIENCE_SECONDS:.0f} s" + (f" ({told})" if told else "")
                )

    def find(self, targets: tuple[str, ...], stopped: Callable[[], bool]) -> dict[str, DeviceInfo]:
        """Find out which devices targets mean on this fleet's nodes; see :func:`find_devices`.

        Unlike all else here it may be called from any thread.
        """
        actors = [actor for node in list(self._nodes) for actor in (node.measure, node.accelerators) if actor]
        return ask_nodes(actors, targets, stopped)

    def reserve_cores(self) -> bool:
        """Have nothing of this fleet run on the cores of this machine; say whether that is so by now.

        No candidate is measured on them any more, and when the last has ended, searches and builds stand
        still, until :meth:`release_cores`.
        """
        node = self._here()
        if node is None:
            return True
        node.held = True
        if node.measuring_on_cores:
            return False
        if not node.paused:
            node.paused = True
            self._tell(node, "pause")
        return True

    @property
    def paused_here(self) -> bool:
        """Searches and builds on this machine stand still, for something is measured on its cores."""
        node = self._here()
        return node is not None and node.paused

    def release_cores(self) -> None:
        """Let them go on."""
        for node in self._nodes:
            if node.held:
                node.held = node.paused = False
                self._tell(node, "resume")

    def pause(self, device: Device) -> None:
        """Have searches and builds on a device's cores stand still."""
        node = device._node
        if node is not None and not node.paused:
            node.paused = True
            self._tell(node, "pause")

    def resume(self, device: Device) -> None:
        """Let them go on."""
        node = device._node
        if node is not None and node.paused and not node.held:
            node.paused = False
            self._tell(node, "resume")

    # -- nodes

    def _look_for_nodes(self) -> None:
        """Take in nodes that have come, and give up those that have gone."""
        try:
            alive = {n["NodeID"]: n for n in ray.nodes() if n["Alive"]}
        except Exception:  # the cluster's head does not answer now; what is under way may end all the same
            return
        for node in [n for n in (*self._nodes, *self._joining.values()) if n.id not in alive]:
            self._lose(node)
        known = {n.id for n in self._nodes} | set(self._joining) | set(self._refused)
        for name, found in alive.items():
            cpus = int(found["Resources"].get("CPU", 0))
            role = (found.get("Labels") or {}).get(ROLE_LABEL, "")
            if name in known or (cpus < 1 and role != "measure"):
                continue
            there = found["Resources"].get("GPU", 0)
            gpus = there if any(d.kind != "cpu" for d in self.devices) else 0
            node = Node(
                name,
                str(found.get("NodeManagerHostname", name)),
                0 if role == "measure" else cpus,
                make_actor(MeasureActor, name, self.engine, gpus=gpus, calls=_MEASUREMENTS),
                gpus=there,
                measure_gpus=gpus,
                role=role,
                asked=len(self.devices),
            )
            self._joining[name] = node
            wanted = () if role == "compute" else self.devices
            self._in_thread(self._prepare, node, wanted)

    def _prepare(self, node: Node, wanted: tuple[DeviceInfo, ...]) -> None:
        """Have the actors of a node warm; in a thread, which hands the node over when that is done."""
        try:
            _, _, node.versions = ray.get(node.measure.start.remote(), timeout=START_SECONDS)
            node.cores = ray.get(node.measure.cores.remote(), timeout=_STOP_SECONDS)
            stations: tuple[Station, ...] = ray.get(node.measure.offer.remote(wanted), timeout=START_SECONDS)
            taken = [s.device.cores for s in stations if s.device.kind == "cpu"]
            # Cores that are not measured on are searched on meanwhile; where none is left, they take turns.
            if node.slots:
                node.keep = node.cores[max(taken) :] if taken else ()
                node.slots = min(node.slots, len(node.keep) or node.slots)
                node.search = make_actor(SearchActor, node.id, self.engine, None, node.keep)
                node.build = make_actor(BuildActor, node.id, self.engine, None, node.keep)
                ray.get([a.start.remote() for a in (node.search, node.build)], timeout=START_SECONDS)
            ray.get(node.measure.serve.remote(), timeout=START_SECONDS)
            node.devices = [device_of(station, node, node.measure) for station in stations]
        except Exception as error:  # of Ray or of the engine; it is told where it matters
            node.problem = plain_error(error, f"node {node.host}")
            if node.measure_gpus and isinstance(error, ray.exceptions.GetTimeoutError):
                node.problem = EngineError(
                    f"{node.problem}; or something else on the cluster, such as another coordinator, has its "
                    f"{node.measure_gpus:g} GPU{'s' if node.measure_gpus > 1 else ''}: `ray status` says"
                )
        self._joined.put(node)

    def _extend_nodes(self) -> None:
        """Ask nodes for the devices that came to be wanted after they were asked."""
        for node in self._nodes:
            fresh, node.asked = self.devices[node.asked :], len(self.devices)
            if fresh and node.role != "compute":
                self._extending += 1
                self._in_thread(self._extend, node, fresh)

    def _extend(self, node: Node, fresh: tuple[DeviceInfo, ...]) -> None:
        """Have a node serve more devices; in a thread, as :meth:`_prepare`."""
        found: list[Device] = []
        problem = None
        try:
            on_cores = tuple(device for device in fresh if device.kind == "cpu" or node.measure_gpus)
            others = tuple(device for device in fresh if device not in on_cores)
            if others and node.gpus and node.accelerators is None:
                # Ray gives an actor its GPUs when it makes it.
                node.accelerators = make_actor(MeasureActor, node.id, self.engine, gpus=node.gpus)
                ray.get(node.accelerators.start.remote(), timeout=START_SECONDS)
            for actor, wanted in ((node.measure, on_cores), (node.accelerators, others)):
                if actor is not None and wanted:
                    stations = ray.get(actor.offer.remote(wanted), timeout=START_SECONDS)
                    ray.get(actor.serve.remote(), timeout=START_SECONDS)
                    found += [device_of(station, node, actor) for station in stations]
        except Exception as error:  # of Ray or of the engine; it is told where it matters
            problem = plain_error(error, f"node {node.host}")
        self._extended.put((node, found, problem))

    def _take_joined(self, timeout_s: float) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                node, found, problem = self._extended.get_nowait()
                self._extending -= 1
                if problem is not None:
                    self._refused[f"{node.id}, later"] = problem
                if node in self._nodes:
                    node.devices += found
        with contextlib.suppress(queue.Empty):
            while True:
                node = self._joined.get(timeout=timeout_s) if timeout_s else self._joined.get_nowait()
                timeout_s = 0
                if self._joining.pop(node.id, None) is None:
                    continue  # it died meanwhile
                if node.problem is not None:
                    self._refused[node.id] = node.problem
                    self._end(node)
                else:
                    self._nodes.append(node)

    def _lose(self, node: Node) -> None:
        """Give a node up: what it had under way is to be given to another."""
        self._joining.pop(node.id, None)
        if node in self._nodes:
            self._nodes.remove(node)
        for device in node.devices:
            device.state, device.busy = "lost", False
            device.last_error = f"node {node.host} is gone"
        self._gone += node.devices
        lost = EngineLostError(f"node {node.host} is gone")
        for ref in [ref for ref, pending in self._pending.items() if pending.node is node]:
            pending = self._pending.pop(ref)
            if isinstance(pending.tag, Tracked):
                self._looking = False
            if isinstance(pending.tag, Tracked | Ping):
                continue
            if pending.device is not None:
                pending.device.busy = False
            self._dropped.append(Completion(pending.tag, error=lost, lost=True, moved=True))
        self._sessions = {name: at for name, at in self._sessions.items() if at is not node}
        if node is self._gateway:
            self._gateway = None

    def _end(self, node: Node) -> None:
        for actor in node.actors:
            with contextlib.suppress(Exception):
                ray.kill(actor)

    # -- boards

    def _look_at_tracker(self) -> None:
        """Ask the tracker for its boards; the answer comes with the other work that ends."""
        if not self.boards or self.tracker is None or self._looking:
            return
        if self._gateway is None:
            self._gateway = self._near()
        if self._gateway is None:
            return
        self._looking = True
        ref = self._gateway.measure.tracked.remote(*self.tracker)
        self._pending[ref] = Pending(Tracked(), self._gateway)

    def _look_for_lost(self) -> None:
        """Ask the actors that did not answer whether they do now: Ray starts them again."""
        asked = {(p.node.id, p.tag.what) for p in self._pending.values() if isinstance(p.tag, Ping)}
        for node in self._nodes:
            lost: list[tuple[Device | str, Any]] = [
                (device, (device._actor or node.measure).serve)
                for device in node.devices
                if device.state == "lost"
            ]
            lost += [(role, getattr(node, role).cores) for role in node.silent]
            for what, question in lost:
                if (node.id, what) not in asked:
                    self._pending[question.remote()] = Pending(Ping(node, what), node)

    def _here(self) -> Node | None:
        """Return the node of this process, if it takes part."""
        self._home = self._home or ray.get_runtime_context().get_node_id()
        return next((n for n in self._nodes if n.id == self._home), None)

    def _near(self) -> Node | None:
        """Return the node from which boards are asked: the one of this process, if it takes part."""
        return self._here() or next(iter(self._nodes), None)

    def _found_boards(self, found: Mapping[str, int], problem: str) -> None:
        self._tracker_problem = problem or f"the tracker knows {', '.join(sorted(found)) or 'no server'}"
        for key, info in self.boards.items():
            known = [board for board in self._boards if board.station.key == key]
            count = found.get(key, 0)
            for index in range(len(known), count):
                name = key if index == 0 else f"{key}#{index}"
                station = Station(key, info, index, self.tracker)
                self._boards.append(Device(name, key, station, False))
            for place, board in enumerate(known):
                if place >= count and board.state == "ready" and not board.busy:
                    board.state = "lost"
                    board.last_error = problem or f"the tracker knows no server of key {key} any more"
                elif place < count and board.state == "lost":
                    board.state, board.losses = "ready", 0

    # -- helpers

    @property
    def _wanted(self) -> list[str]:
        """The device classes that it is to have."""
        return [device.device_class for device in (*self.devices, *self.boards.values())]

    def _note_what_lacks(self) -> None:
        """Note since when there has been nothing to search on, or no device of a class."""
        now = time.monotonic()
        ready = self.ready_devices
        lacking = {_of_class(name) for name in self._wanted if not ready.get(name)}
        if not any(node.slots for node in self._nodes):
            lacking.add(_COMPUTE)
        self._lacking = {what: self._lacking.get(what, now) for what in lacking}

    def _idlest(self) -> Node:
        nodes = [node for node in self._nodes if node.slots]
        return max(nodes, key=lambda node: (node.computes, node.slots - node.busy))

    def _start(self, tag: Any, ref: Any, node: Node, device: Device | None = None, extra: Any = None) -> None:
        if device is None:
            node.busy += 1
        self._pending[ref] = Pending(tag, node, device, extra)

    def _completion(self, ref: Any) -> Completion | None:
        pending = self._pending.pop(ref)
        tag, device = pending.tag, pending.device
        if isinstance(tag, Tracked | Ping):
            self._answered(ref, tag)
            return None
        if device is None:
            pending.node.busy -= 1
        else:
            device.busy = False
        try:
            value = ray.get(ref)
        except Exception as error:  # Ray's, or what the worker raised
            known = plain_error(error, f"a worker on {pending.node.host}")
            lost = isinstance(known, EngineLostError)
            if device is None and isinstance(error, ray.exceptions.RayActorError):
                # A dead actor fails at once, and would be the idlest of all.
                pending.node.silent |= {"search", "build"}
                self._look_for_lost()
            # What was to be measured may have gone with the node that built it: that is not the device's.
            if device is not None and lost and not isinstance(error, ray.exceptions.ObjectLostError):
                device.last_error = str(known)
                if device._node is not None and device.state == "ready":
                    device.state = "lost"  # until its actor answers again
            # Of Ray's errors this one alone comes from the worker's own code.
            moved = lost and not isinstance(error, ray.exceptions.RayTaskError)
            return Completion(tag, error=known, lost=lost, moved=moved)
        if device is not None and isinstance(value, Measurement):
            if value.state is TrialState.DEVICE_LOST:
                self._blame(device, value.message)
            else:
                device.losses = 0
                device.measured += 1
        return Completion(tag, (value, pending.extra) if pending.extra is not None else value)

    def _answered(self, ref: Any, tag: Tracked | Ping) -> None:
        problem, value = "", {}
        try:
            value = ray.get(ref)
        except Exception as error:  # Ray's, or what the worker raised
            problem = str(plain_error(error, "a worker"))
        if isinstance(tag, Tracked):
            self._looking = False
            self._found_boards({} if problem else value, problem)
        elif isinstance(tag.what, str):
            if not problem:
                tag.node.silent.discard(tag.what)
        elif problem:
            tag.what.last_error = problem
        elif tag.what.state == "lost":
            tag.what.state = "ready"

    def _blame(self, device: Device, message: str) -> None:
        device.losses += 1
        device.last_error = message
        if device.losses >= QUARANTINE_AFTER and device.state == "ready":
            device.state = "quarantined"
            self.resume(device)  # nothing waits for it any more

    def _tell(self, node: Node, method: str) -> None:
        with contextlib.suppress(ray.exceptions.RayError):  # one that died stands still already
            actors: Sequence[Any] = [a for a in (node.search, node.build) if a is not None]
            ray.get([getattr(actor, method).remote() for actor in actors], timeout=_STOP_SECONDS)


def _of_class(name: str) -> str:
    return f"device of class {name}"
