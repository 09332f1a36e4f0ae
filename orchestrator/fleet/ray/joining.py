"""How a node's actors are made ready. It takes seconds, and runs in a thread for each node."""

from __future__ import annotations

from typing import Any

import ray

from orchestrator.errors import EngineError, TunefleetError
from orchestrator.fleet.ray.actors import ActorClasses, make_actor, plain_error
from orchestrator.fleet.ray.cluster import ROLE_LABEL, START_SECONDS
from orchestrator.fleet.ray.node import Node, RayDevice, device_of
from workers.messages import DeviceInfo, Station

__all__ = ["extend_node", "make_node", "prepare_node"]

# Measurements that one node may have under way on boards, each of which is a thread that waits.
_MEASUREMENTS = 1024
_ANSWER_SECONDS = 5.0


def make_node(
    found: dict[str, Any],
    engine: str,
    actors: ActorClasses,
    wanted: tuple[DeviceInfo, ...],
    slots: int | None,
) -> Node | None:
    """Make a node of what Ray tells about one, with its measure actor; None where it is of no use.

    Parameters
    ----------
    slots : int or None
        Searches and builds at once, if not as many as it has CPUs.
    """
    cpus = int(found["Resources"].get("CPU", 0))
    role = (found.get("Labels") or {}).get(ROLE_LABEL, "")
    if cpus < 1 and role != "measure":
        return None
    there = found["Resources"].get("GPU", 0)
    gpus = there if any(device.kind != "cpu" for device in wanted) else 0
    name = found["NodeID"]
    return Node(
        name,
        str(found.get("NodeManagerHostname", name)),
        0 if role == "measure" else slots or cpus,
        make_actor(actors.measure, name, engine, gpus=gpus, calls=_MEASUREMENTS),
        gpus=there,
        measure_gpus=gpus,
        role=role,
        asked=len(wanted),
    )


def prepare_node(node: Node, engine: str, actors: ActorClasses, wanted: tuple[DeviceInfo, ...]) -> None:
    """Have the actors of a node warm; what is wrong with it becomes its `problem`."""
    try:
        _, _, node.versions = ray.get(node.measure.start.remote(), timeout=START_SECONDS)
        node.cores = ray.get(node.measure.cores.remote(), timeout=_ANSWER_SECONDS)
        stations: tuple[Station, ...] = ray.get(node.measure.offer.remote(wanted), timeout=START_SECONDS)
        taken = [s.device.cores for s in stations if s.device.kind == "cpu"]
        # Cores that are not measured on are searched on meanwhile; where none is left, they take turns.
        if node.slots:
            node.keep = node.cores[max(taken) :] if taken else ()
            node.slots = min(node.slots, len(node.keep) or node.slots)
            node.search = make_actor(actors.search, node.id, engine, None, node.keep)
            node.build = make_actor(actors.build, node.id, engine, None, node.keep)
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


def extend_node(
    node: Node, engine: str, actors: ActorClasses, fresh: tuple[DeviceInfo, ...]
) -> tuple[list[RayDevice], TunefleetError | None]:
    """Have a node serve more devices; return those that it has, and what was wrong if anything was."""
    found: list[RayDevice] = []
    try:
        on_cores = tuple(device for device in fresh if device.kind == "cpu" or node.measure_gpus)
        others = tuple(device for device in fresh if device not in on_cores)
        if others and node.gpus and node.accelerators is None:
            # Ray gives an actor its GPUs when it makes it.
            node.accelerators = make_actor(actors.measure, node.id, engine, gpus=node.gpus)
            ray.get(node.accelerators.start.remote(), timeout=START_SECONDS)
        for actor, wanted in ((node.measure, on_cores), (node.accelerators, others)):
            if actor is not None and wanted:
                stations = ray.get(actor.offer.remote(wanted), timeout=START_SECONDS)
                ray.get(actor.serve.remote(), timeout=START_SECONDS)
                found += [device_of(station, node, actor) for station in stations]
    except Exception as error:  # of Ray or of the engine; it is told where it matters
        return found, plain_error(error, f"node {node.host}")
    return found, None
