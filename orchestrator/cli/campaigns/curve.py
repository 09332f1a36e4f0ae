"""The curve of a campaign: how fast its models were estimated to be over its time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.cli.kit.text import duration, latency

if TYPE_CHECKING:
    from orchestrator.storage import CurveRow

__all__ = ["curve_text", "reference_text", "sampled"]

_BARS = "▁▂▃▄▅▆▇█"
# As many bars as are still read at a glance.
_WIDTH = 24


def curve_text(row: CurveRow) -> str:
    """Draw a curve in one line; empty where there is none yet."""
    if not row.points:
        return ""
    (begins_s, first_s), (ends_s, last_s) = row.points[0], row.points[-1]
    if begins_s == ends_s:
        return f"{latency(first_s)} after {duration(begins_s)}"
    values = sampled(row.points, _WIDTH)
    span = max(first_s - last_s, 1e-12)
    bars = "".join(_BARS[round((value - last_s) / span * (len(_BARS) - 1))] for value in values)
    return f"{latency(first_s)} after {duration(begins_s)} {bars} {latency(last_s)} after {duration(ends_s)}"


def sampled(points: Sequence[tuple[float, float]], count: int) -> list[float]:
    """Return a curve's value at so many instants, evenly from its first to its last point."""
    (begins_s, _), (ends_s, last_s) = points[0], points[-1]
    instants = (begins_s + (ends_s - begins_s) * number / (count - 1) for number in range(count))
    values = [next(value for at, value in reversed(points) if at <= at_s + 1e-9) for at_s in instants]
    values[-1] = last_s
    return values


def reference_text(row: CurveRow) -> str:
    """Say how that compares with the beginning and with onnxruntime; empty where neither is known."""
    parts = []
    if row.library_s is not None:
        parts.append(f"the library took {latency(row.library_s)} when it began")
    if row.reference_s is not None:
        text = f"onnxruntime {latency(row.reference_s)}"
        passed_s = row.passed_s
        if passed_s == 0:
            text += ", passed from the beginning"
        elif passed_s is not None:
            text += f", passed after {duration(passed_s)}"
        elif row.points:
            text += ", not passed yet"
        parts.append(text)
    return "; ".join(parts)
