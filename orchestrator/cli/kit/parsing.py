"""Durations, shapes, latencies and parts of a whole as people write them."""

from __future__ import annotations

import math
import re

from orchestrator.errors import UsageError

__all__ = ["parse_duration", "parse_limit", "parse_part", "parse_shape"]


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


def parse_limit(text: str) -> float | str:
    """Read ``5ms``, ``800us``, ``1.2s`` as seconds, and ``onnxruntime`` as itself.

    Raises
    ------
    UsageError
        Where it is none of these.
    """
    if text.strip().lower() == "onnxruntime":
        return "onnxruntime"
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|ms|us|µs)", text.strip())
    if found is None or float(found[1]) <= 0:
        raise UsageError(
            f"--until {text!r} is no latency; write 5ms, 800us or 1.2s, or onnxruntime for its time"
        )
    return float(found[1]) * {"s": 1.0, "ms": 1e-3}.get(found[2], 1e-6)


def parse_part(text: str, option: str, *, least: float = 0.0) -> float:
    """Read ``3%`` or ``0.03`` as a part of a whole.

    Parameters
    ----------
    option : str
        What it was given with.
    least : float, optional
        It has to be this or more.

    Raises
    ------
    UsageError
        Where it is no such part.
    """
    number = text.strip()
    try:
        value = float(number.removesuffix("%")) / (100 if number.endswith("%") else 1)
    except ValueError:
        value = math.nan
    if not least <= value < 1:
        raise UsageError(f"{option} {text!r} is no part of a whole; write 1% or 0.01")
    return value


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
