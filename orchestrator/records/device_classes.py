"""Device classes of records, held against those that are stored."""

from __future__ import annotations

from orchestrator.storage import DeviceClassRow, Storage

__all__ = ["classes_of", "difference_of"]


def classes_of(store: Storage) -> dict[str, DeviceClassRow]:
    """Return the device classes of a store by their names."""
    return {row.name: row for row in store.device_classes.all()}


def difference_of(stored: DeviceClassRow, given: DeviceClassRow) -> str:
    """Say in what a device class differs from the stored one of its name; nothing where it doesn't."""
    for name in ("engine", "target", "model", "cores", "kind"):
        ours, theirs = getattr(stored, name), getattr(given, name)
        if ours != theirs:
            return f"device class {given.name} is stored with {name} {ours!r}, and this has {theirs!r}"
    return ""
