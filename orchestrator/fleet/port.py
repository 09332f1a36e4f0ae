"""What a fleet is to the rest of the house. An implementation is a folder beside this file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orchestrator.errors import TunefleetError

__all__ = ["Completion"]


@dataclass(frozen=True)
class Completion:
    """A piece of work that ended: its tag, and its value or its error.

    Attributes
    ----------
    lost : bool
        The worker was at fault, not the work.
    moved : bool
        Its node is gone, or its actor: whatever it did, it was not for this work's sake.
    """

    tag: Any
    value: Any = None
    error: TunefleetError | None = None
    lost: bool = False
    moved: bool = False
