"""How much sooner whole campaigns are where they end, for what other models' campaigns taught the cost model.

Each model is tuned twice into a new store, in turns: with a cost model that begins with nothing, and with one
that begins with trials of other models (``benchmarks.costmodel collect`` makes the samples; those of the
model's own tasks are left out, and so are those that come with the engine)::

    python -m benchmarks.costmodel collect full.db -o samples.npz
    python -m benchmarks.experience samples.npz full/resnet18.onnx full/yolov8n.onnx --time 4m
"""

from __future__ import annotations

import argparse
import math
import pathlib
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from unittest import mock

from benchmarks.costmodel import Task, read, some
from benchmarks.model_zoo import located
from benchmarks.trials_per_hour import show
from orchestrator import CampaignSpec, Storage, Toolbox, submit
from orchestrator.campaigns.running.coordinator import follow
from orchestrator.cli.kit.parsing import parse_duration
from workers.engines.metaschedule.samples import packed

__all__ = ["Run", "main", "row"]

# At these parts of a campaign's trials its curve is looked at.
_PARTS = (0.25, 0.5, 1.0)


@dataclass(frozen=True)
class Run:
    """A campaign.

    Attributes
    ----------
    points : tuple of (int, float)
        Trials, and seconds that a run of the model was estimated to take after them.
    library_s : float
        Seconds of a run of its library.
    """

    points: tuple[tuple[int, float], ...]
    library_s: float

    def after(self, trials: float) -> float:
        """Return the estimate after so many trials; infinite before the first."""
        return next((latency_s for count, latency_s in reversed(self.points) if count <= trials), math.inf)

    def reached(self, latency_s: float) -> float:
        """Return after how many trials it was so fast; infinite where it never was."""
        return next((count for count, found_s in self.points if found_s <= latency_s), math.inf)


def tuned(name: str, known: bytes, seconds: float) -> Run:
    """Tune a model into a new store, with a cost model that begins with some samples."""
    path, shapes = located(name)
    spec = CampaignSpec.of({"models": [{"path": path, "shapes": shapes}], "time_s": seconds})
    with (
        tempfile.TemporaryDirectory(prefix="tunefleet-") as folder,
        Storage.open(f"sqlite:///{folder}/records.db") as store,
        mock.patch.object(Toolbox, "packed_samples", return_value=known),
    ):
        outcome = follow(store, submit(store, spec, hold=True).id)
        number, began = outcome.campaign.id, outcome.campaign.started_at
        assert began is not None
        (curve,) = store.answers.curves(number)
        at_s = [(one.created_at - began).total_seconds() for one in store.trials.of_campaign(number)]
        points = tuple(
            (sum(one <= when_s + 1e-3 for one in at_s), latency_s) for when_s, latency_s in curve.points
        )
        return Run(points, outcome.reports[0].tuned_s)


def row(name: str, nothing: Sequence[Run], others: Sequence[Run]) -> str:
    """Write a model's row: both after parts of the trials of the shorter one, and how soon they are even."""
    cells = []
    for part in _PARTS:
        pairs = [
            (one.after(part * trials), other.after(part * trials))
            for one, other in zip(nothing, others, strict=True)
            for trials in [min(one.points[-1][0], other.points[-1][0])]
        ]
        mine, theirs = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
        cells.append(f"{mine * 1e3:.3g}, {theirs * 1e3:.3g} | {theirs / mine:.3f}")
    ends = [one.points[-1] for one in nothing]
    sooner = [
        other.reached(latency_s) / max(1, one.reached(latency_s))
        for (_, latency_s), one, other in zip(ends, nothing, others, strict=True)
    ]
    libraries = statistics.median(
        theirs.library_s / mine.library_s for mine, theirs in zip(nothing, others, strict=True)
    )
    return f"| {name} | {' | '.join(cells)} | {statistics.median(sooner):.2f} | {libraries:.3f} |"


def known_of_others(tasks: Sequence[Task], name: str, count: int) -> bytes:
    """Return samples of so many trials of other models' tasks."""
    return packed(some([task for task in tasks if name not in task.models], count, seed=1))


def main() -> None:
    """Tune each model with and without what others taught, and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("samples", type=pathlib.Path, help="what `benchmarks.costmodel collect` wrote")
    parser.add_argument("models", nargs="+", help="files, or names of the zoo's")
    parser.add_argument("--time", default="4m", help="of each campaign (%(default)s)")
    parser.add_argument("--turns", type=int, default=1, help="campaigns of each kind (%(default)s)")
    parser.add_argument("--others", type=int, default=1500, help="trials of other models (%(default)s)")
    parser.add_argument("--markdown", type=pathlib.Path, help="write what is printed there as well")
    options = parser.parse_args()
    tasks, _ = read(options.samples)
    lines = [
        "| model | a quarter of the trials, ms: nothing, others | others / nothing | half | others / nothing "
        "| all | others / nothing | trials until nothing's end, others / nothing | library, others / nothing "
        "|",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in options.models:
        stem = pathlib.Path(name).stem
        ways = {"nothing": b"", "others": known_of_others(tasks, stem, options.others)}
        runs: dict[str, list[Run]] = {way: [] for way in ways}
        for turn in range(options.turns):
            for way in sorted(ways, reverse=bool(turn % 2)):
                print(f"{stem}, {way}, turn {turn + 1}", file=sys.stderr, flush=True)
                runs[way].append(tuned(name, ways[way], parse_duration(options.time)))
        lines.append(row(stem, runs["nothing"], runs["others"]))
        print(lines[-1], file=sys.stderr, flush=True)
    show("\n".join(lines), options)


if __name__ == "__main__":
    main()
