"""The devices that an engine can compile for."""

from __future__ import annotations

from typing import Protocol

from workers.messages import Candidate, DeviceInfo, Endpoint, Workload

__all__ = ["Targets"]


class Targets(Protocol):
    """Which device a target means, and whether a device is one."""

    def resolve_target(self, spec: str) -> DeviceInfo:
        """Find the device of a target: ``auto`` for the CPU of this machine, or a target's text.

        Raises
        ------
        TargetError
            Where the engine doesn't know the target, with what its compiler said.
        """

    def known_kernel(self, target: str) -> tuple[Workload, Candidate]:
        """Return a kernel that every device of a target's kind can run, the same in every version.

        By its time it is known whether a device runs as it used to.
        """

    def unfit(self, target: str, endpoint: Endpoint) -> str:
        """Say why the device behind `endpoint` can't run code for a target; empty where nothing is known.

        Nothing is run on it: what the device says of itself is compared with what the target asks for.
        """
