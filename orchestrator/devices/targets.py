"""The devices that targets name: of this machine, and of boards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from orchestrator.toolbox import Toolbox
from workers.messages import DeviceInfo

__all__ = ["resolve_boards", "resolve_targets"]


def resolve_targets(tools: Toolbox, targets: Sequence[str]) -> tuple[DeviceInfo, ...]:
    """Return the devices of this machine that `targets` name, each once.

    Raises
    ------
    TargetError
        A target can't be read, or the engine doesn't know it.
    """
    devices = {device.device_class: device for device in map(tools.resolve_target, targets)}
    return tuple(devices.values())


def resolve_boards(tools: Toolbox, boards: Mapping[str, str]) -> dict[str, DeviceInfo]:
    """Return the devices that registered themselves under these keys, each of the target given for it.

    Only its owner knows what a board is. So its key stands for its model, as TVM's users choose keys
    (``rpi4b``, ``rk3399``), and is part of the device class.
    """
    found = {}
    for key, target in boards.items():
        device = tools.resolve_target(target)
        short = device.device_class.partition("@")[0]
        found[key] = replace(
            device, device_class=f"{short}@{key.lower()}", model=key, unfit=f"it is device {key}"
        )
    return found
