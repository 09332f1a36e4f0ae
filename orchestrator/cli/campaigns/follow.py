"""Running a campaign in this process, with its progress on the screen, to its summary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.cli.kit.session import Session
from orchestrator.errors import TunefleetError, UsageError
from orchestrator.storage import CampaignState

if TYPE_CHECKING:
    from orchestrator.fleet.options import FleetOptions
    from orchestrator.storage import CampaignRow, Storage

__all__ = ["follow_campaign"]


def follow_campaign(session: Session, store: Storage, row: CampaignRow, fleet: FleetOptions) -> int:
    """Run a campaign until it rests, and return the exit code."""
    from orchestrator.cli.campaigns.display import Display, read_here
    from orchestrator.cli.campaigns.summary import finish

    session.say(f"campaign {row.id}; Ctrl-C stops it, and what was measured stays", style="dim")
    before = sum(task.measured_failures for task in store.tasks.of_campaign(row.id))
    try:
        with Display(read_here(store, row.id), row.id, session.err, activity="starting") as display:
            outcome = session.launchers.follow(
                store, row.id, fleet=fleet, listener=display, began=session.began
            )
    except KeyboardInterrupt:
        # Before or after the coordinator's own handling of it.
        session.say(f"interrupted; to go on:\n  {session.command_line('resume', str(row.id))}")
        raise
    except UsageError:
        # Another model, shape or target makes another campaign.
        raise
    except TunefleetError:
        if store.campaigns.get(row.id).state is CampaignState.FAILED:
            session.say(
                f"when that is mended, go on with:\n  {session.command_line('resume', str(row.id))}",
                style="dim",
            )
        raise
    return finish(session, store, outcome, before)
