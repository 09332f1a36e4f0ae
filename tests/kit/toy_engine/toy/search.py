"""All block sizes that are powers of two, in some order."""

from __future__ import annotations

import itertools
import random

from workers.messages import Candidate, Record, SearchOptions, Workload

from .products import Blocks, Product
from .traits import TRAITS

__all__ = ["ToySearch", "ToyTaskSearch"]


class ToyTaskSearch:
    """See :class:`workers.enginekit.roles.TaskSearch`."""

    def __init__(self, product: Product, workload: Workload, options: SearchOptions) -> None:
        settings = TRAITS.settings_of(options)
        powers = [1 << power for power in range(1, 1 + int(settings["largest"]).bit_length())]
        sizes = [
            [power for power in powers if power <= min(extent, int(settings["largest"]))] or [extent]
            for extent in (product.rows, product.columns, product.depth)
        ]
        self._left = [Blocks(*some).candidate() for some in itertools.product(*sizes)]
        if settings["order"] == "shuffled":
            # Of the task as well, or all tasks would try the same.
            random.Random(f"{options.seed} {workload.hash}").shuffle(self._left)
        self._tried = set(options.exclude)

    def propose(self, count: int, cost_model: bytes | None) -> tuple[Candidate, ...]:
        """Return the next that were not tried."""
        del cost_model
        self._left = [candidate for candidate in self._left if candidate.hash not in self._tried]
        proposed, self._left = self._left[:count], self._left[count:]
        return tuple(proposed)

    def transfer(self, records: tuple[tuple[Workload, Record], ...]) -> None:
        """Do nothing: see the traits."""

    def lend(self, records: tuple[tuple[Workload, Record], ...]) -> None:
        """Do nothing: see the traits."""

    def learn(self, records: tuple[Record, ...]) -> bytes:
        """Remember what was tried; there is no cost model to train."""
        self._tried.update(record.candidate.hash for record in records)
        return b""


class ToySearch:
    """See :class:`workers.enginekit.roles.Search`."""

    def open_search(self, workload: Workload, target: str, options: SearchOptions) -> ToyTaskSearch:
        """Open the search of one product."""
        del target
        return ToyTaskSearch(Product.of(workload), workload, options)

    def train(self, samples: tuple[bytes, ...], threads: int) -> bytes:
        """Return no model."""
        del samples, threads
        return b""
