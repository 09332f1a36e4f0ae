"""``--fail-if-slower``: the option, and what is shown of what it found."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from orchestrator.cli.kit.grid import Grid
from orchestrator.cli.kit.parsing import parse_part
from orchestrator.cli.kit.text import ms, when

__all__ = [
    "FailIfSlower",
    "allowed_slowdown",
    "change_span",
    "change_text",
    "held_origin",
    "held_table",
    "noise_note",
]

FailIfSlower = Annotated[
    str | None,
    typer.Option(
        "--fail-if-slower",
        metavar="PERCENT",
        help="End with exit code 1 where a tuned model takes longer than before by more than this (3%, or "
        "0.03), and by more than what chance may be; `docs/ci.md` says how that is told.",
        show_default=False,
    ),
]

_STYLES = {"slower": "bold white on red", "faster": "green", "level": ""}


def allowed_slowdown(option: str | None) -> float | None:
    """Read ``--fail-if-slower``; None where it isn't there.

    Raises
    ------
    UsageError
    """
    return None if option is None else parse_part(option, "--fail-if-slower")


def change_text(part: float) -> str:
    """Write a change with its sign."""
    return f"{part:+.1%}"


def change_span(held: dict[str, Any]) -> str:
    """Write between which two values a change lies; of the document of what was held."""
    return f"{change_text(held['change_least'])} to {change_text(held['change_most'])}"


def held_table(rows: Iterable[tuple[str, dict[str, Any]]]) -> Table:
    """Models, each of them held against what it was before; with the documents of that."""
    rows = list(rows)
    by_ratio = any(held["by"] == "reference_ratio" for _, held in rows)
    times = ("before", "now", *(("of onnxruntime's time", "then now") if by_ratio else ()))
    right = (*times, "change", "between")
    grid = Grid("model", *right, "so it is", right=right, flexible=("model",))
    for name, held in rows:
        before, now = held["before"], held["now"]
        ratios = (_ratio(before, held), _ratio(now, held)) if by_ratio else ()
        grid.add(
            name,
            ms(before["tuned_s"]),
            ms(now["tuned_s"]),
            *ratios,
            change_text(held["change"]),
            change_span(held),
            Text(held["verdict"], style=_STYLES[held["verdict"]]),
        )
    return grid.table()


def _ratio(side: dict[str, Any], held: dict[str, Any]) -> str:
    known = held["by"] == "reference_ratio" and side["reference_s"]
    return f"{side['tuned_s'] / side['reference_s']:.2f}x" if known else "-"


def held_origin(held: dict[str, Any]) -> str:
    """Say what it was held against."""
    side = held["before"]
    whose = "" if side["campaign_id"] is None else f" of campaign {side['campaign_id']}"
    file = "" if side["same_file"] else ", of an earlier file of this name"
    taken = None if side["created_at"] is None else datetime.fromisoformat(side["created_at"])
    return f"held against the comparison{whose} of {when(taken)}{file}"


def noise_note(name: str, held: dict[str, Any]) -> str:
    """Say that a level one may be slower all the same; nothing where that is told."""
    if not held["too_noisy"]:
        return ""
    return (
        f"{name} may be up to {change_text(held['change_most'])} slower: {change_text(held['allowed'])} "
        "can't be told from what its turns differ by; let nothing else run meanwhile, or take more turns "
        "(bench --rounds)"
    )
