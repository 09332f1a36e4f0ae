"""A service as people start it, in a process of its own."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["serving"]

_START_SECONDS = 120.0
_END_SECONDS = 60.0


@contextlib.contextmanager
def serving(db: Path, *options: str) -> Iterator[str]:
    """Run `tunefleet serve` and give its address; it is over afterwards, and all that it started."""
    command = [sys.executable, "-c", "from orchestrator.cli import main; main()", "serve", "--port", "0"]
    with (db.parent / "serve.log").open("wb+") as log:
        process = subprocess.Popen([*command, "--db", str(db), *options], stderr=subprocess.PIPE, stdout=log)
        try:
            assert process.stderr is not None
            line = process.stderr.readline().decode()
            found = re.search(r"https?://\S+:\d+", line)
            assert found, line
            yield found[0]
        finally:
            process.terminate()
            process.communicate(timeout=_END_SECONDS)
