"""How long campaigns take that were given a time, and where it goes.

Each model is tuned by the command line, in a database of its own. The clock is this process's, from the
command's start to its end::

    python -m benchmarks.keep_time vit_b16.onnx densenet121.onnx resnet18.onnx --time 2m
"""

from __future__ import annotations

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import Any

from orchestrator.campaigns.running.clock import SLACK_SECONDS
from orchestrator.cli.kit.parsing import parse_duration

__all__ = ["Kept", "table"]

FIGURES = ("untuned", "tuned", "reference")
PARTS = ("planning", "checking", "workers", "tuning", "building", "comparing")


@dataclass(frozen=True)
class Kept:
    """A campaign that was given a time.

    Attributes
    ----------
    asked_s, taken_s : float
        Seconds; taken by the whole command.
    document : dict
        That it wrote, see docs/json.md.
    """

    model: str
    asked_s: float
    taken_s: float
    document: dict[str, Any]

    @property
    def kept(self) -> bool:
        """It took its time and no more than is allowed over it."""
        return self.taken_s <= self.asked_s + SLACK_SECONDS


def table(runs: list[Kept]) -> list[str]:
    """Write the lines of a table: seconds asked and taken, and of that each part."""
    lines = [
        f"| model | asked s | taken s | kept | {' | '.join(PARTS)} | trials | runs: {', '.join(FIGURES)} |",
        "|---" * (len(PARTS) + 6) + "|",
    ]
    for run in runs:
        parts = run.document.get("parts_s", {})
        seconds = " | ".join(f"{parts[name]:.0f}" if name in parts else "-" for name in PARTS)
        runs_of = "-"
        for report in run.document.get("reports", ()):
            runs_of = ", ".join(str(report["runs"][name]) for name in FIGURES)
        kept = "yes" if run.kept else "NO"
        lines.append(
            f"| {run.model} | {run.asked_s:.0f} | {run.taken_s:.0f} | {kept} | {seconds} | "
            f"{run.document.get('trials_measured', '-')} | {runs_of} |"
        )
    return lines


def _run(model: pathlib.Path, asked: str, options: list[str]) -> Kept:
    with tempfile.TemporaryDirectory(prefix="tunefleet-keep-time-") as folder:
        command = [sys.executable, "-c", "from orchestrator.cli import main; main()", "tune", str(model)]
        command += ["--time", asked, "--db", f"{folder}/records.db", "--json", *options]
        began = time.monotonic()
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        taken_s = time.monotonic() - began
    try:
        document = json.loads(done.stdout)
    except json.JSONDecodeError:
        document = {}
    return Kept(model.stem, parse_duration(asked), taken_s, document)


def main() -> None:
    """Tune each, and print the table as it grows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("models", nargs="+", type=pathlib.Path)
    parser.add_argument("--time", default="60s", help="for each")
    parser.add_argument("--input-shape", action="append", default=[], help="as `tune` takes it")
    arguments = parser.parse_args()
    options = [part for shape in arguments.input_shape for part in ("--input-shape", shape)]
    runs: list[Kept] = []
    for model in arguments.models:
        runs.append(_run(model, arguments.time, options))
        for line in table(runs)[0 if len(runs) == 1 else -1 :]:
            print(line, flush=True)
        for remark in runs[-1].document.get("remarks", ()):
            print(f"{model.stem}: {remark}", file=sys.stderr, flush=True)
    sys.exit(0 if all(run.kept for run in runs) else 1)


if __name__ == "__main__":
    main()
