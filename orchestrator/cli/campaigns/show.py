"""``show``: a campaign, its tasks, and what its models achieved."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.cli.campaigns.campaign_json import campaign_document, progress_document
from orchestrator.cli.campaigns.curve import curve_documents, curve_text, reference_text
from orchestrator.cli.campaigns.snapshot import NO_LIMIT, Snapshot, limit_or_none, read_snapshot
from orchestrator.cli.campaigns.wording import asked_text, expectation, trials_text
from orchestrator.cli.kit import options
from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.device_column import DeviceColumn
from orchestrator.cli.kit.facts import facts
from orchestrator.cli.kit.grid import Grid
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.text import (
    amount,
    device_text,
    duration,
    finite,
    gflops,
    instant,
    latency,
    plural,
    short_path,
    when,
)
from orchestrator.cli.models.latencies import latencies_table, latency_head, outcome_facts, wrong_text
from orchestrator.cli.models.layouts import ShownLayout, layouts_of_campaign, tried_document
from orchestrator.cli.models.origins import origin_document

if TYPE_CHECKING:
    from orchestrator.storage import (
        CampaignModelRow,
        CampaignTaskRow,
        CurveRow,
        ModelRow,
        Storage,
        VerificationRow,
    )

__all__ = ["campaign_details", "show"]


@command("show", panel=options.PANELS.CAMPAIGNS, examples=("show 3", "show nightly --json"))
def show(session: Session, campaign: options.Campaign) -> None:
    """Show a campaign: its settings, its tasks, and what its models achieved."""
    with session.storage(create=False) as store:
        campaign_details(session, store, campaign)


def campaign_details(session: Session, store: Storage, campaign: int | str, *, tasks: bool = True) -> None:
    """Write all there is to know about a campaign, its trials apart; without its `tasks` where wanted."""
    snapshot = read_snapshot(store, campaign)
    prepared: list[ModelRow | None] = [
        None if model.model_id is None else store.models.get(model.model_id) for model in snapshot.models
    ]
    verifications = list(_verifications(store, snapshot))
    layouts = [_layouts(store, snapshot, model.model_id) for model in snapshot.models]
    curves = store.answers.curves(snapshot.campaign.id)
    session.emit(_details_document(snapshot, prepared, layouts, verifications, curves))
    session.show(_facts_table(snapshot, prepared, layouts))
    if snapshot.tasks:
        if tasks:
            session.show("", _task_table(snapshot))
        session.show(Text(f"\n{expectation(snapshot)}", style="bold"))
        session.show(*_curve_lines(curves))
    session.show(*_comparisons(verifications))


def _curve_lines(curves: Sequence[CurveRow]) -> Iterator[str]:
    for row in curves:
        where = f"{device_text(row.device_class)}: " if len(curves) > 1 else ""
        for text in (curve_text(row), reference_text(row)):
            if text:
                yield where + text


def _layouts(store: Storage, snapshot: Snapshot, model_id: int | None) -> list[ShownLayout]:
    """Return the layouts in which a campaign tunes a model, one for each of its device classes."""
    from orchestrator.models.extraction import AUTO

    if model_id is None:
        return []
    campaign = snapshot.campaign
    classes = {task.device_class for task in snapshot.tasks}
    rows = store.extractions.layouts(model_id, campaign.engine)
    decisions = [row for row in store.layouts.of_campaign(campaign.id) if row.model_id == model_id]
    return layouts_of_campaign(
        [row for row in rows if row.device_class in classes], decisions, campaign.spec.get("layout", AUTO)
    )


def _verifications(store: Storage, snapshot: Snapshot) -> Iterator[tuple[CampaignModelRow, VerificationRow]]:
    classes = dict.fromkeys(task.device_class for task in snapshot.tasks)
    for model, device_class in itertools.product(snapshot.models, classes):
        if model.model_id is not None:
            row = store.verifications.latest(model.model_id, device_class)
            if row is not None:
                yield model, row


def _details_document(
    snapshot: Snapshot,
    prepared: Sequence[ModelRow | None],
    layouts: Sequence[Sequence[ShownLayout]],
    verifications: Sequence[tuple[CampaignModelRow, VerificationRow]],
    curves: Sequence[CurveRow],
) -> dict[str, Any]:
    """All there is to know about a campaign, its trials apart."""
    return {
        "campaign": campaign_document(snapshot.campaign),
        "progress": progress_document(snapshot),
        "models": [
            {
                "path": model.path,
                "name": model.model_name,
                "model_id": model.model_id,
                "shapes": {name: list(shape) for name, shape in model.shapes.items()},
                "origin": origin_document(row.origin if row else None),
                "changes": list(row.changes) if row else [],
                "layouts": [
                    {
                        "device_class": found.device_class,
                        "layout": found.layout,
                        "reason": found.reason,
                        "tried": tried_document(found.tried),
                        "alternative": found.alternative or None,
                    }
                    for found in of_model
                ],
            }
            for model, row, of_model in zip(snapshot.models, prepared, layouts, strict=True)
        ],
        "tasks": [_campaign_task(task) for task in snapshot.tasks],
        "verifications": [_verification(model, row) for model, row in verifications],
        "curves": curve_documents(curves),
    }


def _campaign_task(row: CampaignTaskRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "workload_hash": row.workload_hash,
        "device_class": row.device_class,
        "weight": row.weight,
        "flops": row.flops,
        "state": row.state.value,
        "note": row.note,
        "budget": limit_or_none(row.budget),
        "stored_before": row.stored_before,
        "stored": row.stored,
        "stored_failures": row.stored_failures,
        "stale": row.stale,
        "measured": row.measured,
        "measured_failures": row.measured_failures,
        "best_s": row.best_s,
        "best_stale": row.best_stale,
        "best_trial_id": row.best_trial_id,
        "best_at": instant(row.best_at),
        "gflops": gflops(row.flops, row.best_s),
    }


def _verification(model: CampaignModelRow, row: VerificationRow) -> dict[str, Any]:
    return {
        "model": model.model_name,
        "path": model.path,
        "device_class": row.device_class,
        "untuned_s": row.untuned_s,
        "tuned_s": row.tuned_s,
        "reference_s": row.reference_s,
        "runs": row.runs,
        "turns": row.turns,
        "untuned_note": row.untuned_note,
        "max_abs": finite(row.max_abs),
        "max_rel": finite(row.max_rel),
        "outputs_agree": row.details.get("agree"),
        "tasks_total": row.tasks_total,
        "tasks_tuned": row.tasks_tuned,
        "wrong_records": list(row.details.get("wrong", ())),
        "created_at": instant(row.created_at),
    }


def _facts_table(
    snapshot: Snapshot,
    prepared: Sequence[ModelRow | None],
    layouts: Sequence[Sequence[ShownLayout]],
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


def _task_table(snapshot: Snapshot) -> Table:
    """A campaign's tasks, the dearest first."""
    device = DeviceColumn(task.device_class for task in snapshot.tasks)
    right = ("calls", "trials", "failed", "best", "GFLOP/s", "share")
    grid = Grid("task", *right, "state", *device.heading, right=right, flexible=("task", "device"))
    for line in snapshot.lines():
        row = line.row
        grid.add(
            row.name,
            str(row.weight),
            f"{row.stored}/{row.budget}" if row.budget < NO_LIMIT else str(row.stored),
            str(row.stored_failures),
            latency(row.best_s) + (" stale" if row.best_stale else ""),
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
    from orchestrator.builds.wrong_outputs import WrongRecord

    for model, row in rows:
        head = latency_head(model.model_name or short_path(model.path), row.device_class)
        pairs = outcome_facts(
            bool(row.details.get("agree")),
            str(row.details.get("disagreement", "")),
            row.max_abs,
            row.max_rel,
            str(row.details.get("remark", "")),
        )
        pairs.append(("tasks tuned", f"{row.tasks_tuned} of {row.tasks_total}"))
        if row.details.get("wrong"):
            wrong = (WrongRecord(**one) for one in row.details["wrong"])
            pairs.append(("left out", Text(wrong_text(wrong), style="yellow")))
        if row.untuned_note:
            pairs.append(("untuned", row.untuned_note))
        turns = f", in {plural(row.turns, 'turn')}" if row.turns else ""
        pairs.append(("compared", f"{when(row.created_at)}{turns}"))
        times = latencies_table(row.untuned_s, row.tuned_s, row.reference_s, row.runs)
        yield Group("", head, "", times, "", facts(pairs))
