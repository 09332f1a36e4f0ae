"""The folder for what is too large for a message."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from orchestrator.toolbox.scratch import Scratch


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_it_is_made_when_it_is_asked_for_and_goes_with_its_end(temporary: Path) -> None:
    scratch = Scratch()
    assert list(temporary.iterdir()) == []
    folder = Path(scratch.folder())
    assert folder == Path(scratch.folder())
    (folder / "weights").write_bytes(b"1")
    scratch.remove()
    scratch.remove()
    assert list(temporary.iterdir()) == []


def test_one_that_was_left_is_removed_and_one_in_use_is_not(temporary: Path) -> None:
    code = (
        "import os, sys, tempfile; from orchestrator.toolbox.scratch import Scratch; "
        "tempfile.tempdir = sys.argv[1]; print(Scratch().folder(), flush=True); os.kill(os.getpid(), 9)"
    )
    died = subprocess.run(
        [sys.executable, "-c", code, str(temporary)], capture_output=True, text=True, check=False
    )
    left = Path(died.stdout.strip())
    assert left.is_dir()
    used, later = Scratch(), Scratch()
    kept = Path(used.folder())
    assert not left.exists()
    later.folder()
    assert kept.is_dir()
    used.remove()
    later.remove()
