"""``trials``: every single trial of a campaign."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.kit import options
from orchestrator.cli.kit.session import Session
from workers.messages import TrialState

if TYPE_CHECKING:
    from orchestrator.storage import Storage, TrialRow

__all__ = ["trials"]

# Rows asked for at once: a listing of a hundred thousand trials needs no memory for them.
_PAGE = 1000


def trials(
    session: Session,
    campaign: options.Campaign,
    state: Annotated[
        TrialState | None, typer.Option("--state", help="Only trials that ended so.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=0, metavar="N", help="The first N; 0 for all.")] = 0,
) -> None:
    """List the trials a campaign measured: time, how it ended, where.

    Trials that were stored before count for a campaign without being its own; `tunefleet best` shows the
    best of all.
    """
    from orchestrator.cli.campaigns.documents import trial_document
    from orchestrator.cli.campaigns.tables import trial_lines

    with session.storage(create=False) as store:
        row = store.campaigns.get(campaign)
        found = _pages(store, row.id, state, limit)
        if session.as_json:
            session.emit({"campaign_id": row.id, "trials": [trial_document(trial) for trial in found]})
            return
        for line in trial_lines(found):
            sys.stdout.write(f"{line}\n")


def _pages(store: Storage, campaign_id: int, state: TrialState | None, limit: int) -> Iterator[TrialRow]:
    left = limit or sys.maxsize
    last = 0
    while left > 0:
        page = store.trials.of_campaign(campaign_id, state=state, limit=min(left, _PAGE), after_id=last)
        yield from page
        if len(page) < min(left, _PAGE):
            return
        left -= len(page)
        last = page[-1].id
