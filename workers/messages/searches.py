"""What a search can be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Scalar", "SearchOptions"]

#: A value of a setting. From a command line it is a text still: the engine's Traits know its type.
Scalar = bool | int | float | str


@dataclass(frozen=True)
class SearchOptions:
    """How a search goes about it.

    Attributes
    ----------
    seed : int
        Positive; each task derives its own from it.
    exclude : frozenset of str
        Hashes of candidates that were tried before and need no measuring again.
    settings : mapping of str to bool, int, float or str
        The engine's own, as :class:`~workers.messages.Traits` lists them; what is left out is the engine's
        choice.
    device_class : str
        Where what it learns from is measured: costs on two of them can't be compared. May be empty.
    """

    seed: int = 1
    exclude: frozenset[str] = frozenset()
    settings: Mapping[str, Scalar] = field(default_factory=dict)
    device_class: str = ""
