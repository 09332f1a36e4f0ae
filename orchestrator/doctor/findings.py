"""What an examination finds, one check at a time."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from enum import Enum

__all__ = ["DISTRIBUTION", "Check", "Status", "output_of"]

DISTRIBUTION = "tunefleet"
_TOOL_SECONDS = 10.0


class Status(str, Enum):
    """How a check came out."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Check:
    """One finding.

    Attributes
    ----------
    name : str
    status : Status
        ``warn`` says that tuning works, but not well, or not everywhere.
    found : str
        What is there.
    mend : str
        What to do about it; empty where nothing is to be done.
    """

    name: str
    status: Status
    found: str
    mend: str = ""


def output_of(*command: str | None) -> str | None:
    """Return what a command says; None where it fails or takes too long."""
    try:
        done = subprocess.run(
            [part for part in command if part],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TOOL_SECONDS,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
