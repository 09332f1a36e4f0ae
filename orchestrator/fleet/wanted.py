"""What is to be measured on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from workers.messages import DeviceInfo

__all__ = ["DevicesWanted"]


@dataclass(frozen=True)
class DevicesWanted:
    """What a campaign, or several, want to measure on.

    Attributes
    ----------
    devices : tuple of DeviceInfo
        Classes to measure on, on the machines of the fleet that have them.
    boards : mapping of str to DeviceInfo
        Devices that registered themselves at `tracker`, by their keys; any number under one key.
    tracker : tuple of (str, int) or None
    """

    devices: tuple[DeviceInfo, ...] = ()
    boards: Mapping[str, DeviceInfo] = field(default_factory=dict)
    tracker: tuple[str, int] | None = None

    @property
    def device_classes(self) -> list[str]:
        """The classes of all of them."""
        return [device.device_class for device in (*self.devices, *self.boards.values())]

    def and_more(self, more: DevicesWanted) -> DevicesWanted:
        """Return both together; of two trackers the first counts."""
        known = {device.device_class for device in self.devices}
        fresh = tuple(device for device in more.devices if device.device_class not in known)
        return DevicesWanted(
            self.devices + fresh, {**self.boards, **more.boards}, self.tracker or more.tracker
        )
