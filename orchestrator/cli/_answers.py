"""Answers to questions about the record store: as tables, and as JSON documents (``docs/json.md``)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.cli._grid import Grid
from orchestrator.cli._snapshot import NO_LIMIT
from orchestrator.cli._text import (
    age,
    amount,
    device_text,
    gflops,
    instant,
    latency,
    ms,
    plural,
    short_path,
    when,
)

if TYPE_CHECKING:
    from orchestrator.cli._snapshot import Snapshot
    from orchestrator.cli._stored import StoredModel
    from orchestrator.storage import (
        BestRow,
        DeviceClassFailures,
        ImprovementRow,
        ModelShares,
        TaskComparisonRow,
        TaskOfCampaign,
        VerificationRow,
    )

__all__ = [
    "Comparison",
    "compare_blocks",
    "compare_document",
    "failures_document",
    "failures_lines",
    "failures_table",
    "history_document",
    "history_line",
    "history_table",
    "slowest_document",
    "slowest_line",
    "slowest_table",
    "stored_best_document",
    "stored_best_table",
]


def stored_best_table(rows: Sequence[BestRow]) -> Table:
    """The best of each workload, one a row."""
    several = len({row.device_class for row in rows}) > 1
    device = ("device",) if several else ()
    right = ("best", "GFLOP/s", "trials", "failed")
    grid = Grid("task", *right, "recorded", "workload", *device, right=right, flexible=("task", "device"))
    for row in rows:
        grid.add(
            row.name,
            latency(row.best_s),
            _speed(row.flops, row.best_s),
            amount(row.trials),
            amount(row.failures),
            age(row.recorded_at),
            row.workload_hash[:12],
            *([device_text(row.device_class)] if several else []),
        )
    return grid.table()


def stored_best_document(rows: Sequence[BestRow], *, more: bool) -> dict[str, Any]:
    """The best of each workload on each device class."""
    return {
        "best": [
            {
                "name": row.name,
                "workload_hash": row.workload_hash,
                "engine": row.engine,
                "device_class": row.device_class,
                "flops": row.flops,
                "trials": row.trials,
                "failures": row.failures,
                "best_s": row.best_s,
                "gflops": gflops(row.flops, row.best_s),
                "trial_id": row.trial_id,
                "campaign_id": row.campaign_id,
                "recorded_at": instant(row.recorded_at),
            }
            for row in rows
        ],
        "more": more,
    }


def history_table(points: Sequence[ImprovementRow], total: int, flops: float | None) -> Table:
    """The improvements of a workload, or of a model where its `flops` aren't one number."""
    if flops is not None:
        right = ("trials", "best", "gain", "GFLOP/s", "campaign", "trial")
        grid = Grid("recorded", *right, right=right)
        for point in points:
            grid.add(
                when(point.recorded_at),
                amount(point.trials),
                latency(point.cost_s),
                _gain(point.before_s, point.cost_s),
                _speed(flops, point.cost_s),
                _campaign(point),
                str(point.trial_id),
            )
        return grid.table()
    numbers = ("trials", "tasks", "a run", "gain", "campaign")
    grid = Grid("recorded", *numbers, "task", right=numbers, flexible=("task",))
    for point in points:
        first = point.before_s is None
        before = None if first else point.expected_s + _saved(point)
        grid.add(
            when(point.recorded_at),
            amount(point.trials),
            f"{point.tasks_timed}/{total}",
            latency(point.expected_s),
            "first" if first else _gain(before, point.expected_s),
            _campaign(point),
            point.name,
            # A sum of some of the tasks is no time of the model.
            style="" if point.tasks_timed == total else "dim",
        )
    return grid.table()


def history_line(
    points: Sequence[ImprovementRow], total: int, name: str, device_class: str
) -> RenderableType:
    """Say what it came to, from the first moment at which all tasks had a time."""
    whole = [point for point in points if point.tasks_timed == total]
    line = Text(f"\n{name} on {device_text(device_class)}: ", style="bold")
    if not whole:
        last = points[-1]
        return line.append(f"{last.tasks_timed} of {plural(total, 'task')} have a time")
    begin, end = whole[0], whole[-1]
    line.append(f"{latency(begin.expected_s)} after {plural(begin.trials, 'trial')}")
    if end is not begin:
        line.append(f", {latency(end.expected_s)} after {amount(end.trials)}")
        line.append(f" ({_ratio(begin.expected_s, end.expected_s)})")
    return line


def history_document(
    name: str, device_class: str, total: int, points: Sequence[ImprovementRow], *, of_model: bool
) -> dict[str, Any]:
    """How the best of a model or of a workload went down."""
    return {
        "model": name if of_model else None,
        "workload_hash": None if of_model else points[0].workload_hash,
        "device_class": device_class,
        "tasks_total": total,
        "improvements": [
            {
                "recorded_at": instant(point.recorded_at),
                "trials": point.trials,
                "expected_s": point.expected_s,
                "tasks_timed": point.tasks_timed,
                "task": point.name,
                "workload_hash": point.workload_hash,
                "weight": point.weight,
                "cost_s": point.cost_s,
                "before_s": point.before_s,
                "trial_id": point.trial_id,
                "campaign_id": point.campaign_id,
            }
            for point in points
        ],
    }


def _saved(point: ImprovementRow) -> float:
    return 0.0 if point.before_s is None else point.weight * (point.before_s - point.cost_s)


def _campaign(point: ImprovementRow) -> str:
    return "-" if point.campaign_id is None else str(point.campaign_id)


def slowest_table(shares: ModelShares) -> Table:
    """A model's tasks, those first on which most of its time rests."""
    right = ("calls", "a run", "share", "sum", "GFLOP/s", "trials")
    grid = Grid("task", *right, "workload", right=right, flexible=("task",))
    for task in shares.tasks:
        grid.add(
            task.name,
            str(task.weight),
            latency(task.expected_s),
            _percent(task.share),
            _percent(task.cumulative),
            _speed(task.flops, task.best_s),
            amount(task.trials),
            task.workload_hash[:12],
            style="" if task.best_s is not None else "dim",
        )
    return grid.table()


def slowest_line(model: StoredModel, shares: ModelShares) -> RenderableType:
    """Say what all tasks add up to, and how much of it is shown."""
    timed = [task for task in shares.tasks if task.cumulative is not None]
    line = Text(f"\n{model.name} on {device_text(model.device_class)}: ", style="bold")
    line.append(f"{plural(shares.tasks_timed, 'task')}, {latency(shares.expected_s)} a run")
    if timed and len(timed) < shares.tasks_timed:
        line.append(f"; these {len(timed)} are {_percent(timed[-1].cumulative)} of it")
    return line


def slowest_document(model: StoredModel, shares: ModelShares) -> dict[str, Any]:
    """Where a model's time goes."""
    return {
        "model": model.name,
        "device_class": model.device_class,
        "tasks_total": shares.tasks_total,
        "tasks_timed": shares.tasks_timed,
        "expected_s": shares.expected_s,
        "tasks": [
            {
                "name": task.name,
                "workload_hash": task.workload_hash,
                "weight": task.weight,
                "flops": task.flops,
                "trials": task.trials,
                "best_s": task.best_s,
                "expected_s": task.expected_s,
                "share": task.share,
                "cumulative": task.cumulative,
                "gflops": gflops(task.flops, task.best_s),
                "trial_id": task.trial_id,
                "recorded_at": instant(task.recorded_at),
            }
            for task in shares.tasks
        ],
    }


def failures_table(found: Sequence[DeviceClassFailures]) -> Table:
    """How trials failed, one class a row."""
    several = len(found) > 1
    device = ("device",) if several else ()
    right = ("trials", "share", "tasks")
    grid = Grid(
        *device,
        "failure",
        *right,
        "last",
        "most of them said",
        right=right,
        flexible=("device", "most of them said"),
    )
    for one in found:
        for row in one.classes:
            said = row.message.strip().splitlines()[:1]
            grid.add(
                *([device_text(one.device_class)] if several else []),
                row.state.value,
                amount(row.trials),
                _percent(row.share),
                amount(row.workloads),
                age(row.last_at),
                said[0] if said else "-",
            )
    return grid.table()


def failures_lines(found: Sequence[DeviceClassFailures]) -> Iterable[RenderableType]:
    """Say for each device how many of its trials failed."""
    if any(one.failed for one in found):
        yield ""
    for one in found:
        line = (
            f"{device_text(one.device_class)}: {amount(one.failed)} of {plural(one.trials, 'trial')} failed"
        )
        if one.failed:
            line += f" ({_percent(one.failed / one.trials)})"
        yield Text(line, style="bold")


def failures_document(found: Sequence[DeviceClassFailures]) -> dict[str, Any]:
    """How trials failed, by device class and by how they ended."""
    return {
        "device_classes": [
            {
                "device_class": one.device_class,
                "trials": one.trials,
                "trials_failed": one.failed,
                "failures": [
                    {
                        "state": row.state.value,
                        "trials": row.trials,
                        "share": row.share,
                        "workloads": row.workloads,
                        "message": row.message,
                        "message_trials": row.message_trials,
                        "last_at": instant(row.last_at),
                    }
                    for row in one.classes
                ],
            }
            for one in found
        ]
    }


@dataclass(frozen=True)
class Comparison:
    """Two campaigns, their tasks beside each other, and their models as each left them."""

    first: Snapshot
    second: Snapshot
    tasks: tuple[TaskComparisonRow, ...]
    first_verified: tuple[VerificationRow, ...]
    second_verified: tuple[VerificationRow, ...]

    @property
    def common(self) -> list[tuple[TaskComparisonRow, TaskOfCampaign, TaskOfCampaign]]:
        """Tasks of both, those first whose change weighs most in a run."""
        both = [
            (row, row.first, row.second)
            for row in self.tasks
            if row.first is not None and row.second is not None
        ]
        return sorted(both, key=lambda task: -abs(_change(task[1], task[2])))

    def sums(self) -> tuple[float, float] | None:
        """Return what the tasks that have a time in both add up to in a run of the second's models."""
        timed = [
            (after.weight * before.best_s, after.weight * after.best_s)
            for _, before, after in self.common
            if before.best_s is not None and after.best_s is not None
        ]
        return (sum(a for a, _ in timed), sum(b for _, b in timed)) if timed else None

    def models(self) -> list[tuple[str, str, VerificationRow | None, VerificationRow | None]]:
        """Return name and device class of each compared model, as each campaign left it."""
        names = {
            model.model_id: name
            for side in (self.first, self.second)
            for model, name in zip(side.models, side.model_names, strict=True)
        }
        before = {(row.model_id, row.device_class): row for row in self.first_verified}
        after = {(row.model_id, row.device_class): row for row in self.second_verified}
        return [
            (names[key[0]], key[1], before.get(key), after.get(key))
            for key in dict.fromkeys([*after, *before])
        ]


def _change(before: TaskOfCampaign, after: TaskOfCampaign) -> float:
    if before.best_s is None or after.best_s is None:
        return 0.0
    return after.weight * (before.best_s - after.best_s)


def compare_blocks(comparison: Comparison) -> Iterable[RenderableType]:
    """What changed, the models after the tasks."""
    ids = (str(comparison.first.campaign.id), str(comparison.second.campaign.id))
    for side in (comparison.first, comparison.second):
        yield _campaign_line(side)
    common = comparison.common
    if common:
        yield ""
        yield _common_table(comparison, ids)
        sums = comparison.sums()
        if sums is not None:
            better = sum(_change(before, after) > 0 for _, before, after in common)
            yield Text(
                f"\n{plural(len(common), 'common task')}, {better} faster: "
                f"{latency(sums[0])}, then {latency(sums[1])} a run ({_ratio(*sums)})",
                style="bold",
            )
    for which, only in (
        (ids[0], [row for row in comparison.tasks if row.second is None]),
        (ids[1], [row for row in comparison.tasks if row.first is None]),
    ):
        if only:
            yield ""
            yield _only_table(only, which)
    models = comparison.models()
    if models:
        yield ""
        yield _models_table(models, ids)


def _campaign_line(side: Snapshot) -> Text:
    row = side.campaign
    names = ", ".join(side.model_names)
    line = Text(f"{row.id}  {row.name}", style="bold")
    line.append(
        f"  {row.state.value}, {names}, {plural(side.measured, 'trial')} measured, "
        f"{amount(side.saved)} saved, {age(row.created_at)}",
        style="not bold",
    )
    return line


def _common_table(comparison: Comparison, ids: tuple[str, str]) -> Table:
    several = len({row.device_class for row in comparison.tasks}) > 1
    device = ("device",) if several else ()
    measured = [f"trials in {i}" for i in ids]
    best = [f"best of {i}" for i in ids]
    right = (*measured, *best, "speed-up")
    grid = Grid("task", *right, *device, right=right, flexible=("task", "device"))
    for row, before, after in comparison.common:
        grid.add(
            row.name,
            amount(before.measured),
            amount(after.measured),
            latency(before.best_s),
            latency(after.best_s),
            _ratio(before.best_s, after.best_s),
            *([device_text(row.device_class)] if several else []),
            style="bold" if _change(before, after) > 0 else "",
        )
    return grid.table()


def _only_table(rows: Sequence[TaskComparisonRow], which: str) -> Table:
    title = f"task only in {which}"
    right = ("trials", "best")
    grid = Grid(title, *right, right=right, flexible=(title,))
    for row in rows:
        side = row.first or row.second
        assert side is not None
        grid.add(row.name, amount(side.measured), latency(side.best_s))
    return grid.table()


def _models_table(
    models: Sequence[tuple[str, str, VerificationRow | None, VerificationRow | None]], ids: tuple[str, str]
) -> Table:
    several = len({device for _, device, *_ in models}) > 1
    device = ("device",) if several else ()
    # onnxruntime is of the same run: what the machine was like then is in both of its parts.
    right = ("after", "tuned", "speed-up", "of onnxruntime's time")
    grid = Grid("model", *right, *device, right=right, flexible=("model", "device"))
    for name, device_class, before, after in models:
        same = before is not None and after is not None and before.id == after.id
        sides = (
            (ids[0], before, ""),
            (ids[1], after, "the same" if same else _ratio(_tuned_s(before), _tuned_s(after))),
        )
        for which, row, ratio in sides:
            if row is None:
                continue
            seconds = row.tuned_s
            grid.add(
                short_path(name),
                which,
                "-" if seconds is None else ms(seconds),
                ratio,
                _of_reference(row),
                *([device_text(device_class)] if several else []),
            )
    return grid.table()


def _tuned_s(row: VerificationRow | None) -> float | None:
    return None if row is None else row.tuned_s


def _of_reference(row: VerificationRow | None) -> str:
    ratio = None if row is None else _quotient(row.tuned_s, row.reference_s)
    return "-" if ratio is None else f"{ratio:.2f}x"


def compare_document(comparison: Comparison) -> dict[str, Any]:
    """What changed between two campaigns."""
    sums = comparison.sums()
    common = comparison.common
    return {
        "campaigns": [_campaign_facts(side) for side in (comparison.first, comparison.second)],
        "tasks_common": len(common),
        "tasks_better": sum(_change(before, after) > 0 for _, before, after in common),
        "expected_before_s": sums[0] if sums else None,
        "expected_after_s": sums[1] if sums else None,
        "speedup": _quotient(*sums) if sums else None,
        "tasks": [
            {
                "name": row.name,
                "workload_hash": row.workload_hash,
                "device_class": row.device_class,
                "flops": row.flops,
                "first": _side(row.first),
                "second": _side(row.second),
                "speedup": _quotient(_best_s(row.first), _best_s(row.second)),
            }
            for row in [*(row for row, *_ in common), *comparison.tasks[len(common) :]]
        ],
        "models": [
            {
                "model": name,
                "device_class": device_class,
                "first": _verified(before),
                "second": _verified(after),
                "speedup": _quotient(_tuned_s(before), _tuned_s(after)),
            }
            for name, device_class, before, after in comparison.models()
        ],
    }


def _campaign_facts(side: Snapshot) -> dict[str, Any]:
    return {
        "id": side.campaign.id,
        "name": side.campaign.name,
        "engine": side.campaign.engine,
        "state": side.campaign.state.value,
        "models": side.model_names,
        "created_at": instant(side.campaign.created_at),
        "finished_at": instant(side.campaign.finished_at),
        "trials_measured": side.measured,
        "trials_failed": side.failures,
        "trials_saved": side.saved,
    }


def _side(task: TaskOfCampaign | None) -> dict[str, Any] | None:
    if task is None:
        return None
    return {**vars(task), "budget": task.budget if task.budget < NO_LIMIT else None}


def _best_s(task: TaskOfCampaign | None) -> float | None:
    return None if task is None else task.best_s


def _verified(row: VerificationRow | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {
        "untuned_s": row.untuned_s,
        "tuned_s": row.tuned_s,
        "reference_s": row.reference_s,
        "outputs_agree": row.details.get("agree"),
        "campaign_id": row.campaign_id,
        "created_at": instant(row.created_at),
    }


def _speed(flops: float, seconds: float | None) -> str:
    speed = gflops(flops, seconds)
    return f"{speed:.1f}" if speed else "-"


def _percent(part: float | None) -> str:
    return "-" if part is None else f"{part:.1%}"


def _gain(before: float | None, after: float) -> str:
    return f"{1 - after / before:.1%}" if before else "first"


def _quotient(before: float | None, after: float | None) -> float | None:
    return before / after if before is not None and after else None


def _ratio(before: float | None, after: float | None) -> str:
    quotient = _quotient(before, after)
    return "-" if quotient is None else f"{quotient:.2f}x"
