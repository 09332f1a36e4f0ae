"""What has changed about a machine since its device was as fast as it used to be: why it may not be now."""

from __future__ import annotations

from collections.abc import Iterator

from workers.messages import Condition

__all__ = ["causes"]

#: From where on a change is worth telling: parts of the clock, load, degrees, and seconds of CPU.
_CLOCK, _LOAD, _DEGREES, _STOLEN = 0.03, 0.5, 5.0, 1.0


def causes(before: Condition | None, now: Condition) -> str:
    """Say what is otherwise than before, as far as a machine tells; empty where nothing is."""
    return "; ".join(_found(before or Condition(), now))


def _found(before: Condition, now: Condition) -> Iterator[str]:
    if now.throttling:
        yield f"its clock is held down: {now.throttling}"
    if before.throttle_count is not None and now.throttle_count is not None:
        count = now.throttle_count - before.throttle_count
        if count > 0:
            yield f"throttled {count:,} times"
    if before.clock_mhz and now.clock_mhz and abs(now.clock_mhz / before.clock_mhz - 1) > _CLOCK:
        yield f"clock from {before.clock_mhz:.0f} to {now.clock_mhz:.0f} MHz"
    if before.governor and now.governor and before.governor != now.governor:
        yield f"governor from {before.governor} to {now.governor}"
    if before.load is not None and now.load is not None and now.load > before.load + _LOAD:
        yield f"load from {before.load:.1f} to {now.load:.1f}"
    warm, hot = before.temperature_c, now.temperature_c
    if warm is not None and hot is not None and hot >= warm + _DEGREES:
        yield f"from {warm:.0f} to {hot:.0f} °C"
    if before.stolen_s is not None and now.stolen_s is not None:
        stolen = now.stolen_s - before.stolen_s
        if stolen >= _STOLEN:
            yield f"its host gave {stolen:.0f} s of its CPU to others"
