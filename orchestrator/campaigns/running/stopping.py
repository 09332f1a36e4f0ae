"""Why a campaign is to stop, and how what it waits for is broken off."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from orchestrator.storage import CampaignRequest
from orchestrator.toolbox import Toolbox

__all__ = ["StopError", "Stopping"]


class StopError(Exception):
    """Raised where a campaign that is to stop would wait for something long."""


class Stopping:
    """What has been said to a running campaign that ends it.

    Attributes
    ----------
    request : CampaignRequest or None
        A person asked for it.
    interrupted : str
        This process's own reason; empty where it has none.
    lease_lost : bool
        Another coordinator has the campaign.
    broke_off : bool
        What it waited for was ended: errors that this makes are none.
    """

    def __init__(self) -> None:
        self.request: CampaignRequest | None = None
        self.interrupted = ""
        self.lease_lost = False
        self.broke_off = False
        # Held by who breaks a long wait off, and while one begins or ends.
        self._breaking = threading.Lock()
        self._waits_with: Toolbox | None = None

    @property
    def stopped(self) -> bool:
        """It is to stop."""
        return bool(self.interrupted) or self.lease_lost or self.request is not None

    @property
    def in_long_wait(self) -> bool:
        """It waits for something that can be broken off."""
        return self._waits_with is not None

    def interrupt(self, why: str) -> None:
        """Have it pause, within seconds."""
        self.interrupted = self.interrupted or why
        self.break_off()

    def break_off(self) -> None:
        """End what a long wait is for."""
        with self._breaking:
            if self._waits_with is not None:
                self.broke_off = True
                self._waits_with.stop()

    @contextlib.contextmanager
    def long_wait(self, tools: Toolbox) -> Iterator[None]:
        """Mark what can be broken off anywhere without harm."""
        with self._breaking:
            self._waits_with = tools
        try:
            self.go_on()
            yield
        finally:
            with self._breaking:
                self._waits_with = None

    def go_on(self) -> None:
        """Go on, unless it is to stop.

        Raises
        ------
        StopError
            It is.
        """
        if self.stopped:
            raise StopError
