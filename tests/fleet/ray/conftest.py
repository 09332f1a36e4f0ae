"""Processes of a board's owner, which end with the tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts Python as a board's owner does; it is killed in the end with all that it started."""
    log = tmp_path_factory.mktemp("board") / "log"
    processes: list[subprocess.Popen[bytes]] = []

    def started(*words: object) -> subprocess.Popen[bytes]:
        with log.open("ab") as file:
            line = [sys.executable, *map(str, words)]
            processes.append(subprocess.Popen(line, stdout=file, stderr=file, start_new_session=True))
        return processes[-1]

    yield started
    for process in processes:
        subprocess.run(["pkill", "-KILL", "-s", str(process.pid)], check=False)
        process.wait()
