"""What a round of a search returns for what it costs, by its population and its generations.

A store's tasks are drawn, and a cost model is trained on the first trials of each. Then each task has a
search of every size, which knows these trials, proposes one round, and has it built and measured::

    python -m benchmarks.searches --db tunefleet.db --tasks 9 --sizes 64x3,64x2,64x1,128x3,32x3,32x1
"""

from __future__ import annotations

import argparse
import itertools
import random
import statistics
import time
from dataclasses import dataclass

from benchmarks.bench import Bench, bench
from orchestrator import Storage, Toolbox
from orchestrator.storage import TrialRow
from workers.messages import Candidate, Record, SearchOptions, TrialState, Workload

# Candidates of a round, as of a campaign; the first of a search are fewer.
_ROUND, _FIRST = 16, 4
# What is twice as far behind as this, in times of the best, isn't timed in full.
_HOPELESS = 2.0


@dataclass(frozen=True)
class Round:
    """What one search's round took (CPU seconds) and gave: times over the best that was known."""

    cpu_s: float
    times: tuple[float, ...]


def first_records(trials: list[TrialRow], count: int) -> tuple[Record, ...]:
    """Return a task's first good trials as its search is given them."""
    good = (
        Record(Candidate(trial.candidate, trial.trace), trial.times)
        for trial in trials
        if trial.trace is not None and trial.state is TrialState.OK
    )
    return tuple(itertools.islice(good, count))


class _Search:
    """MetaSchedule's search of one task in this process, where its CPU time is counted."""

    def __init__(self, workload: Workload, records: tuple[Record, ...], target: str, options: SearchOptions):
        # Not at the top: the process that reads the command line needs no TVM.
        from workers.engines.metaschedule.search import MetaScheduleSearch
        from workers.engines.metaschedule.targets import parse_target

        self._search = MetaScheduleSearch(workload, parse_target(target), options)
        self.samples = self._search.learn(records)

    def propose(self, count: int, model: bytes) -> tuple[tuple[Candidate, ...], float]:
        """Return candidates, and the seconds they took."""
        began = time.process_time()
        return self._search.propose(count, model), time.process_time() - began


def cost_model(known: dict[Workload, tuple[Record, ...]], target: str) -> bytes:
    """Train the model that all searches of a campaign share."""
    from workers.engines.metaschedule.search import train

    samples = [_Search(workload, known[workload], target, SearchOptions()).samples for workload in known]
    return train(tuple(samples), 1)


def one_round(
    workload: Workload, records: tuple[Record, ...], model: bytes, options: SearchOptions, device: Bench
) -> Round:
    """Have a search propose a round, and measure it."""
    best = min(statistics.median(record.times) for record in records)
    search = _Search(workload, records, device.station.device.target, options)
    search.propose(_FIRST, model)
    proposed, took = search.propose(_ROUND, model)
    seconds = [device.seconds(workload, candidate, _HOPELESS * best) for candidate in proposed]
    return Round(took, tuple(s / best for s in seconds if s is not None))


def table(found: dict[tuple[int, int], list[Round]]) -> str:
    """Write the figures of all sizes in Markdown: means; ratios in geometric means."""
    lines = [
        "| population | generations | CPU s a round | candidates | best of a round, over the best before | "
        "its median | better than the best before |",
        "|---|---|---|---|---|---|---|",
    ]
    for (population, generations), rounds in found.items():
        timed = [r for r in rounds if r.times]
        cells = (
            f"{statistics.fmean(r.cpu_s for r in rounds):.2f}",
            f"{statistics.fmean(len(r.times) for r in rounds):.1f}",
            f"{statistics.geometric_mean(min(r.times) for r in timed):.3f}",
            f"{statistics.geometric_mean(statistics.median(r.times) for r in timed):.2f}",
            f"{statistics.fmean(sum(t < 1 for t in r.times) for r in rounds):.1f}",
        )
        lines.append(f"| {population} | {generations} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _size(text: str) -> tuple[int, int]:
    population, _, generations = text.partition("x")
    return int(population), int(generations)


def main() -> None:
    """Draw tasks, let searches of all sizes propose in turns, print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--db", required=True, help="a store with trials of this machine's device class")
    parser.add_argument("--tasks", type=int, default=9)
    parser.add_argument("--known", type=int, default=32, help="trials that a search has learned from")
    parser.add_argument(
        "--least-flops", type=float, default=3e6, help="of a task, for smaller ones are noise"
    )
    parser.add_argument("--sizes", default="64x3,64x2,64x1,128x3,32x3,32x1", help="population x generations")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    sizes = [_size(text) for text in options.sizes.split(",")]
    draw = random.Random(options.seed)
    with Toolbox("metaschedule") as tools:
        info = tools.resolve_target("auto")
    with Storage.open(options.db) as store:
        known = {}
        for row in store.workloads.search(limit=1000):
            records = first_records(store.trials.of_workload(row.hash, info.device_class), options.known)
            workload = store.workloads.get(row.hash)
            if len(records) == options.known and workload.flops >= options.least_flops:
                known[workload] = records
    model = cost_model(known, info.target)
    found: dict[tuple[int, int], list[Round]] = {size: [] for size in sizes}
    with bench(info) as device:
        for workload in draw.sample(list(known), min(options.tasks, len(known))):
            # In turns, each time in another order: whatever else the machine does shall fall on all.
            for population, generations in draw.sample(sizes, len(sizes)):
                search = SearchOptions(
                    seed=draw.randrange(1, 1 << 20),
                    settings={"population": population, "generations": generations},
                )
                found[population, generations].append(
                    one_round(workload, known[workload], model, search, device)
                )
            print(workload.name, flush=True)
    print("\n" + table(found))


if __name__ == "__main__":
    main()
