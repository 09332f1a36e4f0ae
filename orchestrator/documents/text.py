"""Numbers, times and paths as people read them."""

from __future__ import annotations

import math
import os
import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.builds.intervals import Interval

__all__ = [
    "age",
    "amount",
    "between_text",
    "device_text",
    "duration",
    "finite",
    "gflops",
    "instant",
    "interval_text",
    "latency",
    "mflop",
    "ms",
    "plural",
    "printable",
    "short_path",
    "when",
]

# Longer than paths are.
_ENDLESS = re.compile(r"\S{1025,}")
_MINUTE = 60
_HOUR = 3600
_DAY = 86400


def latency(seconds: float | None) -> str:
    """Write a run time with three or four digits and the unit that fits it."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")):
        value = seconds * factor
        if value >= 1:
            return f"{value:.{_decimals(value)}f} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def interval_text(found: Interval | None) -> str:
    """Write between which two run times a median lies, the unit once where it is the same."""
    return "-" if found is None else between_text(found.low, found.high)


def between_text(low_s: float, high_s: float) -> str:
    """Write two run times, the unit once where it is the same."""
    low, high = latency(low_s), latency(high_s)
    unit = high.rpartition(" ")[2]
    return f"{low.removesuffix(f' {unit}')} to {high}" if low.endswith(f" {unit}") else f"{low} to {high}"


def ms(seconds: float) -> str:
    """Write a model's latency in milliseconds, the unit in which models are compared."""
    return f"{seconds * 1e3:,.{_decimals(seconds * 1e3) + 1}f} ms"


def _decimals(value: float) -> int:
    return 2 if value < 10 else 1 if value < 100 else 0


def duration(seconds: float) -> str:
    """Write a span of time as ``45s``, ``3m 12s``, ``1h 05m`` or ``2d 03h``."""
    total = max(0, round(seconds))
    if total < _MINUTE:
        return f"{total}s"
    if total < _HOUR:
        return f"{total // _MINUTE}m {total % _MINUTE:02d}s"
    if total < _DAY:
        return f"{total // _HOUR}h {total % _HOUR // _MINUTE:02d}m"
    return f"{total // _DAY}d {total % _DAY // _HOUR:02d}h"


def age(then: datetime | None, now: datetime | None = None) -> str:
    """Write how long ago something was."""
    if then is None:
        return "-"
    seconds = ((now or datetime.now(timezone.utc)) - then).total_seconds()
    if seconds < _MINUTE:
        return "just now"
    for unit, word in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= unit:
            return f"{seconds // unit:.0f} {word} ago"
    raise AssertionError(seconds)


def when(then: datetime | None) -> str:
    """Write an instant in the reader's own time zone, to the second."""
    return "-" if then is None else then.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def instant(then: datetime | None) -> str | None:
    """Write an instant for machines: ISO 8601, UTC, milliseconds."""
    if then is None:
        return None
    return then.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def amount(number: float) -> str:
    """Write a count with its thousands set apart."""
    return f"{number:,.0f}"


def plural(number: int, word: str) -> str:
    """Write a count and what is counted: ``1 trial``, ``2 trials``."""
    return f"{amount(number)} {word}{'' if number == 1 else 's'}"


def gflops(flops: float, seconds: float | None) -> float | None:
    """Return the speed in GFLOP/s; None where either part of it isn't known."""
    return flops / seconds / 1e9 if flops and seconds else None


def mflop(flops: float) -> str:
    """Write the work of one call in MFLOP."""
    return f"{flops / 1e6:,.2f}" if flops else "-"


def finite(number: float | None) -> float | None:
    """Leave out what JSON can't say: infinity and NaN, which a wrong output may bring about."""
    return number if number is not None and math.isfinite(number) else None


def device_text(device_class: str) -> str:
    """Leave out what only tells two targets of one device model apart: the digest before the ``@``."""
    target, at, model = device_class.partition("@")
    head, dash, digest = target.rpartition("-")
    is_digest = bool(dash) and len(digest) == 6 and all(c in "0123456789abcdef" for c in digest)
    return f"{head if is_digest else target}{at}{model}"


def printable(text: str) -> str:
    """Write characters that show nothing, or steer a terminal, as escapes; lines stay lines.

    Of a word without an end, as a damaged name may be, the middle is left out.
    """
    short = _ENDLESS.sub(lambda found: f"{found[0][:100]}[...]{found[0][-40:]}", text)
    return "".join(one if one.isprintable() or one == "\n" else _escaped(one) for one in short)


def _escaped(one: str) -> str:
    # A byte of a name that is no text, as Python has it.
    if "\udc80" <= one <= "\udcff":
        return f"\\x{ord(one) - 0xDC00:02x}"
    return one.encode("unicode_escape", "surrogatepass").decode()


def short_path(path: str) -> str:
    """Name a file from here where that is shorter and below here."""
    try:
        relative = os.path.relpath(path)
    except OSError:  # there is no here any more
        return path
    return path if relative.startswith(os.pardir) else relative
