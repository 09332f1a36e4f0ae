"""A device of a fleet, as it stands."""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from workers.messages import Station

__all__ = ["QUARANTINE_AFTER", "Device", "DeviceState"]

#: Measurements in a row that a device was lost over, after which it is given no more.
QUARANTINE_AFTER = 3


class DeviceState(str, Enum):
    """Whether a device can be measured on."""

    READY = "ready"
    #: It was lost over too many measurements in a row, and is given no more.
    QUARANTINED = "quarantined"
    #: It is gone, or does not answer; it may come back.
    LOST = "lost"


class Device(Protocol):
    """A device of a fleet, as it stands. All of it is the fleet's to change, and others' to read."""

    @property
    def name(self) -> str:
        """Unique within the fleet."""

    @property
    def host(self) -> str:
        """Where its server runs; the key of a board, whose host is known to the tracker alone."""

    @property
    def station(self) -> Station:
        """What it is, and how a measurement asks for it."""

    @property
    def device_class(self) -> str:
        """Under which its times are filed."""

    @property
    def place(self) -> str:
        """What shares its cores with it has the same place: of these, one measures at a time."""

    @property
    def shares_cores(self) -> bool:
        """Its cores are searched and built on as well, so that they have to take turns."""

    @property
    def paused(self) -> bool:
        """Searches and builds on its cores stand still."""

    @property
    def state(self) -> DeviceState:
        """Whether it can be measured on."""

    @property
    def busy(self) -> bool:
        """It measures now."""

    @property
    def measured(self) -> int:
        """How often it has measured."""

    @property
    def last_error(self) -> str:
        """Why it was lost last."""
