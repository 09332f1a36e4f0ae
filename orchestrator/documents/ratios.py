"""Speeds, gains and shares as text."""

from __future__ import annotations

from orchestrator.documents.text import gflops

__all__ = ["gain_text", "percent_text", "quotient", "ratio_text", "speed_text"]


def speed_text(flops: float, seconds: float | None) -> str:
    """Write a speed in GFLOP/s."""
    speed = gflops(flops, seconds)
    return f"{speed:.1f}" if speed else "-"


def percent_text(part: float | None) -> str:
    """Write a part of a whole."""
    return "-" if part is None else f"{part:.1%}"


def gain_text(before: float | None, after: float) -> str:
    """Write by which part of the time before something got faster; there may be none before."""
    return f"{1 - after / before:.1%}" if before else "first"


def quotient(before: float | None, after: float | None) -> float | None:
    """Return how many times faster something got; None where either time isn't known."""
    return before / after if before is not None and after else None


def ratio_text(before: float | None, after: float | None) -> str:
    """Write how many times faster something got."""
    found = quotient(before, after)
    return "-" if found is None else f"{found:.2f}x"
