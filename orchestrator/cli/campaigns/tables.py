"""Campaigns, their tasks and their trials as tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.cli.campaigns.screen import STATE_STYLES
from orchestrator.cli.campaigns.snapshot import NO_LIMIT
from orchestrator.cli.kit.facts import facts
from orchestrator.cli.kit.grid import Grid
from orchestrator.cli.kit.text import age, amount, device_text, duration, latency, short_path, when

if TYPE_CHECKING:
    from orchestrator.cli.campaigns.snapshot import Snapshot
    from orchestrator.storage import TrialRow

__all__ = ["campaign_facts", "campaign_table", "task_table", "trial_lines"]


def _state(word: str) -> Text:
    return Text(word, style=STATE_STYLES.get(word, ""))


def _trials(snapshot: Snapshot) -> str:
    if not snapshot.tasks:
        return "-"
    return f"{amount(snapshot.done)}/{'-' if snapshot.total is None else amount(snapshot.total)}"


def campaign_table(snapshots: Sequence[Snapshot]) -> Table:
    """Campaigns, one a row."""
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
            _state(row.state.value),
            *([str(row.priority)] if ranked else []),
            f"{names[0]}{more}" if names else "-",
            _trials(snapshot),
            duration(row.active_s),
            age(row.created_at, now),
        )
    return grid.table()


def campaign_facts(snapshot: Snapshot, changes: Sequence[tuple[str, Sequence[str]]]) -> Table:
    """A campaign's own facts, as ``show`` begins with them."""
    row = snapshot.campaign
    state = _state(row.state.value)
    if row.request:
        state.append(f" (asked to {row.request.value})", style="yellow")
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
    for model in snapshot.models:
        shapes = ", ".join(f"{name}:{','.join(map(str, dims))}" for name, dims in model.shapes.items())
        pairs.append(("model", short_path(model.path) + (f"  ({shapes})" if shapes else "")))
    several = len(changes) > 1
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
            f"{_trials(snapshot)}, {amount(snapshot.measured)} measured, {amount(snapshot.failures)} failed, "
            f"{amount(snapshot.saved)} saved (stored before)",
        ),
        ("time", f"{duration(row.active_s)} of work"),
        ("created", when(row.created_at)),
        ("started", when(row.started_at)),
        ("finished", when(row.finished_at)),
    ]
    return facts(pairs)


def _budget(spec: dict[str, object]) -> str:
    parts = []
    if spec.get("trials"):
        parts.append(f"{spec['trials']} trials")
    if spec.get("trials_per_task"):
        parts.append(f"{spec['trials_per_task']} trials for each task")
    if isinstance(spec.get("time_s"), int | float):
        parts.append(duration(float(str(spec["time_s"]))))
    if spec.get("plateau"):
        parts.append(f"a task ends after {spec['plateau']} trials without gain")
    return ", ".join(parts) or "the default"


def task_table(snapshot: Snapshot) -> Table:
    """A campaign's tasks, the dearest first."""
    several = len({task.device_class for task in snapshot.tasks}) > 1
    right = ("calls", "trials", "failed", "best", "GFLOP/s", "share")
    device = ("device",) if several else ()
    grid = Grid("task", *right, "state", *device, right=right, flexible=("task", "device"))
    for line in snapshot.lines():
        row = line.row
        cells = [
            row.name,
            str(row.weight),
            f"{row.stored}/{row.budget}" if row.budget < NO_LIMIT else str(row.stored),
            str(row.stored_failures),
            latency(row.best_s),
            f"{line.gflops:.1f}" if line.gflops else "-",
            f"{line.share:.1%}" if line.share is not None else "-",
            row.state.value,
        ]
        grid.add(*cells, *([device_text(row.device_class)] if several else []))
    return grid.table()


def trial_lines(rows: Iterable[TrialRow]) -> Iterable[str]:
    """Trials as lines of fixed columns, one by one: there may be a hundred thousand of them."""
    yield f"{'id':>7}  {'time':>8}  {'state':<13}  {'recorded':<19}  {'host':<14}  {'task':<28}  message"
    for row in rows:
        message = row.message.strip().splitlines()[0] if row.message.strip() else ""
        yield (
            f"{row.id:>7}  {latency(row.cost_s):>8}  {row.state.value:<13}  {when(row.created_at):<19}  "
            f"{row.host or '-':<14}  {row.workload_name:<28}  {message}"
        ).rstrip()
