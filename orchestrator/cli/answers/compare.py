"""``compare``: what changed between two campaigns, task by task and model by model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.cli.answers.compare_gate import CampaignGate, slower_tasks
from orchestrator.cli.kit import options
from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.device_column import DeviceColumn
from orchestrator.cli.kit.gate_option import FailIfSlower, allowed_slowdown
from orchestrator.cli.kit.grid import Grid
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.text import age, amount, latency, ms, plural, short_path
from orchestrator.documents.comparison import (
    Comparison,
    change,
    comparison_document,
    read_comparison,
    tuned_s,
)
from orchestrator.documents.ratios import quotient, ratio_text
from orchestrator.documents.snapshot import Snapshot

if TYPE_CHECKING:
    from orchestrator.storage import TaskComparisonRow, TaskOfCampaign, VerificationRow

__all__ = ["compare"]

_First = Annotated[
    str, typer.Argument(metavar="ID", help="Number or name of the earlier one.", show_default=False)
]
_Second = Annotated[
    str, typer.Argument(metavar="ID", help="Number or name of the later one.", show_default=False)
]


@command(
    "compare",
    panel=options.PANELS.CAMPAIGNS,
    examples=("compare 3 5", "compare nightly-1 nightly-2 --json", "compare 3 5 --fail-if-slower 3%"),
)
def compare(
    session: Session, first: _First, second: _Second, fail_if_slower: FailIfSlower = None
) -> int | None:
    """Show what changed between two campaigns: on which tasks the best got better, and by how much.

    best is what was stored when a campaign ended, whoever measured it; trials are those it measured
    itself. Tasks with the largest change in a run's time come first. With --fail-if-slower, the models that
    both left compared with onnxruntime are held against each other, and exit code 1 says that one is slower
    after the second, or that its outputs are wrong.
    """
    allowed = allowed_slowdown(fail_if_slower)
    with session.storage(create=False) as store:
        comparison = read_comparison(store, first, second)
    gate = None if allowed is None else CampaignGate.of(comparison.models(), allowed)
    session.emit(comparison_document(comparison) | {"gate": None if gate is None else gate.document()})
    session.show(*_blocks(comparison))
    if not comparison.common:
        session.write(Text("they have no task in common: nothing compares"))
    return None if gate is None else gate.conclude(session, slower_tasks(comparison.common))


def _blocks(comparison: Comparison) -> Iterable[RenderableType]:
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
            better = sum(change(before, after) > 0 for _, before, after in common)
            yield Text(
                f"\n{plural(len(common), 'common task')}, {better} faster: "
                f"{latency(sums[0])}, then {latency(sums[1])} a run ({ratio_text(*sums)})",
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
    device = DeviceColumn(row.device_class for row in comparison.tasks)
    measured = [f"trials in {i}" for i in ids]
    best = [f"best of {i}" for i in ids]
    right = (*measured, *best, "speed-up")
    grid = Grid("task", *right, *device.heading, right=right, flexible=("task", "device"))
    for row, before, after in comparison.common:
        grid.add(
            row.name,
            amount(before.measured),
            amount(after.measured),
            _best(before),
            _best(after),
            ratio_text(before.best_s, after.best_s),
            *device.cell(row.device_class),
            style="bold" if change(before, after) > 0 else "",
        )
    return grid.table()


def _only_table(rows: Sequence[TaskComparisonRow], which: str) -> Table:
    title = f"task only in {which}"
    right = ("trials", "best")
    grid = Grid(title, *right, right=right, flexible=(title,))
    for row in rows:
        side = row.first or row.second
        assert side is not None
        grid.add(row.name, amount(side.measured), _best(side))
    return grid.table()


def _best(side: TaskOfCampaign) -> str:
    return latency(side.best_s) + (" stale" if side.best_stale else "")


def _models_table(
    models: Sequence[tuple[str, str, VerificationRow | None, VerificationRow | None]], ids: tuple[str, str]
) -> Table:
    device = DeviceColumn(device_class for _, device_class, *_ in models)
    # onnxruntime is of the same run: what the machine was like then is in both of its parts.
    right = ("after", "tuned", "speed-up", "of onnxruntime's time")
    grid = Grid("model", *right, *device.heading, right=right, flexible=("model", "device"))
    for name, device_class, before, after in models:
        same = before is not None and after is not None and before.id == after.id
        sides = (
            (ids[0], before, ""),
            (ids[1], after, "the same" if same else ratio_text(tuned_s(before), tuned_s(after))),
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
                *device.cell(device_class),
            )
    return grid.table()


def _of_reference(row: VerificationRow | None) -> str:
    ratio = None if row is None else quotient(row.tuned_s, row.reference_s)
    return "-" if ratio is None else f"{ratio:.2f}x"
