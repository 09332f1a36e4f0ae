"""How the states, the trials and the expected time of a campaign are worded, in tables and on the screen."""

from __future__ import annotations

from rich.text import Text

from orchestrator.cli.kit.text import amount, latency, plural
from orchestrator.documents.snapshot import Snapshot
from orchestrator.storage import CampaignRow, CampaignState

__all__ = ["asked_text", "expectation", "state_text", "trials_of_budget", "trials_text"]

_STYLES = {
    CampaignState.QUEUED: "cyan",
    CampaignState.EXTRACTING: "cyan",
    CampaignState.TUNING: "bold green",
    CampaignState.VERIFYING: "bold green",
    CampaignState.PAUSED: "yellow",
    CampaignState.DONE: "green",
    CampaignState.FAILED: "bold red",
    CampaignState.CANCELLED: "yellow",
}


def state_text(state: CampaignState) -> Text:
    """Write where a campaign stands."""
    return Text(state.value, style=_STYLES[state])


def asked_text(campaign: CampaignRow) -> Text:
    """Write where a campaign stands, and what was asked of whoever runs it."""
    text = state_text(campaign.state)
    if campaign.request is not None:
        text.append(f" (asked to {campaign.request.value})", style="yellow")
    return text


def trials_text(snapshot: Snapshot) -> str:
    """Write how many of its trials a campaign has."""
    return trials_of_budget(len(snapshot.tasks), snapshot.done, snapshot.total)


def trials_of_budget(tasks: int, done: int, total: int | None) -> str:
    """Write how many trials there are, of how many there will be."""
    return f"{amount(done)}/{'-' if total is None else amount(total)}" if tasks else "-"


def expectation(snapshot: Snapshot) -> str:
    """Say what the best times of all tasks add up to, inside their models."""
    count, timed, seen = len(snapshot.tasks), snapshot.timed, snapshot.seen
    if not timed + seen:
        return f"none of {plural(count, 'task')} has a time yet"
    of_all = "all" if timed == count else f"{timed} of"
    line = f"estimated {latency(snapshot.expected_s)} for one run, from {of_all} {plural(count, 'task')}"
    return f"{line}, and from how {seen} began" if seen else line
