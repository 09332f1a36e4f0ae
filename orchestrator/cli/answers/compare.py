"""``compare``: what changed between two campaigns, task by task and model by model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.cli.answers.compare_gate import conclude
from orchestrator.cli.kit import options
from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.device_column import DeviceColumn
from orchestrator.cli.kit.gate_option import FailIfSlower, allowed_slowdown
from orchestrator.cli.kit.grid import Grid
from orchestrator.cli.kit.server_option import Place
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.text import age, amount, latency, ms, plural, short_path
from orchestrator.documents.comparison import comparison_document, read_comparison
from orchestrator.documents.ratios import quotient, ratio_text

__all__ = ["compare"]

_Document = dict[str, Any]

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
    place=Place.ANYWHERE,
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
    if (server := session.server()) is not None:
        with server:
            document = server.get("compare", "compare", first=first, second=second, allowed=allowed)
    else:
        with session.storage(create=False) as store:
            document = comparison_document(read_comparison(store, first, second), allowed)
    session.emit({name: value for name, value in document.items() if name != "schema"})
    session.show(*_blocks(document))
    if not document["tasks_common"]:
        session.write(Text("they have no task in common: nothing compares"))
    return None if document["gate"] is None else conclude(session, document["gate"], document["tasks"])


def _blocks(document: _Document) -> Iterable[RenderableType]:
    """What changed, the models after the tasks."""
    first, second = document["campaigns"]
    ids = (str(first["id"]), str(second["id"]))
    for side in (first, second):
        yield _campaign_line(side)
    tasks = document["tasks"]
    common = [task for task in tasks if task["first"] is not None and task["second"] is not None]
    if common:
        yield ""
        yield _common_table(common, tasks, ids)
        before_s, after_s = document["expected_before_s"], document["expected_after_s"]
        if before_s is not None:
            yield Text(
                f"\n{plural(len(common), 'common task')}, {document['tasks_better']} faster: "
                f"{latency(before_s)}, then {latency(after_s)} a run ({ratio_text(before_s, after_s)})",
                style="bold",
            )
    for which, side, other in ((ids[0], "first", "second"), (ids[1], "second", "first")):
        only = [task for task in tasks if task[other] is None]
        if only:
            yield ""
            yield _only_table(only, side, which)
    if document["models"]:
        yield ""
        yield _models_table(document["models"], ids)


def _campaign_line(side: _Document) -> Text:
    line = Text(f"{side['id']}  {side['name']}", style="bold")
    line.append(
        f"  {side['state']}, {', '.join(side['models'])}, "
        f"{plural(side['trials_measured'], 'trial')} measured, "
        f"{amount(side['trials_saved'])} saved, {age(datetime.fromisoformat(side['created_at']))}",
        style="not bold",
    )
    return line


def _common_table(common: Sequence[_Document], tasks: Sequence[_Document], ids: tuple[str, str]) -> Table:
    device = DeviceColumn(task["device_class"] for task in tasks)
    measured = [f"trials in {i}" for i in ids]
    best = [f"best of {i}" for i in ids]
    right = (*measured, *best, "speed-up")
    grid = Grid("task", *right, *device.heading, right=right, flexible=("task", "device"))
    for task in common:
        before, after = task["first"], task["second"]
        grid.add(
            task["name"],
            amount(before["measured"]),
            amount(after["measured"]),
            _best(before),
            _best(after),
            ratio_text(before["best_s"], after["best_s"]),
            *device.cell(task["device_class"]),
            style="bold" if task["speedup"] is not None and task["speedup"] > 1 else "",
        )
    return grid.table()


def _only_table(tasks: Sequence[_Document], side: str, which: str) -> Table:
    title = f"task only in {which}"
    right = ("trials", "best")
    grid = Grid(title, *right, right=right, flexible=(title,))
    for task in tasks:
        grid.add(task["name"], amount(task[side]["measured"]), _best(task[side]))
    return grid.table()


def _best(side: _Document) -> str:
    return latency(side["best_s"]) + (" stale" if side["best_stale"] else "")


def _models_table(models: Sequence[_Document], ids: tuple[str, str]) -> Table:
    device = DeviceColumn(model["device_class"] for model in models)
    # onnxruntime is of the same run: what the machine was like then is in both of its parts.
    right = ("after", "tuned", "speed-up", "of onnxruntime's time")
    grid = Grid("model", *right, *device.heading, right=right, flexible=("model", "device"))
    for model in models:
        before, after = model["first"], model["second"]
        same = before is not None and before == after
        ratio = "the same" if same else ratio_text(_tuned_s(before), _tuned_s(after))
        for which, row, change in ((ids[0], before, ""), (ids[1], after, ratio)):
            if row is None:
                continue
            seconds = row["tuned_s"]
            grid.add(
                short_path(model["model"]),
                which,
                "-" if seconds is None else ms(seconds),
                change,
                _of_reference(row),
                *device.cell(model["device_class"]),
            )
    return grid.table()


def _tuned_s(row: _Document | None) -> float | None:
    return None if row is None else row["tuned_s"]


def _of_reference(row: _Document) -> str:
    ratio = quotient(row["tuned_s"], row["reference_s"])
    return "-" if ratio is None else f"{ratio:.2f}x"
