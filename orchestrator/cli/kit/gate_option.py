"""``--fail-if-slower``: the option, what is shown of what it found, and its part of a JSON document."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from orchestrator.cli.kit.grid import Grid
from orchestrator.cli.kit.parsing import parse_part
from orchestrator.cli.kit.text import instant, ms, when

if TYPE_CHECKING:
    from orchestrator.builds.gate import Change, Held, Side

__all__ = [
    "FailIfSlower",
    "allowed_slowdown",
    "between_text",
    "change_text",
    "held_document",
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


def between_text(change: Change) -> str:
    """Write between which two values a change lies."""
    return f"{change_text(change.least)} to {change_text(change.most)}"


def held_table(rows: Iterable[tuple[str, Held]]) -> Table:
    """Models, each of them held against what it was before."""
    rows = list(rows)
    by_ratio = any(held.by_ratio for _, held in rows)
    times = ("before", "now", *(("of onnxruntime's time", "then now") if by_ratio else ()))
    right = (*times, "change", "between")
    grid = Grid("model", *right, "so it is", right=right, flexible=("model",))
    for name, held in rows:
        grid.add(
            name,
            ms(held.before.tuned_median_s),
            ms(held.now.tuned_median_s),
            *((_ratio(held.before, held), _ratio(held.now, held)) if by_ratio else ()),
            change_text(held.change.middle),
            between_text(held.change),
            Text(held.verdict.value, style=_STYLES[held.verdict.value]),
        )
    return grid.table()


def _ratio(side: Side, held: Held) -> str:
    reference_s = side.reference_median_s
    return f"{side.tuned_median_s / reference_s:.2f}x" if held.by_ratio and reference_s else "-"


def held_origin(held: Held) -> str:
    """Say what it was held against."""
    side = held.before
    whose = "" if side.campaign_id is None else f" of campaign {side.campaign_id}"
    file = "" if side.model_id == held.now.model_id else ", of an earlier file of this name"
    return f"held against the comparison{whose} of {when(side.taken_at)}{file}"


def noise_note(name: str, held: Held) -> str:
    """Say that a level one may be slower all the same; nothing where that is told."""
    if not held.too_noisy:
        return ""
    return (
        f"{name} may be up to {change_text(held.change.most)} slower: {change_text(held.allowed)} can't be "
        "told from what its turns differ by; let nothing else run meanwhile, or take more turns "
        "(bench --rounds)"
    )


def held_document(held: Held | None) -> dict[str, Any] | None:
    """A library held against an earlier one."""
    if held is None:
        return None
    return {
        "verdict": held.verdict.value,
        "allowed": held.allowed,
        "by": "reference_ratio" if held.by_ratio else "tuned_s",
        "change": held.change.middle,
        "change_least": held.change.least,
        "change_most": held.change.most,
        "too_noisy": held.too_noisy,
        "before": {
            **_side(held.before),
            "same_file": held.before.model_id == held.now.model_id,
            "campaign_id": held.before.campaign_id,
            "created_at": instant(held.before.taken_at),
        },
        "now": _side(held.now),
    }


def _side(side: Side) -> dict[str, Any]:
    return {
        "tuned_s": side.tuned_median_s,
        "reference_s": side.reference_median_s,
        "turns": len(side.tuned_s),
    }
