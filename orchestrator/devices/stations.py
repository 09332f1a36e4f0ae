"""Where a single command measures: on this machine, or on a board."""

from __future__ import annotations

from orchestrator.devices.boards import find_board
from orchestrator.devices.targets import resolve_boards
from orchestrator.errors import TargetError
from orchestrator.toolbox import Toolbox
from workers.actors import MeasureActor
from workers.messages import Station

__all__ = ["find_station"]


def find_station(
    tools: Toolbox,
    measurer: MeasureActor,
    *,
    target: str = "auto",
    key: str | None = None,
    tracker: tuple[str, int] | None = None,
) -> Station:
    """Return this machine's device for a target, or the board of a key.

    Parameters
    ----------
    key, tracker : str and tuple of (str, int), optional
        A device behind a tracker; left out, this machine's.

    Raises
    ------
    UsageError, TargetError
        The tracker knows no such device, or this machine has none for the target.
    """
    if key is None:
        device = tools.resolve_target(target)
        if device.unfit:
            raise TargetError(f"target {device.target} can't be measured here: {device.unfit}")
        return measurer.offer((device,))[0]
    device = resolve_boards(tools, {key: target})[key]
    find_board(tools, key, tracker, device.kind)
    return Station(key, device, 0, tracker)
