"""What is said of a library that was built, by the document of `build`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from orchestrator.cli.kit.grid import Grid
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.stale import say_stale
from orchestrator.cli.kit.text import age, amount, device_text, latency, plural, short_path
from orchestrator.cli.models.coverage import coverage_text
from orchestrator.cli.models.latencies import wrong_text
from workers.messages import Origin

__all__ = ["say_files", "show_built"]

_Document = dict[str, Any]


def show_built(session: Session, document: _Document, named: str) -> None:
    """Write what a library consists of.

    Parameters
    ----------
    named : str
        The model, as a person named it.
    """
    tasks = document["tasks"]
    borrowed = sum(task["borrowed_from"] is not None for task in tasks)
    line = coverage_text(len(tasks), document["tasks_tuned"], borrowed, document["expected_s"])
    session.show(_table(tasks), Text(f"\n{line}", style="bold"))
    say_stale(session, document["tasks_stale"], document["tasks_tuned"], named)
    if borrowed:
        session.say(
            f"{plural(borrowed, 'record')} borrowed, measured on another device than this", style="yellow"
        )
    for task in tasks:
        for aside in task["set_aside"]:
            session.say(
                f"record {aside['trial_id']} of {task['name']} ({latency(aside['best_s'])}) was set aside, "
                f"its kernel can't be built: {aside['reason']}",
                style="yellow",
            )
    if document["wrong_records"]:
        session.say(wrong_text(document["wrong_records"]), style="yellow")
    if document["origin"] is not None:
        session.write(Text(f"from {Origin(**document['origin'])}"))
    session.write(*(Text(f"on import: {change}") for change in document["changes"]))
    if document["plans_s"]:
        session.write(Text(f"kept {document['why']}"))


def say_files(session: Session, document: _Document, files: Sequence[Path], tune: str) -> None:
    """Say which files were written, what else runs the model, and how to tune what isn't.

    Parameters
    ----------
    files : sequence of Path
        The library, what of the model onnxruntime runs, the weights; those that there are.
    tune : str
        The command that tunes the rest.
    """
    session.write(*(Text(f"wrote {short_path(str(file))}") for file in files))
    rest = document["rest"]
    if rest is not None:
        whole_s = rest["before_reference_s"] + rest["reference_s"]
        session.say(
            f"the model goes on in {Path(rest['path']).name}, which onnxruntime runs: "
            f"{latency(rest['reference_s'])}, {rest['reference_s'] / whole_s:.0%} of what the whole takes "
            "there; `tunefleet run` does both",
            style="yellow",
        )
    missing = [task for task in document["tasks"] if task["best_s"] is None]
    if missing:
        lent = sum(task["lent"] for task in missing)
        few = f"{len(missing)} of {len(document['tasks'])} tasks are untuned"
        few += f"; schedules of others are lent to {lent}" if lent else " and slow"
        session.say(f"{few}; to tune them:\n  {tune}", style="yellow")


def _table(tasks: Sequence[_Document]) -> Table:
    """A model's tasks as a build takes them: from which record, and what that promises."""
    right: tuple[str, ...] = ("calls", "trials", "best", "a run")
    lent = ("of",) if any(task["borrowed_from"] for task in tasks) else ()
    aside = ("set aside",) if any(task["set_aside"] for task in tasks) else ()
    right += aside
    grid = Grid("task", *right, "record", *lent, right=right, flexible=("task", "of"))
    now = datetime.now(timezone.utc)
    for task in tasks:
        recorded = None if task["recorded_at"] is None else datetime.fromisoformat(task["recorded_at"])
        borrowed = task["borrowed_from"]
        grid.add(
            task["name"],
            str(task["weight"]),
            amount(task["trials"]),
            latency(task["best_s"]),
            latency(task["expected_s"]),
            *([amount(len(task["set_aside"])) if task["set_aside"] else ""] if aside else []),
            Text("lent" if task["lent"] else "untuned", style="yellow")
            if task["best_s"] is None
            else age(recorded, now) + (", stale" if task["stale"] else ""),
            *([device_text(borrowed) if borrowed else ""] if lent else []),
        )
    return grid.table()
