"""Tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.cli._grid import Grid
from orchestrator.cli._screen import STATE_STYLES
from orchestrator.cli._snapshot import NO_LIMIT
from orchestrator.cli._text import (
    age,
    amount,
    device_text,
    duration,
    gflops,
    latency,
    ms,
    plural,
    short_path,
    when,
)

if TYPE_CHECKING:
    from orchestrator.builds import BenchReport, Coverage, RunReport
    from orchestrator.campaigns.extraction import CampaignPlan
    from orchestrator.cli._snapshot import Snapshot
    from orchestrator.storage import CampaignModelRow, TrialRow, VerificationRow

__all__ = [
    "bench_table",
    "build_table",
    "campaign_facts",
    "campaign_table",
    "coverage_table",
    "facts",
    "plan_table",
    "run_table",
    "task_table",
    "trial_lines",
    "verification_blocks",
]


def facts(pairs: Iterable[tuple[str, RenderableType]]) -> Table:
    """Names and values below each other."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in pairs:
        table.add_row(name, value)
    return table


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


def coverage_table(coverage: Coverage) -> Table:
    """A model's tasks and what is stored for them."""
    right = ("calls", "MFLOP", "trials", "best", "GFLOP/s")
    grid = Grid("task", *right, "workload", right=right, flexible=("task",))
    for task in coverage.tasks:
        speed = gflops(task.flops, task.best_s)
        grid.add(
            task.name,
            str(task.weight),
            _mflop(task.flops),
            amount(task.trials),
            latency(task.best_s),
            f"{speed:.1f}" if speed else "-",
            task.workload_hash[:12],
        )
    return grid.table()


def build_table(coverage: Coverage) -> Table:
    """A model's tasks as a build takes them: from which record, and what that promises."""
    right = ("calls", "trials", "best", "a run")
    lent = ("of",) if coverage.borrowed else ()
    grid = Grid("task", *right, "record", *lent, right=right, flexible=("task", "of"))
    now = datetime.now(timezone.utc)
    for task in coverage.tasks:
        grid.add(
            task.name,
            str(task.weight),
            amount(task.trials),
            latency(task.best_s),
            latency(task.expected_s),
            Text("untuned", style="yellow") if task.best_s is None else age(task.recorded_at, now),
            *([device_text(task.borrowed_from) if task.borrowed_from else ""] if lent else []),
        )
    return grid.table()


def plan_table(plan: CampaignPlan) -> Table:
    """What a campaign would measure for each task."""
    several = len(plan.devices) > 1
    right = ("calls", "MFLOP", "budget", "stored", "to measure")
    device = ("device",) if several else ()
    grid = Grid("task", *right, "note", *device, right=right, flexible=("task", "note", "device"))
    for planned in plan.tasks:
        task = planned.task
        unlimited = planned.budget >= NO_LIMIT
        cells = [
            task.name,
            str(task.weight),
            _mflop(task.flops),
            "no limit" if unlimited else amount(planned.budget),
            amount(planned.standing.stored),
            "no limit" if unlimited and planned.missing else amount(planned.missing),
            planned.satisfied if planned.budget else "the budget is too small for it",
        ]
        grid.add(*cells, *([device_text(task.device_class)] if several else []))
    return grid.table()


def _mflop(flops: float) -> str:
    return f"{flops / 1e6:,.2f}" if flops else "-"


def trial_lines(rows: Iterable[TrialRow]) -> Iterable[str]:
    """Trials as lines of fixed columns, one by one: there may be a hundred thousand of them."""
    yield f"{'id':>7}  {'time':>8}  {'state':<13}  {'recorded':<19}  {'host':<14}  {'task':<28}  message"
    for row in rows:
        message = row.message.strip().splitlines()[0] if row.message.strip() else ""
        yield (
            f"{row.id:>7}  {latency(row.cost_s):>8}  {row.state.value:<13}  {when(row.created_at):<19}  "
            f"{row.host or '-':<14}  {row.workload_name:<28}  {message}"
        ).rstrip()


def bench_table(report: BenchReport, changes: Sequence[str] = ()) -> RenderableType:
    """A model's three latencies beside each other, and whether its outputs are right."""
    head = _head(report.model, report.device_class)
    head.append(f", {plural(report.threads, 'thread')}", style="not bold dim")
    pairs = _outcome(report.outputs_agree, report.disagreement, report.max_abs, report.max_rel, report.remark)
    pairs.append(("tasks tuned", f"{report.tasks_tuned} of {report.tasks_total}"))
    if report.why and report.plan != "each task's best":
        pairs.append(("records", report.why))
    elif report.plan:
        pairs.append(("records", report.plan))
    if report.remembered:
        pairs.append(("measured", "earlier, for these same records"))
    if changes:
        pairs.append(("on import", "\n".join(changes)))
    times = _latencies(report.untuned_s, report.tuned_s, report.reference_s)
    return Group(head, "", times, "", facts(pairs), "")


def run_table(report: RunReport) -> RenderableType:
    """What a library returned, how fast, and whether it is right."""
    label, check = report.label, report.check
    head = _head(label.model, label.device_class)
    head.append(f", {plural(report.threads, 'thread')}, {label.engine}", style="not bold dim")
    right = ("least", "mean", "largest")
    grid = Grid("output", "shape", "type", *right, right=right, flexible=("output",))
    for output in report.outputs:
        numbers = ("-" if n is None else f"{n:.6g}" for n in (output.least, output.mean, output.largest))
        grid.add(output.name, "x".join(map(str, output.shape)) or "scalar", output.dtype, *numbers)
    pairs: list[tuple[str, RenderableType]] = []
    if report.median_s is not None:
        spread = f"from {latency(min(report.times_s))} to {latency(max(report.times_s))}"
        pairs.append(
            ("one run", f"{latency(report.median_s)}, median of {len(report.times_s)} times {spread}")
        )
    if check is not None:
        pairs += _outcome(check.agree, check.reason, check.max_abs, check.max_rel, check.remark)
    random = [spec.name for spec in label.inputs if spec.name not in report.given]
    if random:
        pairs.append(("random inputs", ", ".join(random)))
    pairs.append(("tasks tuned", f"{label.tasks_tuned} of {label.tasks_total}"))
    if label.tasks_tuned:
        pairs.append(("records", label.plan))
    return Group(head, "", grid.table(), "", facts(pairs), "")


def verification_blocks(
    rows: Sequence[tuple[CampaignModelRow, VerificationRow]],
) -> Iterable[RenderableType]:
    """Latencies and outputs as they were last compared."""
    for model, row in rows:
        head = _head(model.model_name or short_path(model.path), row.device_class)
        pairs = _outcome(
            bool(row.details.get("agree")),
            str(row.details.get("disagreement", "")),
            row.max_abs,
            row.max_rel,
            str(row.details.get("remark", "")),
        )
        pairs.append(("tasks tuned", f"{row.tasks_tuned} of {row.tasks_total}"))
        pairs.append(("compared", when(row.created_at)))
        yield Group("", head, "", _latencies(row.untuned_s, row.tuned_s, row.reference_s), "", facts(pairs))


def _head(model: str, device_class: str) -> Text:
    return Text(model, style="bold").append(f" on {device_text(device_class)}", style="not bold dim")


def _latencies(untuned_s: float | None, tuned_s: float | None, reference_s: float | None) -> Table:
    # On a board there is no onnxruntime to time.
    right = ("latency", "speed-up", *(("of onnxruntime's time",) if reference_s else ()))
    grid = Grid("one run", *right, right=right)
    for name, seconds in (("untuned", untuned_s), ("tuned", tuned_s), ("onnxruntime", reference_s)):
        if seconds is not None:
            grid.add(
                name,
                ms(seconds),
                f"{untuned_s / seconds:.2f}x" if untuned_s else "-",
                *((f"{seconds / reference_s:.2f}x",) if reference_s else ()),
                style="bold" if name == "tuned" else "",
            )
    return grid.table()


def _outcome(
    agree: bool, disagreement: str, max_abs: float | None, max_rel: float | None, remark: str
) -> list[tuple[str, RenderableType]]:
    outputs = Text("agree with onnxruntime", style="green")
    if not agree:
        outputs = Text(f"WRONG, they differ from onnxruntime's: {disagreement}", style="bold white on red")
    found: list[tuple[str, RenderableType]] = [("outputs", outputs)]
    if max_abs is not None and max_rel is not None:
        text = f"{max_abs:.2g}, or {max_rel:.2g} of that output's largest value"
        found.append(("largest difference", text))
    if remark:
        found.append(("allowed, because", remark))
    return found
