"""``list``: campaigns, one a row."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Annotated, Any

import typer
from rich.table import Table

from orchestrator.cli.campaigns.wording import state_text, trials_of_budget
from orchestrator.cli.kit import options
from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.grid import Grid
from orchestrator.cli.kit.server_option import Place
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.text import age, duration
from orchestrator.documents.campaigns import listed_document
from orchestrator.documents.snapshot import snapshot_of
from orchestrator.errors import NotFoundError, UsageError
from orchestrator.storage import CampaignState

__all__ = ["list_campaigns"]

_SERVED_AT_ONCE = 1000


@command(
    "list",
    panel=options.PANELS.CAMPAIGNS,
    examples=("list", "list --state tuning --state queued --json"),
    place=Place.ANYWHERE,
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
    campaigns = _campaigns(session, state, limit)
    session.emit({"campaigns": campaigns})
    if campaigns:
        session.show(_table(campaigns))
    else:
        session.say(
            "no campaign is in that state"
            if state
            else "no campaigns yet; `tunefleet tune MODEL.onnx` starts one"
        )


def _campaigns(session: Session, states: list[str] | None, limit: int) -> list[dict[str, Any]]:
    """Return the documents of campaigns, of the service or of the database."""
    if (server := session.server()) is not None:
        most = min(limit or _SERVED_AT_ONCE, _SERVED_AT_ONCE)
        with server:
            found: list[dict[str, Any]] = server.get("list", "campaigns", state=states, limit=most)[
                "campaigns"
            ]
        if len(found) == most != limit:
            session.say(f"a service tells of the newest {most:,}; there may be more", style="dim")
        return found
    try:
        store = session.storage(create=False)
    except NotFoundError:
        return []
    with store:
        wanted = [CampaignState(state) for state in states] if states else None
        rows = store.campaigns.newest(states=wanted, limit=limit or None)
        return [listed_document(snapshot_of(store, row)) for row in rows]


def _table(campaigns: Sequence[dict[str, Any]]) -> Table:
    # Where nobody gave any, a column of zeros says nothing.
    ranked = any(one["priority"] for one in campaigns)
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
    for one in campaigns:
        names, progress = one["model_names"], one["progress"]
        more = f" +{len(names) - 1}" if len(names) > 1 else ""
        grid.add(
            str(one["id"]),
            one["name"],
            state_text(CampaignState(one["state"])),
            *([str(one["priority"])] if ranked else []),
            f"{names[0]}{more}" if names else "-",
            trials_of_budget(progress["tasks"], progress["trials_stored"], progress["trials_budget"]),
            duration(one["active_s"]),
            age(datetime.fromisoformat(one["created_at"]), now),
        )
    return grid.table()
