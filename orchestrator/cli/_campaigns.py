"""Commands that look at campaigns and steer them: list, show, watch, trials, pause, resume, cancel,
priority."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import _options as options
from orchestrator.cli import _resume
from orchestrator.cli._command import FAILED, command
from orchestrator.cli._session import Session
from orchestrator.errors import NotFoundError, UsageError
from workers.messages import TrialState

if TYPE_CHECKING:
    from orchestrator.cli._snapshot import Snapshot
    from orchestrator.storage import CampaignModelRow, ModelRow, Storage, TrialRow, VerificationRow

__all__ = ["register"]

# Rows asked for at once: a listing of a hundred thousand trials needs no memory for them.
_PAGE = 1000
_WATCH_SECONDS = 0.5


def register(app: typer.Typer) -> None:
    """Add the commands."""
    panel = options.PANELS.CAMPAIGNS
    command(app, "list", panel=panel, examples=("list", "list --state tuning --state queued --json"))(
        list_campaigns
    )
    command(app, "show", panel=panel, examples=("show 3", "show nightly --json"))(show)
    command(app, "watch", panel=panel, examples=("watch 3",))(watch)
    command(
        app, "trials", panel=panel, examples=("trials 3 --limit 20", "trials 3 --state build_timeout --json")
    )(trials)
    _resume.register(app)
    command(app, "pause", panel=panel, examples=("pause 3",))(pause)
    command(app, "cancel", panel=panel, examples=("cancel 3",))(cancel)
    command(app, "priority", panel=panel, examples=("priority 3 10", "priority nightly -1"), negative=True)(
        priority
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
    from orchestrator.cli._documents import listed_document
    from orchestrator.cli._snapshot import Snapshot
    from orchestrator.cli._tables import campaign_table
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
                Snapshot(row, tuple(store.campaign_models(row.id)), tuple(store.campaign_tasks(row.id)))
                for row in store.list_campaigns(states=states, limit=limit or None)
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
        _details(session, store, campaign)


def _details(session: Session, store: Storage, campaign: int | str, *, tasks: bool = True) -> None:
    from rich.text import Text

    from orchestrator.cli._documents import details_document
    from orchestrator.cli._screen import expectation
    from orchestrator.cli._snapshot import read_snapshot
    from orchestrator.cli._tables import campaign_facts, task_table, verification_blocks

    snapshot = read_snapshot(store, campaign)
    prepared: list[ModelRow | None] = [
        None if model.model_id is None else store.get_model(model.model_id) for model in snapshot.models
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
            row = store.latest_verification(model.model_id, device_class)
            if row is not None:
                yield model, row


def watch(session: Session, campaign: options.Campaign) -> int:
    """Follow a campaign that another process runs, until it rests.

    Ctrl-C ends the watching, not the campaign. Exit code 0 says that the campaign is done, 1 that it was
    paused, cancelled, or failed.
    """
    from orchestrator.cli._display import Display
    from orchestrator.storage import RESTING_STATES

    with session.storage(create=False) as store:
        row = store.get_campaign(campaign)
        if row.state not in RESTING_STATES:
            with Display(store, row.id, session.err) as display:
                while row.state not in RESTING_STATES:
                    display.activity(_who_runs(session, row.id, row.held, row.state.value))
                    display.changed(row.id)
                    time.sleep(_WATCH_SECONDS)
                    row = store.get_campaign(row.id)
        _details(session, store, row.id, tasks=False)
        if row.state.value == "failed":
            session.error(f"campaign {row.id} failed: {row.message}")
    return 0 if row.state.value == "done" else FAILED


def _who_runs(session: Session, campaign_id: int, held: bool, state: str) -> str:
    if held:
        return ""
    if state == "queued":
        return f"waits for a coordinator: {session.command_line('coordinator')}"
    return f"nobody runs it: {session.command_line('resume', str(campaign_id))}"


def pause(session: Session, campaign: options.Campaign) -> None:
    """Pause a campaign; `tunefleet resume` goes on with it.

    Where another process runs it, that one is asked and stops within seconds. Everything measured stays.
    """
    _ask(session, campaign, "pause")


def cancel(session: Session, campaign: options.Campaign) -> None:
    """End a campaign for good. Its trials stay, and count for every other campaign."""
    _ask(session, campaign, "cancel")


def priority(
    session: Session,
    campaign: options.Campaign,
    value: Annotated[
        int,
        typer.Argument(metavar="N", min=-1000, max=1000, help="The higher, the sooner.", show_default=False),
    ],
) -> None:
    """Give a campaign another priority, also while it runs.

    Of the campaigns that share a coordinator's devices and cores, those of the highest priority are served
    first, and those of one priority evenly.
    """
    from orchestrator.cli._documents import campaign_document

    with session.storage(create=False) as store:
        row = store.set_priority(store.get_campaign(campaign).id, value)
    session.emit({"campaign": campaign_document(row)})
    session.show(f"campaign {row.id} has priority {row.priority}")


def _ask(session: Session, campaign: str, wanted: str) -> None:
    from orchestrator.cli._documents import campaign_document

    with session.storage(create=False) as store:
        row = store.request(store.get_campaign(campaign).id, wanted)
    session.emit({"campaign": campaign_document(row)})
    if row.request is not None:
        session.show(f"{row.lease_owner}, which runs campaign {row.id}, was asked to {row.request.value} it")
    else:
        session.show(f"campaign {row.id} is {row.state.value}")


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
    from orchestrator.cli._documents import trial_document
    from orchestrator.cli._tables import trial_lines

    with session.storage(create=False) as store:
        row = store.get_campaign(campaign)
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
        page = store.trials(campaign_id, state=state, limit=min(left, _PAGE), after_id=last)
        yield from page
        if len(page) < min(left, _PAGE):
            return
        left -= len(page)
        last = page[-1].id
