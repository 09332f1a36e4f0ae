"""Two fleets that wait, through the same port: a simulation in this process, and Ray's whose actors wait."""

from __future__ import annotations

import time
from collections.abc import Callable

import ray

from benchmarks.meter import Meter, MeteredFleet
from benchmarks.waiting import (
    DEVICE,
    TASKS,
    Times,
    Waiting,
    WaitingBuild,
    WaitingMeasure,
    WaitingSearch,
    settings,
)
from orchestrator.fleet.port import DevicesWanted
from orchestrator.fleet.ray.actors import ActorClasses
from orchestrator.fleet.ray.fleet import RayFleet
from orchestrator.fleet.simulated import SimulatedFleet
from workers.messages import DeviceInfo

__all__ = ["on_ray", "simulated"]


def simulated(devices: int, times: Times) -> MeteredFleet:
    """Return a fleet that is a simulation in this process."""
    fleet = SimulatedFleet(Waiting(devices, times), _boards(DEVICE))
    return MeteredFleet(fleet, Meter(), itself=True)


def on_ray(
    devices: int, times: Times, *, slots: int | None = None, device: DeviceInfo = DEVICE
) -> MeteredFleet:
    """Return the real fleet on a Ray of its own, whose actors wait. What Ray is waited for is metered.

    Parameters
    ----------
    slots : int, optional
        Searches and builds at once; as many as the devices can ever want, where it is left out.
    device : DeviceInfo, optional
        What all of them are.
    """
    meter = Meter()
    fleet = RayFleet(
        settings(devices, times),
        _boards(device),
        # Ray would start a process for each CPU it is said to have.
        slots=2,
        node_slots=slots or 4 * TASKS + 16 * devices,
        actors=ActorClasses(WaitingSearch, WaitingBuild, WaitingMeasure),
        await_refs=_metered_wait(meter),
    )
    return MeteredFleet(fleet, meter, itself=False)


def _boards(device: DeviceInfo) -> DevicesWanted:
    return DevicesWanted(boards={"board": device}, tracker=("127.0.0.1", 1))


def _metered_wait(
    meter: Meter,
) -> Callable[..., tuple[list[ray.ObjectRef[object]], list[ray.ObjectRef[object]]]]:
    def wait(
        refs: list[ray.ObjectRef[object]], *, num_returns: int, timeout: float
    ) -> tuple[list[ray.ObjectRef[object]], list[ray.ObjectRef[object]]]:
        wall, cpu = time.perf_counter(), time.thread_time()
        try:
            return ray.wait(refs, num_returns=num_returns, timeout=timeout)
        finally:
            # What Ray computes meanwhile in this thread is the coordinator's.
            meter.wall_s += time.perf_counter() - wall - (time.thread_time() - cpu)

    return wait
