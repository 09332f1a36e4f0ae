"""Latencies of a model side by side, and how its outputs compare: what several commands write of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.cli.kit.grid import Grid
from orchestrator.cli.kit.text import device_text, latency, ms

if TYPE_CHECKING:
    from orchestrator.builds.gate import Side
    from orchestrator.builds.intervals import Interval
    from orchestrator.builds.wrong_outputs import WrongRecord

__all__ = [
    "against_reference_text",
    "latencies_table",
    "latency_head",
    "outcome_facts",
    "wrong_documents",
    "wrong_text",
]


def latency_head(model: str, device_class: str) -> Text:
    """Write the line above what is said of a model on a device."""
    return Text(model, style="bold").append(f" on {device_text(device_class)}", style="not bold dim")


def latencies_table(
    untuned_s: float | None,
    tuned_s: float | None,
    reference_s: float | None,
    runs: Mapping[str, int] | None = None,
    side: Side | None = None,
) -> Table:
    """One run untuned, tuned and in onnxruntime; those that were timed.

    Parameters
    ----------
    runs : mapping of str to int, optional
        Of how many runs each is the median: ``untuned``, ``tuned`` and ``reference``.
    side : Side, optional
        What each turn took.
    """
    sure = {} if side is None else {"tuned": side.sure_tuned, "onnxruntime": side.sure_reference}
    # On a board there is no onnxruntime to time.
    right = ("latency", *(("between",) if any(sure.values()) else ()), "speed-up")
    right += ("of onnxruntime's time",) if reference_s else ()
    runs = runs if runs and any(runs.values()) else None
    right += ("runs",) if runs else ()
    grid = Grid("one run", *right, right=right)
    for name, seconds in (("untuned", untuned_s), ("tuned", tuned_s), ("onnxruntime", reference_s)):
        if seconds is not None:
            grid.add(
                name,
                ms(seconds),
                *((_between(sure.get(name)),) if any(sure.values()) else ()),
                f"{untuned_s / seconds:.2f}x" if untuned_s else "-",
                *((_of_reference(name, seconds, reference_s, side),) if reference_s else ()),
                *((str(runs.get("reference" if name == "onnxruntime" else name, "-")),) if runs else ()),
                style="bold" if name == "tuned" else "",
            )
    return grid.table()


def _between(found: Interval | None) -> str:
    return "-" if found is None else f"{ms(found.low).removesuffix(' ms')} to {ms(found.high)}"


def _of_reference(name: str, seconds: float, reference_s: float, side: Side | None) -> str:
    """Write a time as a part of onnxruntime's; that of the tuned library turn by turn."""
    paired = None if side is None or name != "tuned" else side.sure_ratio
    return f"{seconds / reference_s if paired is None else paired.middle:.2f}x"


def against_reference_text(side: Side | None) -> str:
    """Say whether a library is faster than onnxruntime, and how sure that is; nothing where nobody knows."""
    if side is None or side.sure_ratio is None or side.against_reference is None:
        return ""
    low, high = side.sure_ratio.low, side.sure_ratio.high
    return f"{side.against_reference.value}: {low:.2f}x to {high:.2f}x of its time"


def wrong_text(wrong: Iterable[Mapping[str, Any]]) -> str:
    """Say which records were left out of a library because they compute something else, a line each."""
    return "\n".join(
        f"record {one['trial_id']} of {one['task']} ({latency(one['best_s'])}) computes something else, "
        f"{one['reason']}: its trial is wrong_output now, and the library was built again without it"
        for one in wrong
    )


def wrong_documents(wrong: Iterable[WrongRecord]) -> list[dict[str, Any]]:
    """Return such records for machines."""
    return [asdict(one) for one in wrong]


def outcome_facts(
    agree: bool, disagreement: str, max_abs: float | None, max_rel: float | None, remark: str
) -> list[tuple[str, RenderableType]]:
    """Say whether outputs are right, by how much they differ, and why that is allowed."""
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
