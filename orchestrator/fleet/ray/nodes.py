"""The nodes of a cluster: those that came are taken in, and those that went are given up."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import ray

from orchestrator.errors import TunefleetError
from orchestrator.fleet.port import DeviceState
from orchestrator.fleet.ray.actors import ActorClasses
from orchestrator.fleet.ray.joining import extend_node, make_node, prepare_node
from orchestrator.fleet.ray.node import Node, RayDevice
from workers.messages import DeviceInfo

__all__ = ["STOP_SECONDS", "Nodes"]

STOP_SECONDS = 5.0


class Nodes:
    """The nodes that take part in a fleet.

    Parameters
    ----------
    slots : int or None
        Searches and builds at once on each, if not as many as it has CPUs.

    Attributes
    ----------
    present : list of Node
    joining : dict of str to Node
        Those whose actors are being made ready, by their ids.
    refused : dict of str to TunefleetError
        What was wrong with those that can't take part.
    gone : list of RayDevice
        Devices of nodes that are gone.
    """

    def __init__(self, engine: str, actors: ActorClasses, slots: int | None) -> None:
        self._engine, self._actors, self._slots = engine, actors, slots
        self.present: list[Node] = []
        self.joining: dict[str, Node] = {}
        self.refused: dict[str, TunefleetError] = {}
        self.gone: list[RayDevice] = []
        self._joined: queue.Queue[Node] = queue.Queue()
        self._extended: queue.Queue[tuple[Node, list[RayDevice], TunefleetError | None]] = queue.Queue()
        self._extending = 0
        self._threads: list[threading.Thread] = []
        self._home = ""

    @property
    def coming(self) -> bool:
        """Some are being made ready, or asked for more devices."""
        return bool(self.joining or self._extending)

    @property
    def devices(self) -> list[RayDevice]:
        """All devices of nodes that are present."""
        return [device for node in self.present for device in node.devices]

    def here(self) -> Node | None:
        """Return the node of this process, if it takes part."""
        self._home = self._home or ray.get_runtime_context().get_node_id()
        return next((n for n in self.present if n.id == self._home), None)

    def idlest(self) -> Node:
        """Return the node to give the next search or build to."""
        nodes = [node for node in self.present if node.slots]
        return max(nodes, key=lambda node: (node.computes, node.slots - node.busy))

    # -- coming and going

    def look(self, wanted: tuple[DeviceInfo, ...]) -> list[Node]:
        """Begin to take in nodes that have come, for these devices; return those that have gone."""
        try:
            alive = {n["NodeID"]: n for n in ray.nodes() if n["Alive"]}
        except Exception:  # the cluster's head does not answer now; what is under way may end all the same
            return []
        lost = [n for n in (*self.present, *self.joining.values()) if n.id not in alive]
        for node in lost:
            self._lose(node)
        known = {n.id for n in self.present} | set(self.joining) | set(self.refused)
        for name, found in alive.items():
            if name in known:
                continue
            fresh = make_node(found, self._engine, self._actors, wanted, self._slots)
            if fresh is not None:
                self.joining[name] = fresh
                self._in_thread(self._prepare, fresh, () if fresh.role == "compute" else wanted)
        return lost

    def extend(self, wanted: tuple[DeviceInfo, ...]) -> None:
        """Ask nodes for the devices that came to be wanted after they were asked."""
        for node in self.present:
            fresh, node.asked = wanted[node.asked :], len(wanted)
            if fresh and node.role != "compute":
                self._extending += 1
                self._in_thread(self._extend, node, fresh)

    def take_ready(self, timeout_s: float) -> None:
        """Take in what the threads have made ready; wait for it where `timeout_s` isn't 0."""
        with contextlib.suppress(queue.Empty):
            while True:
                node, found, problem = self._extended.get_nowait()
                self._extending -= 1
                if problem is not None:
                    self.refused[f"{node.id}, later"] = problem
                if node in self.present:
                    node.devices += found
        with contextlib.suppress(queue.Empty):
            while True:
                node = self._joined.get(timeout=timeout_s) if timeout_s else self._joined.get_nowait()
                timeout_s = 0
                if self.joining.pop(node.id, None) is None:
                    continue  # it died meanwhile
                if node.problem is not None:
                    self.refused[node.id] = node.problem
                    _end(node)
                else:
                    self.present.append(node)

    def stop(self, others: list[Node]) -> None:
        """End the actors of all nodes, and of `others`, with all they started."""
        nodes = [*self.present, *self.joining.values()]
        nodes += [node for node in others if node not in nodes]
        actors = [actor for node in nodes for actor in node.actors]
        with contextlib.suppress(Exception):  # whatever is gone already needs no end
            ray.wait([a.stop.remote() for a in actors], num_returns=len(actors), timeout=STOP_SECONDS)
        for node in nodes:
            _end(node)
        # Ray ends the process in which a thread asks it something after its shutdown. They make actors, too.
        until = time.monotonic() + STOP_SECONDS
        while any(thread.is_alive() for thread in self._threads) and time.monotonic() < until:
            time.sleep(0.05)
            for node in nodes:
                _end(node)

    # -- helpers

    def _lose(self, node: Node) -> None:
        self.joining.pop(node.id, None)
        if node in self.present:
            self.present.remove(node)
        for device in node.devices:
            device.state, device.busy = DeviceState.LOST, False
            device.last_error = f"node {node.host} is gone"
        self.gone += node.devices

    def _prepare(self, node: Node, wanted: tuple[DeviceInfo, ...]) -> None:
        prepare_node(node, self._engine, self._actors, wanted)
        self._joined.put(node)

    def _extend(self, node: Node, fresh: tuple[DeviceInfo, ...]) -> None:
        found, problem = extend_node(node, self._engine, self._actors, fresh)
        self._extended.put((node, found, problem))

    def _in_thread(self, work: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads = [*(known for known in self._threads if known.is_alive()), thread]
        thread.start()


def _end(node: Node) -> None:
    for actor in node.actors:
        with contextlib.suppress(Exception):
            ray.kill(actor)
