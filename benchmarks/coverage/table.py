"""Results as a page: the share of each family, every model, and what isn't right with its message."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from benchmarks.coverage.outcomes import EXPORT_FAILED, OUTCOMES, RIGHT
from benchmarks.coverage.results import Result

__all__ = ["page", "shares"]

_PHASES = ("export", "prepare", "extract", "compile", "check", "compare")


def shares(results: Iterable[Result]) -> dict[str, tuple[int, int]]:
    """Return how many are right and how many were tried, by family; ``all`` are those that count."""
    found: dict[str, tuple[int, int]] = {}
    for result in results:
        if result.outcome == EXPORT_FAILED:
            continue
        for name in [result.family, *(["all"] if result.counted else [])]:
            right, tried = found.get(name, (0, 0))
            found[name] = right + (result.outcome == RIGHT), tried + 1
    return found


def page(results: Sequence[Result]) -> str:
    """Return all of it in Markdown."""
    parts = ["# Coverage", _families(results), _models(results), _faults(results)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _families(results: Sequence[Result]) -> str:
    found = shares(results)
    counts: dict[str, Counter[str]] = {}
    for result in results:
        counts.setdefault(result.family, Counter())[result.outcome] += 1
        if result.counted:
            counts.setdefault("all", Counter())[result.outcome] += 1
    used = [name for name in OUTCOMES if any(count[name] for count in counts.values()) and name != RIGHT]
    rows = [["family", "right", "of", "share", *used]]
    for family in [*(name for name in counts if name != "all"), "all"]:
        right, tried = found.get(family, (0, 0))
        share = f"{100 * right / tried:.0f}%" if tried else "-"
        rows.append(
            [family, str(right), str(tried), share, *(str(counts[family][name] or "") for name in used)]
            if family in counts
            else [family, "0", "0", "-", *("" for _ in used)]
        )
    words = "\n".join(f"- `{name}`: {OUTCOMES[name]}" for name in (RIGHT, *used))
    return f"{_grid(rows)}\n\n{words}"


def _models(results: Sequence[Result]) -> str:
    rows = [["model", "family", "exporter", "opset", "result", "layout", "calls", "difference", *_PHASES]]
    for result in results:
        rows.append(
            [
                result.name,
                result.family,
                result.exporter,
                str(result.opset),
                result.outcome,
                result.layout,
                str(result.kernel_calls or ""),
                "" if result.max_rel is None else f"{result.max_rel:.0e}",
                *(f"{result.seconds[name]:.1f}" if name in result.seconds else "" for name in _PHASES),
            ]
        )
    return f"## Models\n\nSeconds by phase; the calls are those of kernels in one inference.\n\n{_grid(rows)}"


def _faults(results: Sequence[Result]) -> str:
    faults = [result for result in results if result.outcome != RIGHT]
    if not faults:
        return ""
    order = list(OUTCOMES)
    faults.sort(key=lambda result: order.index(result.outcome))
    lines = [f"- **{one.name}** ({one.outcome}): {_one_line(one.message)}" for one in faults]
    return "## What isn't right\n\n" + "\n".join(lines)


def _one_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > 2:
        lines = [lines[0], lines[-1]]
    return " / ".join(lines)[:600]


def _grid(rows: Sequence[Sequence[str]]) -> str:
    head, *body = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body])
