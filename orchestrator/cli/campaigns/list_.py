"""``list``: campaigns, one a row."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Annotated

import typer
from rich.table import Table

from orchestrator.cli.campaigns.wording import state_text, trials_text
from orchestrator.cli.kit import options
from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.grid import Grid
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.text import age, duration
from orchestrator.documents.campaigns import listed_document
from orchestrator.documents.snapshot import Snapshot, snapshot_of
from orchestrator.errors import NotFoundError, UsageError
from orchestrator.storage import CampaignState

__all__ = ["list_campaigns"]


@command(
    "list",
    panel=options.PANELS.CAMPAIGNS,
    examples=("list", "list --state tuning --state queued --json"),
)
def list_campaigns(
    session: Session,
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state", metavar="STATE", help="Only campaigns in this state; repeat it.", show_default=False
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=0, metavar="N", help="The newest N; 0 for all.")] = 20,
) -> None:
    """List campaigns, the newest first."""
    known = [s.value for s in CampaignState]
    for wanted in state or ():
        if wanted not in known:
            raise UsageError(f"--state {wanted!r} is none of {', '.join(known)}")
    states = [CampaignState(s) for s in state] if state else None
    try:
        store = session.storage(create=False)
    except NotFoundError:
        snapshots = []
    else:
        with store:
            rows = store.campaigns.newest(states=states, limit=limit or None)
            snapshots = [snapshot_of(store, row) for row in rows]
    session.emit({"campaigns": [listed_document(snapshot) for snapshot in snapshots]})
    if snapshots:
        session.show(_table(snapshots))
    else:
        session.say(
            "no campaign is in that state"
            if state
            else "no campaigns yet; `tunefleet tune MODEL.onnx` starts one"
        )


def _table(snapshots: Sequence[Snapshot]) -> Table:
    # Where nobody gave any, a column of zeros says nothing.
    ranked = any(snapshot.campaign.priority for snapshot in snapshots)
    grid = Grid(
        "id",
        "name",
        "state",
        *(["priority"] if ranked else []),
        "models",
        "trials",
        "time",
        "created",
        right=("id", "priority", "trials", "time"),
        flexible=("name", "models"),
    )
    now = datetime.now(timezone.utc)
    for snapshot in snapshots:
        row = snapshot.campaign
        names = snapshot.model_names
        more = f" +{len(names) - 1}" if len(names) > 1 else ""
        grid.add(
            str(row.id),
            row.name,
            state_text(row.state),
            *([str(row.priority)] if ranked else []),
            f"{names[0]}{more}" if names else "-",
            trials_text(snapshot),
            duration(row.active_s),
            age(row.created_at, now),
        )
    return grid.table()
