"""The one machine of a simulated fleet, whose cores may have to be quiet."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Machine"]


@dataclass(eq=False)
class Machine:
    """Its cores.

    Attributes
    ----------
    paused : bool
        Searches and builds stand still.
    held : bool
        Something besides the fleet has the cores for itself.
    measuring : bool
        One of its devices measures.
    """

    name: str = "here"
    paused: bool = False
    held: bool = False
    measuring: bool = False
