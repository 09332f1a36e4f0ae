"""Results, a line of JSON for each, so that a run goes on where it broke off."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Result", "append", "latest"]


@dataclass(frozen=True)
class Result:
    """What became of one model.

    Attributes
    ----------
    outcome : str
        One of :data:`.outcomes.OUTCOMES`.
    seconds : dict of str to float
        By phase: export, prepare, extract, compile, check, compare.
    opset : int
        Of the file that was written; what was asked for where there is none.
    counted : bool
        It counts in the share of all.
    max_rel : float or None
        Largest difference from onnxruntime, as a part of the output's largest value.
    """

    name: str
    family: str
    exporter: str
    opset: int
    outcome: str
    message: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    kernel_calls: int = 0
    tasks: int = 0
    nodes: int = 0
    layout: str = ""
    changes: list[str] = field(default_factory=list)
    max_rel: float | None = None
    counted: bool = True
    file: str = ""
    commit: str = ""


def append(path: Path, result: Result) -> None:
    """Add a result to the file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(result)) + "\n")


def latest(path: Path) -> dict[str, Result]:
    """Return the last result of each model; a line that was being written when the run ended is none."""
    found: dict[str, Result] = {}
    if not path.exists():
        return found
    known = set(Result.__dataclass_fields__)
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            stored: dict[str, Any] = json.loads(line)
        except json.JSONDecodeError:
            continue
        result = Result(**{name: value for name, value in stored.items() if name in known})
        found[result.name] = result
    return found
