"""Trials on their way into the store: gathered, stored together, and kept where the store fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from orchestrator.campaigns.tuning import patience
from orchestrator.campaigns.tuning.aside import set_aside
from orchestrator.campaigns.tuning.subjects import Subject
from orchestrator.errors import LeaseLostError, StorageError
from orchestrator.storage import NewTrial, Storage

__all__ = ["GATHER_SECONDS", "Results"]

#: Seconds a result waits for others: a commit costs milliseconds, however many trials are in it.
GATHER_SECONDS = 0.25


class Results:
    """The results of one campaign.

    Parameters
    ----------
    subjects : collection of Subject
        What they are of.
    changed : callable
        Told that the store has news.

    Attributes
    ----------
    recorded : int
        Trials that were stored.
    """

    def __init__(
        self,
        store: Storage,
        campaign_id: int,
        owner: str,
        subjects: Collection[Subject],
        say: Callable[[str], None],
        changed: Callable[[], None],
    ) -> None:
        self._store, self._id, self._owner = store, campaign_id, owner
        self._subjects, self._say, self._changed = subjects, say, changed
        self._unsaved: list[NewTrial] = []
        self._unsaved_since = 0.0
        self._flush_at = 0.0
        self.recorded = 0

    @property
    def flush_in_s(self) -> float | None:
        """Seconds until there is something to store; None where nothing waits."""
        return self._flush_at - time.monotonic() if self._unsaved else None

    def add(self, trial: NewTrial) -> None:
        """Keep a trial until it is time to store it."""
        if not self._unsaved:
            self._flush_at = time.monotonic() + GATHER_SECONDS
        self._unsaved.append(trial)

    def flush_if_due(self) -> None:
        """Store what has waited for long enough."""
        if self._unsaved and time.monotonic() >= self._flush_at:
            self.flush()

    def flush(self, *, final: bool = False) -> None:
        """Store what was measured. A store that fails is tried again for a while; the results wait here.

        Raises
        ------
        StorageError
            It would not take them for a minute; where they are now.
        LeaseLostError
            Another coordinator has the campaign.
        """
        while self._unsaved:
            try:
                self.recorded += self._store.trials.record(
                    self._unsaved, campaign_id=self._id, owner=self._owner
                )
            except LeaseLostError:
                raise
            except StorageError as error:
                now = time.monotonic()
                self._unsaved_since = self._unsaved_since or now
                if now - self._unsaved_since > patience.STORE_PATIENCE_SECONDS:
                    raise StorageError(f"{error}\n{self._set_aside()}") from None
                self._say(f"{len(self._unsaved)} results wait for the database: {error}")
                time.sleep(patience.STORE_PAUSE_SECONDS)
                if not final:
                    return
            else:
                self._unsaved, self._unsaved_since = [], 0.0
                self._changed()

    def _set_aside(self) -> str:
        """Write what no store takes to a file of its own, and say where it is and what to do."""
        count = len(self._unsaved)
        told = f"{count} measured trials could not be stored for {patience.STORE_PATIENCE_SECONDS:.0f} s"
        # Whatever becomes of them now, they are not tried again on the way out.
        unsaved, self._unsaved = self._unsaved, []
        return set_aside(self._id, self._subjects, unsaved, told)
