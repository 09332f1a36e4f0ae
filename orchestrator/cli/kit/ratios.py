"""Speeds, gains and shares as text."""

from __future__ import annotations

from orchestrator.cli.kit.text import gflops

__all__ = ["gain_text", "percent_text", "quotient", "ratio_text", "speed_text"]


def speed_text(flops: float, seconds: float | None) -> str:
    speed = gflops(flops, seconds)
    return f"{speed:.1f}" if speed else "-"


def percent_text(part: float | None) -> str:
    return "-" if part is None else f"{part:.1%}"


def gain_text(before: float | None, after: float) -> str:
    return f"{1 - after / before:.1%}" if before else "first"


def quotient(before: float | None, after: float | None) -> float | None:
    return before / after if before is not None and after else None


def ratio_text(before: float | None, after: float | None) -> str:
    found = quotient(before, after)
    return "-" if found is None else f"{found:.2f}x"
