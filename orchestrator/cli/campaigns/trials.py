"""``trials``: every single trial of a campaign."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from orchestrator.cli.kit import options
from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.server_option import Place
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.text import latency, when
from orchestrator.documents.trials import trial_document
from workers.messages import TrialState

if TYPE_CHECKING:
    from orchestrator.remote.connection import Connection
    from orchestrator.storage import Storage, TrialRow

__all__ = ["trials"]

T = TypeVar("T")

# Rows asked for at once: a listing of a hundred thousand trials needs no memory for them.
_PAGE = 1000


@command(
    "trials",
    panel=options.PANELS.CAMPAIGNS,
    examples=("trials 3 --limit 20", "trials 3 --state build_timeout --json"),
    place=Place.ANYWHERE,
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
    if (server := session.server()) is not None:
        with server:
            _show_served(session, server, campaign, state, limit)
        return
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


def _show_served(
    session: Session, server: Connection, campaign: str, state: TrialState | None, limit: int
) -> None:
    from orchestrator.remote.campaigns import campaign_part
    from orchestrator.remote.rows.trials import trial_of

    # Its number: a name may be another's, by the time of the last page.
    campaign_id = server.get("show", "campaigns", campaign_part(server, campaign))["campaign"]["id"]
    found = _served_pages(server, campaign_id, state, limit)
    if session.as_json:
        session.emit({"campaign_id": campaign_id, "trials": list(found)})
        return
    for line in _lines(map(trial_of, found)):
        sys.stdout.write(f"{line}\n")


def _served_pages(
    server: Connection, campaign_id: int, state: TrialState | None, limit: int
) -> Iterator[dict[str, Any]]:
    def read(count: int, last: int) -> list[dict[str, Any]]:
        wanted = None if state is None else state.value
        answer = server.get(
            "trials", "campaigns", campaign_id, "trials", state=wanted, limit=count, after=last
        )
        found: list[dict[str, Any]] = answer["trials"]
        return found

    return _paged(read, lambda one: int(one["id"]), limit)


def _pages(store: Storage, campaign_id: int, state: TrialState | None, limit: int) -> Iterator[TrialRow]:
    def read(count: int, last: int) -> list[TrialRow]:
        return store.trials.of_campaign(campaign_id, state=state, limit=count, after_id=last)

    return _paged(read, lambda row: row.id, limit)


def _paged(read: Callable[[int, int], list[T]], id_of: Callable[[T], int], limit: int) -> Iterator[T]:
    left = limit or sys.maxsize
    last = 0
    while left > 0:
        page = read(min(left, _PAGE), last)
        yield from page
        if len(page) < min(left, _PAGE):
            return
        left -= len(page)
        last = id_of(page[-1])


def _lines(rows: Iterable[TrialRow]) -> Iterable[str]:
    """Trials as lines of fixed columns, one by one: there may be a hundred thousand of them."""
    yield f"{'id':>7}  {'time':>8}  {'state':<13}  {'recorded':<19}  {'host':<14}  {'task':<28}  message"
    for row in rows:
        message = row.message.strip().splitlines()[0] if row.message.strip() else ""
        yield (
            f"{row.id:>7}  {latency(row.cost_s):>8}  {row.state.value:<13}  {when(row.created_at):<19}  "
            f"{row.host or '-':<14}  {row.workload_name:<28}  {message}"
        ).rstrip()
