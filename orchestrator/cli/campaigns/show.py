"""``show``: a campaign, its tasks, and what its models achieved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.cli.campaigns.curve import curve_text, reference_text
from orchestrator.cli.campaigns.plot import plot as plot_lines
from orchestrator.cli.campaigns.revalidating import revalidate_campaign
from orchestrator.cli.campaigns.wording import asked_text, expectation, trials_text
from orchestrator.cli.kit import options
from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.device_column import DeviceColumn
from orchestrator.cli.kit.facts import facts
from orchestrator.cli.kit.grid import Grid
from orchestrator.cli.kit.server_option import Place
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.stale import Stale, uses_stale
from orchestrator.cli.kit.text import (
    amount,
    device_text,
    duration,
    interval_text,
    latency,
    plural,
    short_path,
    when,
)
from orchestrator.cli.models.latencies import (
    against_reference_text,
    latencies_table,
    latency_head,
    outcome_facts,
    wrong_text,
)
from orchestrator.documents.details import Details, details_document, read_details
from orchestrator.documents.drift import CampaignDrift, drift_text
from orchestrator.documents.layouts import ShownLayout
from orchestrator.documents.snapshot import NO_LIMIT, Snapshot
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.builds.intervals import Interval
    from orchestrator.remote.connection import Connection
    from orchestrator.storage import CampaignModelRow, CurveRow, ModelRow, VerificationRow

__all__ = ["campaign_details", "served_details", "show"]


@command(
    "show",
    panel=options.PANELS.CAMPAIGNS,
    examples=("show 3 --plot", "show nightly --json"),
    place=Place.ANYWHERE,
)
def show(
    session: Session,
    campaign: options.Campaign,
    plot: Annotated[bool, typer.Option("--plot", help="Draw its curve over the terminal's width.")] = False,
    stale: Stale = "use",
) -> None:
    """Show a campaign: its settings, its tasks, and what its models achieved."""
    takes_stale = uses_stale(stale)
    if (server := session.server()) is not None:
        if stale == "revalidate":
            raise UsageError(
                "--stale revalidate measures on this machine, and not through a service: submit a campaign "
                "with --revalidate 3 there"
            )
        with server:
            details = served_details(server, campaign)
    else:
        with session.storage(create=False) as store:
            if stale == "revalidate":
                revalidate_campaign(session, store, campaign)
            details = read_details(store, campaign)
    if not takes_stale:
        details = replace(details, snapshot=details.snapshot.without_stale())
    campaign_details(session, details)
    if plot:
        for row in details.curves:
            session.write(*(Text(line) for line in ("", *plot_lines(row, min(session.out.width, 100)))))


def served_details(server: Connection, campaign: int | str) -> Details:
    """Read a campaign of a service by its number or name.

    Raises
    ------
    NotFoundError
    """
    from orchestrator.remote.campaigns import campaign_part
    from orchestrator.remote.rows.campaigns import details_of

    return details_of(server.get("show", "campaigns", campaign_part(server, campaign)))


def campaign_details(
    session: Session, details: Details, *, tasks: bool = True, kind: str | None = None
) -> None:
    """Write all there is to know about a campaign, its trials apart; without its `tasks` where wanted.

    Parameters
    ----------
    kind : str, optional
        Name of the document, where that isn't the command's.
    """
    snapshot = details.snapshot
    session.emit(details_document(details), kind=kind)
    session.show(_facts_table(snapshot, details.prepared, details.layouts, details.drift))
    if snapshot.tasks:
        if tasks:
            session.show("", _task_table(snapshot, details.best_intervals))
        session.show(Text(f"\n{expectation(snapshot)}", style="bold"))
        session.show(*_curve_lines(details.curves))
    session.show(*_comparisons(details.verifications))


def _curve_lines(curves: Sequence[CurveRow]) -> Iterator[str]:
    for row in curves:
        where = f"{device_text(row.device_class)}: " if len(curves) > 1 else ""
        for text in (curve_text(row), reference_text(row)):
            if text:
                yield where + text


def _facts_table(
    snapshot: Snapshot,
    prepared: Sequence[ModelRow | None],
    layouts: Sequence[Sequence[ShownLayout]],
    drift: CampaignDrift,
) -> Table:
    """A campaign's own facts, as ``show`` begins with them."""
    row = snapshot.campaign
    state = asked_text(row)
    if row.held:
        state.append(f", run by {row.lease_owner}", style="dim")
    pairs: list[tuple[str, RenderableType]] = [
        ("campaign", Text(f"{row.id}  {row.name}", style="bold")),
        ("state", state),
    ]
    if row.priority:
        pairs.append(("priority", str(row.priority)))
    if row.message:
        pairs.append(("message", row.message))
    for model, known in zip(snapshot.models, prepared, strict=True):
        shapes = ", ".join(f"{name}:{','.join(map(str, dims))}" for name, dims in model.shapes.items())
        pairs.append(("model", short_path(model.path) + (f"  ({shapes})" if shapes else "")))
        if known is not None and known.origin is not None:
            pairs.append(("converted from", str(known.origin)))
    changes = [(row.name, row.changes) for row in prepared if row is not None]
    several = len(changes) > 1
    texts = [
        (name, dict.fromkeys(map(str, found)))
        for name, found in zip(snapshot.model_names, layouts, strict=True)
    ]
    pairs += [
        (f"layout of {name}" if len(texts) > 1 else "layout", "\n".join(found))
        for name, found in texts
        if found
    ]
    pairs += [
        (f"on import of {name}" if several else "on import", "\n".join(lines))
        for name, lines in changes
        if lines
    ]
    pairs += [
        ("device", ", ".join(snapshot.device_classes)),
        ("budget", _budget(row.spec)),
        (
            "trials",
            f"{trials_text(snapshot)}, {amount(snapshot.measured)} measured, "
            f"{amount(snapshot.failures)} failed, {amount(snapshot.saved)} saved (stored before)",
        ),
        *_stale(snapshot),
        *_drift(drift),
        ("time", f"{duration(row.active_s)} of work"),
        ("created", when(row.created_at)),
        ("started", when(row.started_at)),
        ("finished", when(row.finished_at)),
    ]
    return facts(pairs)


def _stale(snapshot: Snapshot) -> list[tuple[str, RenderableType]]:
    """Say what was measured with another toolchain, where anything was."""
    if not snapshot.stale:
        return []
    told = f"{plural(snapshot.stale, 'trial')} of another toolchain than the device is measured with now"
    if snapshot.stale_bests:
        told += (
            f", the best of {plural(snapshot.stale_bests, 'task')} among them; "
            "`tunefleet records revalidate` measures the fastest"
        )
    return [("stale", told)]


def _drift(drift: CampaignDrift) -> list[tuple[str, RenderableType]]:
    """Say how steady its devices were, where they were checked."""
    text = "\n".join(filter(None, (drift_text(drift), *drift.messages)))
    return [("drift", Text(text, style="yellow" if drift.times else ""))] if text else []


def _budget(spec: dict[str, object]) -> str:
    parts = []
    if spec.get("trials"):
        parts.append(f"{spec['trials']} trials")
    if spec.get("trials_per_task"):
        parts.append(f"{spec['trials_per_task']} trials for each task")
    if isinstance(spec.get("time_s"), int | float):
        parts.append(duration(float(str(spec["time_s"]))))
    if spec.get("until"):
        limit = spec["until"]
        parts.append(f"until {limit if isinstance(limit, str) else latency(float(str(limit)))}")
    if spec.get("plateau"):
        parts.append(f"a task ends after {spec['plateau']} trials without gain")
    return ", ".join(parts) or "the default"


def _task_table(snapshot: Snapshot, sure: Mapping[int, Interval]) -> Table:
    """A campaign's tasks, the dearest first."""
    device = DeviceColumn(task.device_class for task in snapshot.tasks)
    between = ("between",) if sure else ()
    right = ("calls", "trials", "failed", "best", *between, "GFLOP/s", "share")
    grid = Grid("task", *right, "state", *device.heading, right=right, flexible=("task", "device"))
    for line in snapshot.lines():
        row = line.row
        grid.add(
            row.name,
            str(row.weight),
            f"{row.stored}/{row.budget}" if row.budget < NO_LIMIT else str(row.stored),
            str(row.stored_failures),
            latency(row.best_s) + (" stale" if row.best_stale else ""),
            *(interval_text(sure.get(row.best_trial_id or 0)) for _ in between),
            f"{line.gflops:.1f}" if line.gflops else "-",
            f"{line.share:.1%}" if line.share is not None else "-",
            row.state.value,
            *device.cell(row.device_class),
        )
    return grid.table()


def _comparisons(
    rows: Sequence[tuple[CampaignModelRow, VerificationRow]],
) -> Iterable[RenderableType]:
    """Latencies and outputs as they were last compared."""
    from orchestrator.builds.gate import Side

    for model, row in rows:
        side = Side.of_row(row)
        head = latency_head(model.model_name or short_path(model.path), row.device_class)
        pairs = outcome_facts(
            bool(row.details.get("agree")),
            str(row.details.get("disagreement", "")),
            row.max_abs,
            row.max_rel,
            str(row.details.get("remark", "")),
        )
        against = against_reference_text(side)
        if against:
            pairs.insert(0, ("beside onnxruntime", against))
        pairs.append(("tasks tuned", f"{row.tasks_tuned} of {row.tasks_total}"))
        if row.details.get("wrong"):
            pairs.append(("left out", Text(wrong_text(row.details["wrong"]), style="yellow")))
        if row.untuned_note:
            pairs.append(("untuned", row.untuned_note))
        turns = f", in {plural(row.turns, 'turn')}" if row.turns else ""
        pairs.append(("compared", f"{when(row.created_at)}{turns}"))
        times = latencies_table(row.untuned_s, row.tuned_s, row.reference_s, row.runs, side)
        yield Group("", head, "", times, "", facts(pairs))
