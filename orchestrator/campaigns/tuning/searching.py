"""When was searched for a campaign, and where: what no trial tells, noted for its timeline."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from orchestrator.errors import StorageError
from orchestrator.fleet.completions import (
    CandidatesProposed,
    Completion,
    ModelTrained,
    ResultsLearned,
    SearchOpened,
)
from orchestrator.fleet.work import LearnWork, OpenWork, ProposeWork, TrainWork, Work
from orchestrator.storage import NewSearch, Storage

__all__ = ["Searching"]

# Who looks at a timeline sees no tenth of a second, and a search takes in its results in less.
_LEAST_SECONDS = 0.1
# Seconds between two writes: nobody waits for these.
_GATHER_SECONDS = 5.0


class Searching:
    """The searches of one campaign, by the clock."""

    def __init__(
        self, store: Storage, campaign_id: int, owner: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store, self._id, self._owner, self._clock = store, campaign_id, owner, clock
        self._began: dict[Work, float] = {}
        self._ended: list[tuple[str, float, float]] = []
        self._kept_at = clock()

    def began(self, work: Work) -> None:
        """Note that a piece of work was given out."""
        if isinstance(work, OpenWork | ProposeWork | LearnWork | TrainWork):
            self._began[work] = self._clock()

    def ended(self, completion: Completion) -> None:
        """Note what came of a piece of work."""
        began, now = self._began.pop(completion.work, None), self._clock()
        if began is None or now - began < _LEAST_SECONDS:
            return
        if isinstance(completion, SearchOpened | CandidatesProposed | ResultsLearned | ModelTrained):
            self._ended.append((completion.host, now, now - began))

    def keep_if_due(self) -> None:
        """Store what has ended, every few seconds."""
        if self._ended and self._clock() >= self._kept_at + _GATHER_SECONDS:
            self.keep()

    def keep(self) -> None:
        """Store what has ended since."""
        ended, self._ended, self._kept_at = self._ended, [], self._clock()
        rows = [NewSearch(host, self._kept_at - at, took) for host, at, took in ended]
        # A store that fails, or is another's by now, is told of with the results: this is only to look at.
        with contextlib.suppress(StorageError):
            if rows:
                self._store.searches.add(self._id, rows, owner=self._owner)
