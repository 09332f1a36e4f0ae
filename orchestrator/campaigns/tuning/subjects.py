"""The tasks of a campaign with all that searching, building and measuring them takes."""

from __future__ import annotations

from dataclasses import dataclass

from workers.messages import DeviceInfo, Workload

__all__ = ["Pair", "Subject"]

#: Hash of a workload and a device class: what trials are filed under.
Pair = tuple[str, str]


@dataclass
class Subject:
    """What a task is about, and what its searches have had.

    Attributes
    ----------
    opened : int
        How often its search was opened.
    model_seen : int
        Version of the cost model that its search has.
    lent : int
        Rounds for which other workloads' schedules were looked at.
    remembered : bool
        The cost model has what was stored of it before.
    """

    workload: Workload
    device: DeviceInfo
    opened: int = 0
    model_seen: int = 0
    lent: int = 0
    remembered: bool = False

    @property
    def pair(self) -> Pair:
        """What its trials are filed under."""
        return self.workload.hash, self.device.device_class
