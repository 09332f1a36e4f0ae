"""Which devices the nodes of a cluster have, asked before a fleet is there."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import ray

from orchestrator.fleet.ray.actors import ActorClasses, make_actor
from orchestrator.fleet.ray.cluster import ROLE_LABEL, START_SECONDS, join_ray, signals_left_alone
from workers.messages import DeviceInfo

__all__ = ["ask_nodes", "find_devices"]


def find_devices(
    engine: str,
    address: str,
    targets: tuple[str, ...],
    say: Callable[[str], None] = lambda _: None,
    stopped: Callable[[], bool] = lambda: False,
) -> dict[str, DeviceInfo]:
    """Find out which devices targets mean that this machine doesn't have: on the nodes of a Ray cluster.

    Returns
    -------
    dict of str to DeviceInfo
        By target, of the first node that has it; without those that none has.
    """
    say(f"asking the nodes of Ray at {address} for their devices")
    with signals_left_alone():
        join_ray(address, None)
    try:
        nodes = [
            n for n in ray.nodes() if n["Alive"] and (n.get("Labels") or {}).get(ROLE_LABEL) != "compute"
        ]
        # Without GPUs of their own, for a campaign may have them; what asks for none sees them all the same.
        actors = [make_actor(ActorClasses().measure, n["NodeID"], engine) for n in nodes]
        return ask_nodes(actors, targets, stopped)
    finally:
        ray.shutdown()


def ask_nodes(
    actors: Sequence[Any], targets: tuple[str, ...], stopped: Callable[[], bool]
) -> dict[str, DeviceInfo]:
    """Ask measure actors which devices targets mean, until all are found, all said no, or time is up."""
    asked = {actor.resolve.remote(target): target for actor in actors for target in targets}
    waiting = list(asked)
    found: dict[str, DeviceInfo] = {}
    until = time.monotonic() + START_SECONDS
    while waiting and len(found) < len(targets) and not stopped() and time.monotonic() < until:
        ready, waiting = ray.wait(waiting, timeout=0.2)
        for ref in ready:
            with contextlib.suppress(Exception):  # a node that can't say has no such device
                device: DeviceInfo = ray.get(ref)
                if not device.unfit:
                    found.setdefault(asked[ref], device)
    return found
