"""What a machine tells of its condition, and what it doesn't."""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from workers.actors.condition import condition_of
from workers.messages import Condition, DeviceInfo, Station

CPU = DeviceInfo("llvm", "cpu-a-1", "Some CPU", 1, "cpu")
GPU = DeviceInfo("cuda", "gpu-b", "Some GPU", 0, "cuda")
UNKNOWN = Condition()


def test_this_machine_says_what_it_can_and_nothing_that_is_nonsense() -> None:
    found = condition_of(Station("cpu", CPU))
    assert found.load is not None
    assert 0 <= found.load < 10_000
    assert found.clock_mhz is None or 100 < found.clock_mhz < 20_000
    assert found.temperature_c is None or -20 < found.temperature_c < 150
    assert found.throttle_count is None or found.throttle_count >= 0
    assert found.throttling is None


def test_of_a_board_nothing_is_known_here() -> None:
    assert condition_of(Station("board", CPU, tracker=("192.0.2.1", 9190))) == UNKNOWN


def test_governors_and_throttling_are_those_of_the_device_s_own_cores(tmp_path: Path) -> None:
    cores = sorted(os.sched_getaffinity(0))

    def write(core: int, name: str, text: str) -> None:
        file = tmp_path / f"cpu{core}" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    write(cores[0], "cpufreq/scaling_governor", "powersave\n")
    write(cores[0], "thermal_throttle/core_throttle_count", "3\n")
    write(cores[0], "thermal_throttle/package_throttle_count", "14\n")
    write(cores[-1] + 1, "cpufreq/scaling_governor", "performance\n")
    found = condition_of(Station("cpu", CPU), tmp_path)
    assert (found.governor, found.throttle_count) == ("powersave", 17)
    nothing = condition_of(Station("cpu", CPU), tmp_path / "nowhere")
    assert (nothing.governor, nothing.throttle_count) == (None, None)


@pytest.mark.parametrize("error", [OSError, NotImplementedError, AttributeError])
def test_what_a_system_lacks_is_unknown(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def lacks(*_: object, **__: object) -> Any:
        raise error("not here")

    for name in ("cpu_freq", "sensors_temperatures", "cpu_times"):
        monkeypatch.setattr(psutil, name, lacks)
    found = condition_of(Station("cpu", CPU))
    assert (found.clock_mhz, found.temperature_c, found.stolen_s) == (None, None, None)


def test_a_gpu_without_nvml_is_checked_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    found = condition_of(Station("gpu", GPU))
    assert found == Condition(load=found.load)


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """Stand in for NVML, of which no machine of ours has one: two GPUs, the second one hot."""
    made: Any = types.ModuleType("pynvml")
    made.NVMLError = type("NVMLError", (Exception,), {})
    made.NVML_CLOCK_SM, made.NVML_TEMPERATURE_GPU = 1, 0
    made.nvmlClocksThrottleReasonSwPowerCap = 4
    made.nvmlClocksThrottleReasonHwSlowdown = 8
    made.nvmlClocksThrottleReasonSwThermalSlowdown = 32
    made.nvmlClocksThrottleReasonHwThermalSlowdown = 64
    made.nvmlClocksThrottleReasonHwPowerBrakeSlowdown = 128
    made.open = 0

    def count(by: int) -> Callable[[], None]:
        def change() -> None:
            made.open += by

        return change

    made.nvmlInit, made.nvmlShutdown = count(1), count(-1)
    made.nvmlDeviceGetHandleByIndex = lambda index: index
    made.nvmlDeviceGetHandleByUUID = {"GPU-0a": 0, "GPU-1b": 1}.__getitem__
    made.nvmlDeviceGetClockInfo = lambda gpu, kind: (1980, 1200)[gpu]
    made.nvmlDeviceGetPerformanceState = lambda gpu: (0, 2)[gpu]
    made.nvmlDeviceGetTemperature = lambda gpu, sensor: (45, 91)[gpu]
    # Idle, which holds nothing down; power and heat.
    made.nvmlDeviceGetCurrentClocksThrottleReasons = lambda gpu: (1, 4 | 32)[gpu]
    monkeypatch.setitem(sys.modules, "pynvml", made)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return made  # type: ignore[no-any-return]


@pytest.mark.parametrize("seen", ["", "1", "GPU-1b"])
def test_a_gpu_says_its_clock_its_heat_and_what_holds_it_down(
    nvml: Any, monkeypatch: pytest.MonkeyPatch, seen: str
) -> None:
    if seen:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", seen)
    found = condition_of(Station("gpu", GPU, index=0 if seen else 1))
    assert found == Condition(1200.0, "P2", found.load, 91.0, None, "power cap, too hot")
    cool = condition_of(Station("gpu", GPU)) if not seen else found
    assert seen or cool.throttling == ""
    assert nvml.open == 0


def test_what_a_driver_does_not_tell_of_a_gpu_is_unknown(nvml: Any) -> None:
    def refuses(*_: object) -> Any:
        raise nvml.NVMLError("not supported")

    nvml.nvmlDeviceGetTemperature = refuses
    del nvml.nvmlDeviceGetCurrentClocksThrottleReasons
    found = condition_of(Station("gpu", GPU))
    assert (found.clock_mhz, found.governor, found.temperature_c, found.throttling) == (
        1980.0,
        "P0",
        None,
        None,
    )
    nvml.nvmlDeviceGetHandleByIndex = refuses
    assert condition_of(Station("gpu", GPU)) == Condition(load=found.load)
    nvml.nvmlInit = refuses
    assert condition_of(Station("gpu", GPU)) == Condition(load=found.load)
    assert nvml.open == 0
