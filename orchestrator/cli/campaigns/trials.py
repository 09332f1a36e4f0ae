"""``trials``: every single trial of a campaign."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.kit import options
from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.text import latency, when
from orchestrator.documents.trials import trial_document
from workers.messages import TrialState

if TYPE_CHECKING:
    from orchestrator.storage import Storage, TrialRow

__all__ = ["trials"]

# Rows asked for at once: a listing of a hundred thousand trials needs no memory for them.
_PAGE = 1000


@command(
    "trials",
    panel=options.PANELS.CAMPAIGNS,
    examples=("trials 3 --limit 20", "trials 3 --state build_timeout --json"),
)
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
    with session.storage(create=False) as store:
        row = store.campaigns.get(campaign)
        found = _pages(store, row.id, state, limit)
        if session.as_json:
            documents = []
            while page := list(itertools.islice(found, _PAGE)):
                measured = store.measurements.of_trials([trial.id for trial in page])
                documents += [trial_document(trial, measured.get(trial.id, [])) for trial in page]
            session.emit({"campaign_id": row.id, "trials": documents})
            return
        for line in _lines(found):
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


def _lines(rows: Iterable[TrialRow]) -> Iterable[str]:
    """Trials as lines of fixed columns, one by one: there may be a hundred thousand of them."""
    yield f"{'id':>7}  {'time':>8}  {'state':<13}  {'recorded':<19}  {'host':<14}  {'task':<28}  message"
    for row in rows:
        message = row.message.strip().splitlines()[0] if row.message.strip() else ""
        yield (
            f"{row.id:>7}  {latency(row.cost_s):>8}  {row.state.value:<13}  {when(row.created_at):<19}  "
            f"{row.host or '-':<14}  {row.workload_name:<28}  {message}"
        ).rstrip()
