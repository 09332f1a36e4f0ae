"""The column that names the device, in tables with rows of several devices."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.cli.kit.text import device_text

__all__ = ["DeviceColumn"]


class DeviceColumn:
    """A column that a table has only where it tells rows apart.

    Parameters
    ----------
    device_classes : iterable of str
        Of all rows of the table.
    """

    def __init__(self, device_classes: Iterable[str]) -> None:
        self._is_shown = len(set(device_classes)) > 1
        self.heading: tuple[str, ...] = ("device",) if self._is_shown else ()

    def cell(self, device_class: str | None) -> tuple[str, ...]:
        """Return a row's cell of it, to be expanded: none where there is no such column."""
        if not self._is_shown:
            return ()
        return ("-" if device_class is None else device_text(device_class),)
