"""What this machine tells of its condition: clock, governor, load, temperature, throttling."""

from __future__ import annotations

import contextlib
import os
import pathlib
import statistics
from collections.abc import Iterator
from typing import Any

import psutil

from workers.actors.gpu_condition import gpu_condition
from workers.messages import Condition, Station

__all__ = ["condition_of"]

_CPUS = pathlib.Path("/sys/devices/system/cpu")
# Of the drivers that report a CPU's temperature: Intel's, AMD's, and those of boards.
_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal", "cpu-thermal", "soc_thermal")


def condition_of(station: Station, cpus: pathlib.Path = _CPUS) -> Condition:
    """Say in which condition the machine of a device is.

    It takes a few milliseconds, and never fails: what can't be read is None. Of a board behind a tracker
    nothing is known here.
    """
    if station.tracker is not None:
        return Condition()
    if station.device.kind == "cuda":
        return gpu_condition(station, load=_load())
    if station.device.kind != "cpu":
        return Condition(load=_load())
    cores = _cores(station)
    return Condition(
        clock_mhz=_clock_mhz(cores),
        governor=_governor(cores, cpus),
        load=_load(),
        temperature_c=_temperature_c(),
        throttle_count=_throttle_count(cores, cpus),
        stolen_s=_stolen_s(),
    )


def _cores(station: Station) -> list[int]:
    """Return the cores that the device's server keeps to."""
    usable = sorted(os.sched_getaffinity(0))
    count = station.device.cores or len(usable)
    return usable[station.index * count : (station.index + 1) * count] or usable


def _clock_mhz(cores: list[int]) -> float | None:
    with _unknown():
        clocks = psutil.cpu_freq(percpu=True)
        known = [clocks[core].current for core in cores if core < len(clocks) and clocks[core].current]
        if known:
            return float(statistics.fmean(known))
    return None


def _governor(cores: list[int], cpus: pathlib.Path) -> str | None:
    found = dict.fromkeys(
        text for core in cores if (text := _text(cpus / f"cpu{core}" / "cpufreq" / "scaling_governor"))
    )
    return ", ".join(found) or None


def _load() -> float | None:
    with _unknown():
        return float(os.getloadavg()[0])
    return None


def _temperature_c() -> float | None:
    with _unknown():
        sensors: dict[str, list[Any]] = psutil.sensors_temperatures()
        known = [one.current for name in _SENSORS for one in sensors.get(name, []) if one.current]
        if known:
            return float(max(known))
    return None


def _throttle_count(cores: list[int], cpus: pathlib.Path) -> int | None:
    # The package's own events reach all of its cores, each of which counts them.
    counts = []
    for core in cores:
        folder = cpus / f"cpu{core}" / "thermal_throttle"
        told = [_text(folder / name) for name in ("core_throttle_count", "package_throttle_count")]
        counts += [sum(int(text) for text in told if text.isdigit())] if any(told) else []
    return max(counts) if counts else None


def _stolen_s() -> float | None:
    with _unknown():
        return float(psutil.cpu_times().steal)
    return None


def _text(path: pathlib.Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


@contextlib.contextmanager
def _unknown() -> Iterator[None]:
    """Pass over whatever a system doesn't have: files, whole functions of psutil, numbers in them."""
    with contextlib.suppress(OSError, AttributeError, NotImplementedError, ValueError, RuntimeError):
        yield
