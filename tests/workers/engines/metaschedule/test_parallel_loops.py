"""Threads of a library's own: their code alone and under ThreadSanitizer, and in libraries that TVM loads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from workers.enginekit.machine import usable_cores
from workers.engines.metaschedule import parallel_loops

FOLDER = Path(__file__).parent
OPTIONS = ["-pthread", "-DTHREADS=64", f"-I{Path(parallel_loops.__file__).parent}"]


@pytest.fixture(scope="module", params=["gcc", "g++ -x c++"])
def alone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program of the threads' code and what is to be so of it."""
    path = tmp_path_factory.mktemp("alone") / "alone"
    strictly = ["-Wall", "-Wextra", "-Werror", "-O2", *OPTIONS]
    command = [*request.param.split(), *strictly, str(FOLDER / "loops_alone.c"), "-o", str(path)]
    subprocess.run(command, check=True, timeout=60)
    return path


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_each_part_is_run_once_by_whoever_comes(alone: Path, threads: int) -> None:
    done = subprocess.run(
        [alone, str(threads), "100"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_no_two_threads_meet_without_saying_so(tmp_path: Path) -> None:
    path = tmp_path / "alone"
    command = ["gcc", "-g", "-O1", "-fsanitize=thread", *OPTIONS]
    subprocess.run([*command, str(FOLDER / "loops_alone.c"), "-o", str(path)], check=True, timeout=60)
    words = [str(path), "4", "60", "without-a-fork"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert "WARNING: ThreadSanitizer" not in done.stderr
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture(scope="module")
def loaded() -> Any:
    """What libraries with such loops did in a process with TVM."""
    script = FOLDER / "loops_loaded.py"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_loop_of_any_length_computes_what_it_does_in_turn(loaded: Any) -> None:
    assert loaded["right"] == {str(length): True for length in (1, 2, 3, 7, 31, 33, 1000)}


def test_a_library_has_threads_while_it_is_loaded_and_none_after(loaded: Any) -> None:
    others = min(3, usable_cores()) - 1
    assert loaded["threads"] == {"loaded": others, "unloaded": 0}


def test_it_has_as_many_as_somebody_says(loaded: Any) -> None:
    assert loaded["one"] == {"threads": 0, "right": True}


def test_a_library_says_whether_it_has_threads(loaded: Any) -> None:
    assert loaded["said"] == {"with": True, "without": False}


def test_libraries_are_run_from_several_threads_and_from_forks(loaded: Any) -> None:
    assert loaded["side by side"] == [True] * 8
    assert loaded["forked"] == 0


def test_an_object_that_counts_on_the_runtime_s_threads_is_left_as_it_is(tmp_path: Path) -> None:
    both = tmp_path / "both.o"
    both.write_bytes(b"\0__TVMBackendParallelLaunch\0__TVMBackendParallelBarrier\0")
    before = both.read_bytes()
    given: list[Any] = []
    link = parallel_loops.with_own_threads(lambda *all_: given.append(all_), "no-such-compiler", 2)
    link("lib.so", [str(both), str(tmp_path / "no.c")])
    assert given == [("lib.so", [str(both), str(tmp_path / "no.c")])]
    assert both.read_bytes() == before


def test_where_the_system_is_no_linux_the_runtime_s_threads_are_taken() -> None:
    assert parallel_loops.with_own_threads(print, "cc", 4, "aarch64-apple-darwin") is print
