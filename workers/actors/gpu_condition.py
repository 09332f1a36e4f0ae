"""What an NVIDIA GPU tells of its condition, by NVML: where its Python package is installed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from workers.messages import Condition, Station

__all__ = ["gpu_condition"]

# What may hold the clock down, by NVML's names of the bits of `nvmlDeviceGetCurrentClocksThrottleReasons`.
# That it idles, or was told to keep to a clock, holds nothing down that was not meant to be.
_REASONS = {
    "nvmlClocksThrottleReasonSwPowerCap": "power cap",
    "nvmlClocksThrottleReasonHwSlowdown": "hardware slowdown",
    "nvmlClocksThrottleReasonSwThermalSlowdown": "too hot",
    "nvmlClocksThrottleReasonHwThermalSlowdown": "much too hot",
    "nvmlClocksThrottleReasonHwPowerBrakeSlowdown": "power brake",
}


def gpu_condition(station: Station, load: float | None) -> Condition:
    """Say in which condition a GPU is; nothing but the load where NVML or its package isn't there."""
    nvml = _nvml()
    if nvml is None:
        return Condition(load=load)
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return Condition(load=load)
    try:
        handle = _handle(nvml, station)
        known: dict[str, Any] = {}
        with _unknown(nvml):
            known["clock_mhz"] = float(nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM))
        with _unknown(nvml):
            known["governor"] = f"P{nvml.nvmlDeviceGetPerformanceState(handle)}"
        with _unknown(nvml):
            sensor = nvml.NVML_TEMPERATURE_GPU
            known["temperature_c"] = float(nvml.nvmlDeviceGetTemperature(handle, sensor))
        with _unknown(nvml):
            bits = nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle)
            held = [word for name, word in _REASONS.items() if bits & getattr(nvml, name)]
            known["throttling"] = ", ".join(held)
        return Condition(load=load, **known)
    except nvml.NVMLError:
        return Condition(load=load)
    finally:
        with contextlib.suppress(nvml.NVMLError):
            nvml.nvmlShutdown()


def _nvml() -> ModuleType | None:
    try:
        import pynvml
    except ImportError:
        return None
    return pynvml  # type: ignore[no-any-return]


def _handle(nvml: Any, station: Station) -> Any:
    """Return the station's GPU: NVML counts all of a machine, CUDA those that a process may see."""
    seen = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = seen.split(",") if seen else []
    name = names[station.index].strip() if station.index < len(names) else str(station.index)
    if name.isdigit():
        return nvml.nvmlDeviceGetHandleByIndex(int(name))
    return nvml.nvmlDeviceGetHandleByUUID(name)


@contextlib.contextmanager
def _unknown(nvml: Any) -> Iterator[None]:
    """Pass over what a GPU, its driver or this release of NVML doesn't tell."""
    with contextlib.suppress(nvml.NVMLError, AttributeError):
        yield
