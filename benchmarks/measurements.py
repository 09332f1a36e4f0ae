"""What measuring costs, and what the time to beat and twins save of it: a store's trials measured again.

Tasks are drawn from the store, and their trials gone through in the order in which they were recorded. Each
is built here and timed on this machine, in turns in full and with the time to beat of the task's best until
then. How many came out as the same machine code as an earlier one is counted on the way::

    python -m benchmarks.measurements --db tunefleet.db --tasks 12 --trials 24
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import math
import pathlib
import random
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from benchmarks.bench import Bench, bench
from orchestrator import Storage, Toolbox
from orchestrator.storage import TrialRow
from workers.messages import Candidate, TrialState, Workload


@dataclass(frozen=True)
class Sample:
    """One candidate: the time to beat, and what both ways of measuring it gave and took (seconds)."""

    task: str
    code: str
    size: int
    best_known_s: float
    full_s: float
    full_run_s: float
    early_s: float
    early_run_s: float
    stopped: bool


def samples(trials: list[TrialRow], workload: Workload, device: Bench) -> Iterator[Sample]:
    """Build and measure the trials of one task, in their order."""
    best = math.inf
    for number, trial in enumerate(trials):
        assert trial.trace is not None
        artifact = device.build(workload, Candidate(trial.candidate, trial.trace))
        if artifact is None:
            continue
        beat = None if math.isinf(best) else best
        # In turns: whatever else the machine does shall fall on both.
        ways = [None, beat] if number % 2 else [beat, None]
        first, second = (device.measure(artifact, way) for way in ways)
        full, early = (first, second) if number % 2 else (second, first)
        if TrialState.OK is not full.state or TrialState.OK is not early.state:
            continue
        full_s, early_s = statistics.median(full.times), statistics.median(early.times)
        yield Sample(
            workload.name,
            _code(artifact.data),
            len(artifact.data),
            best,
            full_s,
            full.run_s,
            early_s,
            early.run_s,
            bool(early.message),
        )
        best = min(best, full_s)


def _code(library: bytes) -> str:
    """Hash what a library holds of code and data: not the debugging symbols, not the id made of all of it."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "library.so"
        path.write_bytes(library)
        command = ["objcopy", "--strip-all", "--remove-section", ".note.gnu.build-id", str(path)]
        subprocess.run(command, check=True)
        return hashlib.sha256(path.read_bytes()).hexdigest()


def report(found: list[Sample]) -> str:
    """Return the figures as Markdown."""
    heads = (
        "task",
        "trials",
        "twins",
        "stopped",
        "near, of them",
        "device s, in full",
        "with a time to beat",
    )
    groups = itertools.groupby(found, lambda sample: sample.task)
    rows = [_row(task, list(group)) for task, group in groups]
    lines = [heads, ("---",) * len(heads), *rows, _row("all", found)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _row(name: str, group: list[Sample]) -> tuple[str, ...]:
    stopped = [sample for sample in group if sample.stopped]
    near = sum(sample.full_s < 1.2 * sample.best_known_s for sample in stopped)
    full, early = sum(s.full_run_s for s in group), sum(s.early_run_s for s in group)
    twins = len(group) - len({(sample.task, sample.code) for sample in group})
    share = f"{early:.1f} ({early / full:.2f})"
    return (name[:48], f"{len(group)}", f"{twins}", f"{len(stopped)}", f"{near}", f"{full:.1f}", share)


def main() -> None:
    """Draw tasks, measure, print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--db", required=True, help="a store with trials of this machine's device class")
    parser.add_argument("--tasks", type=int, default=12)
    parser.add_argument("--trials", type=int, default=24, help="of each task, at most")
    parser.add_argument("--least", type=int, default=8, help="only tasks with so many trials")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=pathlib.Path, help="write the raw figures there, as JSON")
    options = parser.parse_args()
    found: list[Sample] = []
    with Toolbox("metaschedule") as tools:
        info = tools.resolve_target("auto")
    with Storage.open(options.db) as store, bench(info) as device:
        hashes = [row.hash for row in store.workloads.search(limit=1000)]
        random.Random(options.seed).shuffle(hashes)
        taken = 0
        for name in hashes:
            trials = store.trials.of_workload(name, info.device_class)
            if len(trials) < options.least or taken == options.tasks:
                continue
            taken += 1
            found += samples(trials[: options.trials], store.workloads.get(name), device)
    if options.output:
        options.output.write_text(json.dumps([asdict(sample) for sample in found]))
    print(report(found))


if __name__ == "__main__":
    main()
