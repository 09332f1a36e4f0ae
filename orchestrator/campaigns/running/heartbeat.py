"""The heartbeat of a running campaign, in a thread: the campaign may wait for something long."""

from __future__ import annotations

import contextlib
import threading
import time

from orchestrator.campaigns.running.leases import LEASE_SECONDS, this_owner
from orchestrator.campaigns.running.stopping import Stopping
from orchestrator.errors import LeaseLostError, StorageError
from orchestrator.storage import CampaignRequest, Storage

__all__ = ["HEARTBEAT_SECONDS", "Heartbeat"]

HEARTBEAT_SECONDS = 2.0


class Heartbeat:
    """Renews the lease, hears requests and a new priority, and counts the time.

    Attributes
    ----------
    priority : int
        That the campaign has by now.
    """

    def __init__(self, store: Storage, campaign_id: int, priority: int, stopping: Stopping) -> None:
        self._store, self._id, self._stopping = store, campaign_id, stopping
        self._over = threading.Event()
        self.priority = priority

    def start(self, began: float) -> None:
        """Begin to beat.

        Parameters
        ----------
        began : float
            When the time to count began, on the monotonic clock.
        """
        threading.Thread(target=self._beat, args=(began,), daemon=True).start()

    def end(self) -> None:
        """Beat no more."""
        self._over.set()

    def _beat(self, last: float) -> None:
        stopping = self._stopping
        while not self._over.wait(HEARTBEAT_SECONDS):
            # A store that does not answer now may do so next time; the lease has room for some silence.
            with contextlib.suppress(StorageError):
                try:
                    self._store.leases.renew(self._id, this_owner(), LEASE_SECONDS)
                    now = time.monotonic()
                    self._store.campaigns.add_active_time(self._id, now - last)
                    last = now
                    self.priority = self._store.campaigns.get(self._id).priority
                    request = self._store.campaigns.take_request(self._id)
                except LeaseLostError:
                    stopping.lease_lost = True
                    request = None
                if request in (CampaignRequest.PAUSE, CampaignRequest.CANCEL):
                    stopping.request = request
                if stopping.stopped:
                    stopping.break_off()
