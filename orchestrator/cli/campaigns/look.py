"""``list`` and ``show``: campaigns, and one of them with its tasks."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.kit import options
from orchestrator.cli.kit.session import Session
from orchestrator.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from orchestrator.cli.campaigns.snapshot import Snapshot
    from orchestrator.storage import CampaignModelRow, ModelRow, Storage, VerificationRow

__all__ = ["campaign_details", "list_campaigns", "show"]


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
    from orchestrator.cli.campaigns.documents import listed_document
    from orchestrator.cli.campaigns.snapshot import Snapshot
    from orchestrator.cli.campaigns.tables import campaign_table
    from orchestrator.storage import CampaignState

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
            snapshots = [
                Snapshot(row, tuple(store.campaigns.models(row.id)), tuple(store.tasks.of_campaign(row.id)))
                for row in store.campaigns.newest(states=states, limit=limit or None)
            ]
    session.emit({"campaigns": [listed_document(snapshot) for snapshot in snapshots]})
    if snapshots:
        session.show(campaign_table(snapshots))
    else:
        session.say(
            "no campaign is in that state"
            if state
            else "no campaigns yet; `tunefleet tune MODEL.onnx` starts one"
        )


def show(session: Session, campaign: options.Campaign) -> None:
    """Show a campaign: its settings, its tasks, and what its models achieved."""
    with session.storage(create=False) as store:
        campaign_details(session, store, campaign)


def campaign_details(session: Session, store: Storage, campaign: int | str, *, tasks: bool = True) -> None:
    from rich.text import Text

    from orchestrator.cli.campaigns.documents import details_document
    from orchestrator.cli.campaigns.screen import expectation
    from orchestrator.cli.campaigns.snapshot import read_snapshot
    from orchestrator.cli.campaigns.tables import campaign_facts, task_table
    from orchestrator.cli.models.latencies import verification_blocks

    snapshot = read_snapshot(store, campaign)
    prepared: list[ModelRow | None] = [
        None if model.model_id is None else store.models.get(model.model_id) for model in snapshot.models
    ]
    verifications = list(_verifications(store, snapshot))
    session.emit(details_document(snapshot, prepared, verifications))
    changes = [(row.name, row.changes) for row in prepared if row is not None]
    session.show(campaign_facts(snapshot, changes))
    if snapshot.tasks:
        if tasks:
            session.show("", task_table(snapshot))
        session.show(Text(f"\n{expectation(snapshot)}", style="bold"))
    session.show(*verification_blocks(verifications))


def _verifications(store: Storage, snapshot: Snapshot) -> Iterator[tuple[CampaignModelRow, VerificationRow]]:
    classes = dict.fromkeys(task.device_class for task in snapshot.tasks)
    for model, device_class in itertools.product(snapshot.models, classes):
        if model.model_id is not None:
            row = store.verifications.latest(model.model_id, device_class)
            if row is not None:
                yield model, row
