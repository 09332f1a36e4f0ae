"""Durations and shapes as people write them."""

from __future__ import annotations

import re

from orchestrator.errors import UsageError

__all__ = ["parse_duration", "parse_shape"]


def parse_duration(text: str) -> float:
    """Read ``90``, ``90s``, ``30m``, ``1h30m`` as seconds.

    Raises
    ------
    UsageError
        Where it is none of these.
    """
    found = re.fullmatch(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?", text.strip())
    if not text.strip() or found is None:
        raise UsageError(f"{text!r} is not a duration; write 90s, 30m or 1h30m")
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    total = hours * 3600 + minutes * 60 + seconds
    if total <= 0:
        raise UsageError(f"a duration must be longer than nothing, not {text!r}")
    return total


def parse_shape(text: str) -> tuple[str, tuple[int, ...]]:
    """Read ``NAME:1,3,224,224``; the name may hold colons itself.

    Raises
    ------
    UsageError
        Where it is not of that form, or a dimension is not positive.
    """
    name, colon, dims = text.rpartition(":")
    try:
        shape = tuple(int(dim) for dim in dims.split(","))
    except ValueError:
        shape = ()
    if not colon or not name or not shape or min(shape) < 1:
        raise UsageError(f"--input-shape {text!r} is not of the form NAME:1,3,224,224")
    return name, shape
