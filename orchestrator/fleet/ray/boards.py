"""Boards: devices that registered themselves at a tracker, which is asked for them now and then."""

from __future__ import annotations

from collections.abc import Mapping

import ray

from orchestrator.fleet.port import DeviceState, DevicesWanted
from orchestrator.fleet.ray.actors import plain_error
from orchestrator.fleet.ray.node import Node, RayDevice
from orchestrator.fleet.ray.nodes import Nodes
from orchestrator.fleet.ray.pending import Ref, Tracked, UnderWay
from workers.messages import Station

__all__ = ["Boards"]


class Boards:
    """The boards of a fleet, and the node that they are asked and measured from.

    Attributes
    ----------
    gateway : Node or None
    problem : str
        What the tracker said when it was asked last.
    looking : bool
        It was asked, and has not answered.
    """

    def __init__(self, nodes: Nodes, under_way: UnderWay) -> None:
        self._nodes, self._under_way = nodes, under_way
        self.devices: list[RayDevice] = []
        self.gateway: Node | None = None
        self.problem = ""
        self.looking = False

    def look(self, wanted: DevicesWanted) -> None:
        """Ask the tracker for its boards; the answer comes with the other work that ends."""
        if not wanted.boards or wanted.tracker is None or self.looking:
            return
        if self.gateway is None:
            # The node of this process, if it takes part: the tracker is on the network that this one is on.
            self.gateway = self._nodes.here() or next(iter(self._nodes.present), None)
        if self.gateway is None:
            return
        self.looking = True
        ref = self.gateway.measure.tracked.remote(*wanted.tracker)
        self._under_way.add(ref, Tracked(self.gateway))

    def lose(self, node: Node, *, asked: bool) -> None:
        """Give a node up; where it was asked for boards, another is."""
        if asked:
            self.looking = False
        if node is self.gateway:
            self.gateway = None

    def answered(self, ref: Ref, wanted: DevicesWanted) -> None:
        """Take the tracker's answer: boards that are new, gone or back."""
        self.looking = False
        found: Mapping[str, int] = {}
        problem = ""
        try:
            found = ray.get(ref)
        except Exception as error:  # Ray's, or what the worker raised
            problem = str(plain_error(error, "a worker"))
        self.problem = problem or f"the tracker knows {', '.join(sorted(found)) or 'no server'}"
        for key, info in wanted.boards.items():
            known = [board for board in self.devices if board.station.key == key]
            count = found.get(key, 0)
            for index in range(len(known), count):
                name = key if index == 0 else f"{key}#{index}"
                station = Station(key, info, index, wanted.tracker)
                self.devices.append(RayDevice(name, key, station, False))
            for place, board in enumerate(known):
                if place >= count and board.state is DeviceState.READY and not board.busy:
                    board.state = DeviceState.LOST
                    board.last_error = problem or f"the tracker knows no server of key {key} any more"
                elif place < count and board.state is DeviceState.LOST:
                    board.state, board.losses = DeviceState.READY, 0
