"""Latencies of a model side by side, as tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.cli.kit.facts import facts
from orchestrator.cli.kit.grid import Grid
from orchestrator.cli.kit.text import device_text, ms, plural, short_path, when

if TYPE_CHECKING:
    from orchestrator.builds import BenchReport
    from orchestrator.storage import CampaignModelRow, VerificationRow

__all__ = ["bench_table", "latency_head", "outcome_text", "verification_blocks"]


def bench_table(report: BenchReport, changes: Sequence[str] = ()) -> RenderableType:
    """A model's three latencies beside each other, and whether its outputs are right."""
    head = latency_head(report.model, report.device_class)
    head.append(f", {plural(report.threads, 'thread')}", style="not bold dim")
    pairs = outcome_text(
        report.outputs_agree, report.disagreement, report.max_abs, report.max_rel, report.remark
    )
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


def verification_blocks(
    rows: Sequence[tuple[CampaignModelRow, VerificationRow]],
) -> Iterable[RenderableType]:
    """Latencies and outputs as they were last compared."""
    for model, row in rows:
        head = latency_head(model.model_name or short_path(model.path), row.device_class)
        pairs = outcome_text(
            bool(row.details.get("agree")),
            str(row.details.get("disagreement", "")),
            row.max_abs,
            row.max_rel,
            str(row.details.get("remark", "")),
        )
        pairs.append(("tasks tuned", f"{row.tasks_tuned} of {row.tasks_total}"))
        pairs.append(("compared", when(row.created_at)))
        yield Group("", head, "", _latencies(row.untuned_s, row.tuned_s, row.reference_s), "", facts(pairs))


def latency_head(model: str, device_class: str) -> Text:
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


def outcome_text(
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
