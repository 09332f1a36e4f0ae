"""Turns at a machine's cores: between threads, processes and users that know nothing of each other."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from workers.clients import turns
from workers.clients.turns import cores_in_use, parts_of, turn
from workers.errors import EngineTimeoutError
from workers.messages import DeviceInfo, Station

_HOLDS = """
import pathlib, sys, time
from workers.clients import turns
turns._FOLDER = pathlib.Path(sys.argv[1])
with turns.turn(sys.argv[2:]):
    print("has it", flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(turns, "_FOLDER", tmp_path / "turns")
    return tmp_path / "turns"


def holder(folder: Path, *parts: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDS, str(folder), *parts], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "has it\n"
    return process


def test_another_process_is_waited_for_and_named_in_vain(folder: Path) -> None:
    process = holder(folder, "core 0", "core 1")
    try:
        with (
            pytest.raises(EngineTimeoutError, match="waited 0 s for core 1 of this machine"),
            turn(["core 1", "core 2"], 0.1),
        ):
            raise AssertionError("two at once")
        with turn(["core 2", "core 3"], 0.1):
            pass
    finally:
        process.kill()
        process.wait()
    # The kernel gives back what a process that was killed had.
    with turn(["core 0", "core 1"], 5.0):
        pass


def test_threads_that_want_cores_in_any_order_have_them_one_after_the_other() -> None:
    inside: list[int] = []
    most: list[int] = []

    def measure(number: int) -> None:
        parts = [f"core {n}" for n in range(4)]
        for _ in range(20):
            with turn(parts[::-1] if number % 2 else parts, 30.0):
                inside.append(number)
                most.append(len(inside))
                time.sleep(0.001)
                inside.remove(number)

    threads = [threading.Thread(target=measure, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(most), max(most)) == (80, 1)


def test_where_no_lock_can_be_made_nobody_waits(folder: Path) -> None:
    folder.write_text("a file where the folder would be")
    with turn(["core 0"], 0.1):
        pass


def test_the_folder_is_for_all_users_of_the_machine(folder: Path) -> None:
    with turn(["core 0"]):
        pass
    assert folder.stat().st_mode & 0o7777 == 0o1777
    (file,) = folder.iterdir()
    assert file.stat().st_mode & 0o444 == 0o444


def test_a_device_is_named_by_its_cores_or_its_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    first = min(os.sched_getaffinity(0))
    one = DeviceInfo("llvm -num-cores=1", "cpu-a-1", "Some CPU", 1, "cpu")
    gpu = DeviceInfo("cuda", "gpu-b", "Some GPU", 0, "cuda")
    assert parts_of(Station("key", one)) == [f"core {first}"]
    assert len(cores_in_use(0)) == len(os.sched_getaffinity(0))
    assert parts_of(Station("key", one, 0, ("tracker", 9190))) == []
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert parts_of(Station("key", gpu, 1)) == ["cuda 1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    assert parts_of(Station("key", gpu, 1)) == ["cuda 6"]
