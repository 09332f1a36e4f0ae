"""How far a campaign is, how fast it goes, and how long it may take."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone

from orchestrator.documents.snapshot import Snapshot
from orchestrator.service.parts import Parts
from orchestrator.storage import BEGUN_STATES, CampaignRow, CampaignState

__all__ = ["Progress", "elapsed_s", "progress_of"]

_SYMBOLS = {
    CampaignState.QUEUED: "○",
    CampaignState.EXTRACTING: "◔",
    CampaignState.TUNING: "◑",
    CampaignState.VERIFYING: "◕",
    CampaignState.PAUSED: "‖",
    CampaignState.DONE: "✓",
    CampaignState.FAILED: "✗",
    CampaignState.CANCELLED: "–",
}


@dataclass(frozen=True)
class Progress:
    """A campaign, and its pace.

    Attributes
    ----------
    per_hour : float or None
        Trials an hour of late; None where nothing is measured.
    left_s : float or None
        What it may still take; None where that can't be told.
    """

    snapshot: Snapshot
    per_hour: float | None
    left_s: float | None

    @property
    def campaign(self) -> CampaignRow:
        """The campaign's own row."""
        return self.snapshot.campaign

    @property
    def symbol(self) -> str:
        """A sign for its state, beside the word."""
        return _SYMBOLS[self.campaign.state]

    @property
    def running(self) -> bool:
        """Whether somebody is at it."""
        return self.campaign.held and self.campaign.state in BEGUN_STATES

    @property
    def abandoned(self) -> bool:
        """Whether it was begun and nobody is at it."""
        return not self.campaign.held and self.campaign.state in BEGUN_STATES

    @property
    def part(self) -> float | None:
        """How much of it is done, from 0 to 1; None where that can't be told."""
        snapshot = self.snapshot
        if self.campaign.state is CampaignState.DONE:
            return 1.0
        if snapshot.time_s and self.campaign.started_at is not None and snapshot.total is None:
            return min(1.0, self.campaign.active_s / snapshot.time_s)
        return snapshot.done / snapshot.total if snapshot.tasks and snapshot.total else None


def progress_of(parts: Parts, snapshot: Snapshot) -> Progress:
    """Add to a campaign how fast it goes."""
    row = snapshot.campaign
    begun = row.state in BEGUN_STATES
    per_hour = (
        parts.recent.get(("pace", row.id), lambda: parts.store.answers.per_hour(row.id)) if begun else None
    )
    return Progress(snapshot, per_hour, _left_s(snapshot, per_hour) if begun else None)


def elapsed_s(row: CampaignRow) -> float | None:
    """Return the seconds since a campaign was started, up to its end; None where it was not."""
    if row.started_at is None:
        return None
    return max(0.0, ((row.finished_at or datetime.now(timezone.utc)) - row.started_at).total_seconds())


def _left_s(snapshot: Snapshot, per_hour: float | None) -> float | None:
    ends = []
    if snapshot.time_s is not None:
        # By the campaign's own clock, which stands still while nobody runs it.
        ends.append(max(0.0, snapshot.time_s - snapshot.campaign.active_s))
    if per_hour and snapshot.total is not None and snapshot.tasks:
        ends.append(max(0, snapshot.total - snapshot.done) / per_hour * 3600)
    return min(ends, default=None)
