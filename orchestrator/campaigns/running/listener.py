"""Who wants to know how a campaign goes."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Listener", "Nobody"]


class Listener(Protocol):
    """Who wants to know how it goes."""

    def activity(self, text: str) -> None:
        """Hear what is going on now, in one line."""

    def changed(self, campaign_id: int) -> None:
        """Hear that the store has news of a campaign."""


class Nobody:
    """A listener that does nothing."""

    def activity(self, text: str) -> None:
        """Do nothing."""

    def changed(self, campaign_id: int) -> None:
        """Do nothing."""
