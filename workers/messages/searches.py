"""What a search can be told."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SearchOptions"]


@dataclass(frozen=True)
class SearchOptions:
    """How a search goes about it.

    Attributes
    ----------
    seed : int
        Positive; each task derives its own from it.
    population, generations : int
        Of the evolutionary search: candidates it holds for a round of 16, in proportion for other rounds, and
        how often it mutates them.
    exclude : frozenset of str
        Hashes of candidates that were tried before and need no measuring again.
    tuner, loss : str
        Of an engine that has several; empty for its own choice.
    plan_size : int
        Candidates such a tuner chooses at once, from one state of its cost model; 0 for its own choice.
    """

    seed: int = 1
    population: int = 64
    generations: int = 3
    exclude: frozenset[str] = frozenset()
    tuner: str = ""
    loss: str = ""
    plan_size: int = 0
