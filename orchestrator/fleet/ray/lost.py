"""Actors that did not answer: they are asked again, for Ray starts them again."""

from __future__ import annotations

from typing import Any

import ray

from orchestrator.fleet.port import DeviceState
from orchestrator.fleet.ray.actors import plain_error
from orchestrator.fleet.ray.node import RayDevice, Role
from orchestrator.fleet.ray.nodes import Nodes
from orchestrator.fleet.ray.pending import Ping, Ref, UnderWay

__all__ = ["ask_lost", "take_back"]


def ask_lost(nodes: Nodes, under_way: UnderWay) -> None:
    """Ask the actors that did not answer whether they do now."""
    asked = {(ping.node.id, ping.what) for ping in under_way.pings}
    for node in nodes.present:
        lost: list[tuple[RayDevice | Role, Any]] = [
            (device, (device.actor or node.measure).serve)
            for device in node.devices
            if device.state is DeviceState.LOST
        ]
        lost += [(role, getattr(node, role).cores) for role in node.silent]
        for what, question in lost:
            if (node.id, what) not in asked:
                under_way.add(question.remote(), Ping(node, what))


def take_back(ref: Ref, ping: Ping) -> None:
    """Take an actor's answer: it can be given work again, unless it failed once more."""
    problem = ""
    try:
        ray.get(ref)
    except Exception as error:  # Ray's, or what the worker raised
        problem = str(plain_error(error, "a worker"))
    if not isinstance(ping.what, RayDevice):
        if not problem:
            ping.node.silent.discard(ping.what)
    elif problem:
        ping.what.last_error = problem
    elif ping.what.state is DeviceState.LOST:
        ping.what.state = DeviceState.READY
