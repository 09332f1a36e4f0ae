"""Where the workloads and device classes of trials that are taken in are looked up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from orchestrator.storage import DeviceClassRow
from workers.messages import Workload

__all__ = ["Source"]


class Source(Protocol):
    """What trials refer to, by name and by hash: of a file, or of another store."""

    def device_class(self, name: str) -> DeviceClassRow:
        """Return a device class by its name."""

    def workloads(self, hashes: Sequence[str]) -> list[Workload]:
        """Return the workloads with these hashes, as far as they are there; each is asked for once."""
