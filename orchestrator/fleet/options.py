"""Where a campaign runs, as its user says it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FleetOptions"]


@dataclass(frozen=True)
class FleetOptions:
    """Where a campaign runs.

    Attributes
    ----------
    ray_address : str or None
        Ray cluster to join; None starts one on this machine.
    slots : int or None
        Searches and builds at once; None means one a core.
    tracker : str or None
        ``HOST:PORT`` of the TVM RPC tracker where boards register.
    """

    ray_address: str | None = None
    slots: int | None = None
    tracker: str | None = None
