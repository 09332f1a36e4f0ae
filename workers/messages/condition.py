"""In which condition a machine was while something was timed on it."""

from __future__ import annotations

from dataclasses import dataclass, field

from workers.messages.trials import Measurement

__all__ = ["CheckedDevice", "Condition"]


@dataclass(frozen=True)
class Condition:
    """What a machine tells of itself; None for whatever it doesn't.

    Attributes
    ----------
    clock_mhz : float or None
        Of the cores that were used, on average, or of the GPU.
    governor : str or None
        What chooses the clock (``performance``, ``schedutil``); of a GPU its performance state (``P0``).
    load : float or None
        The machine's load average over a minute.
    temperature_c : float or None
        The hottest sensor of the CPU, or the GPU's own, in degrees Celsius.
    throttle_count : int or None
        How often those cores were throttled since the machine started.
    throttling : str or None
        What holds a GPU's clock down now; empty for nothing.
    stolen_s : float or None
        Seconds of the CPU that a virtual machine's host gave to others since it started.
    """

    clock_mhz: float | None = None
    governor: str | None = None
    load: float | None = None
    temperature_c: float | None = None
    throttle_count: int | None = None
    throttling: str | None = None
    stolen_s: float | None = None


@dataclass(frozen=True)
class CheckedDevice:
    """What a known kernel took on a device, and in which condition its machine was right after."""

    measurement: Measurement
    condition: Condition = field(default_factory=Condition)
