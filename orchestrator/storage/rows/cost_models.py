"""What cost models learned, as it goes into the store and comes out."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Experience", "NewSamples"]


@dataclass(frozen=True)
class NewSamples:
    """What one round's results taught the cost model.

    Attributes
    ----------
    count : int
        Of how many trials.
    samples : bytes
        In the engine's own form; see :meth:`workers.enginekit.roles.TaskSearch.learn`.
    """

    workload_hash: str
    count: int
    samples: bytes


@dataclass(frozen=True)
class Experience:
    """What a campaign's cost model begins with.

    Attributes
    ----------
    samples : tuple of bytes
        Of this device class, and fewer of others.
    count : int
        Of how many trials they are.
    model : bytes or None
        What was trained last on samples of this device class.
    """

    samples: tuple[bytes, ...] = ()
    count: int = 0
    model: bytes | None = None
