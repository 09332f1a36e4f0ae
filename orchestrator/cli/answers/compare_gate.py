"""``compare --fail-if-slower``: what became of the models of two campaigns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from orchestrator.cli.kit.exits import FAILED
from orchestrator.cli.kit.gate_option import change_text, held_table, noise_note
from orchestrator.cli.kit.grid import Grid
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.text import latency
from orchestrator.errors import NotFoundError

__all__ = ["conclude"]

_Document = dict[str, Any]


def conclude(session: Session, gate: _Document, tasks: Iterable[_Document]) -> int:
    """Show what was found, and return the exit code.

    Parameters
    ----------
    gate : dict
        Of :func:`orchestrator.documents.gate.campaigns_gate_document`.
    tasks : iterable of dict
        Those of the comparison.

    Raises
    ------
    NotFoundError
        No model of theirs can be judged.
    """
    held, wrong = gate["models"], gate["models_wrong"]
    if not held and not wrong:
        raise NotFoundError(
            "the campaigns share no model that both left compared with onnxruntime in turns enough, and "
            "nothing says whether one is slower; `tunefleet bench MODEL --fail-if-slower 3%` looks now"
        )
    if held:
        session.show("", held_table((one["model"], one) for one in held))
    for one in held:
        if one["too_noisy"]:
            session.say(noise_note(one["model"], one), style="yellow")
    for name in gate["models_untold"]:
        session.say(f"of {name} nothing can be said: it was not compared after both", style="yellow")
    slower = [one["model"] for one in held if one["verdict"] == "slower"]
    if not slower and not wrong:
        return 0
    slower_tasks = _slower(tasks)
    if slower and slower_tasks:
        session.show("", _tasks_table(slower_tasks))
    for name in wrong:
        session.error(f"the outputs of {name} are not onnxruntime's after the second campaign")
    if slower:
        allowed = change_text(held[0]["allowed"])
        session.error(f"slower by more than the {allowed} that is allowed: {', '.join(slower)}")
    return FAILED


def _slower(tasks: Iterable[_Document]) -> list[_Document]:
    """Return the tasks whose best is slower in the second campaign, those first that cost a run most."""
    both = [task for task in tasks if task["first"] is not None and task["second"] is not None]
    timed = [t for t in both if t["first"]["best_s"] is not None and t["second"]["best_s"] is not None]
    return sorted((task for task in timed if _lost(task) > 0), key=lambda task: -_lost(task))


def _lost(task: _Document) -> float:
    before, after = task["first"], task["second"]
    return float(after["weight"] * (after["best_s"] - before["best_s"]))


def _tasks_table(tasks: Sequence[_Document]) -> Table:
    right = ("calls", "before", "now", "change", "of a run")
    grid = Grid("task whose best is slower", *right, right=right, flexible=("task whose best is slower",))
    for task in tasks:
        before, after = task["first"], task["second"]
        grid.add(
            task["name"],
            str(after["weight"]),
            latency(before["best_s"]),
            latency(after["best_s"]),
            change_text(after["best_s"] / before["best_s"] - 1),
            Text(f"+{latency(_lost(task))}"),
        )
    return grid.table()
