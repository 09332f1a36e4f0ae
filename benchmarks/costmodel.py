"""What a cost model that earlier campaigns trained knows of tasks it has never seen; and the pack's samples.

::

    python -m benchmarks.costmodel collect STORE... -o samples.npz    # features of all trials, ~10 ms each
    python -m benchmarks.costmodel held-out samples.npz               # a model's tasks by what others taught
    python -m benchmarks.costmodel pack samples.npz                   # what comes with the engine

``held-out`` takes the models one by one. Half of the model's tasks are asked about, the other half is what a
campaign has measured of it so far. Of each task with 8 trials or more it says how the cost model ranks them
(Spearman's correlation), and how many would have been measured, in the order of the cost model, until one was
within 5% of the task's best.
"""

from __future__ import annotations

import argparse
import io
import pathlib
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.storage import Storage, TrialRow
from workers.engines.metaschedule.samples import Group, packed, unpacked
from workers.engines.metaschedule.search import MetaScheduleSearches, train
from workers.engines.metaschedule.starter.pack import PACK
from workers.engines.metaschedule.targets import parse_target, vector_bits
from workers.messages import Candidate, Record, SearchOptions, Workload

#: Trials of a task without which nothing is said of it.
LEAST = 8
#: The same, for the pack.
FEW = 4
#: How near to the best is near enough, and how many orders are drawn where nothing is known.
NEAR, DRAWN = 1.05, 50
#: What a failed candidate costs in samples, or more.
FAILED = 1e9


@dataclass(frozen=True)
class Task:
    """All trials of a workload, and the models that have it."""

    group: Group
    models: frozenset[str]

    @property
    def costs(self) -> npt.NDArray[Any]:
        """Seconds of each trial."""
        return self.group[2]


def collected(stores: Sequence[str]) -> Iterator[tuple[Group, frozenset[str], int]]:
    """Yield the samples of each workload of some stores, its models, and how wide the vectors are."""
    trials: dict[str, dict[str, TrialRow]] = {}
    workloads: dict[str, Workload] = {}
    targets: dict[str, str] = {}
    models: dict[str, set[str]] = {}
    for url in stores:
        with Storage.open(url, create=False) as store:
            for row in store.models.newest(10_000):
                for place in store.extractions.device_classes(row.id):
                    tasks = store.trials.best_for_model(row.id, place.device_class, place.engine_version)
                    for task in tasks:
                        models.setdefault(task.workload_hash, set()).add(row.name)
            for known_class in store.device_classes.all("metaschedule"):
                for page in store.trials.pages(device_class=known_class.name):
                    for trial in page:
                        trials.setdefault(trial.workload_hash, {}).setdefault(trial.candidate, trial)
                        targets[trial.workload_hash] = known_class.target
            for known in store.workloads.get_many([key for key in trials if key not in workloads]):
                workloads[known.hash] = known
    for key, rows in trials.items():
        target = targets[key]
        search = MetaScheduleSearches().open_search(workloads[key], target, SearchOptions())
        records = [
            Record(Candidate(one.candidate, one.trace or "[]"), () if one.cost_s is None else (one.cost_s,))
            for one in rows.values()
        ]
        samples = search.learn(tuple(records))
        if samples:
            (group,) = unpacked(samples)
            yield group, frozenset(models.get(key, ())), vector_bits(parse_target(target))


def write(path: pathlib.Path, found: Sequence[tuple[Group, frozenset[str], int]]) -> None:
    """Write what :func:`collected` yields."""
    np.savez_compressed(
        path,
        samples=np.frombuffer(packed([group for group, _, _ in found]), np.uint8),
        models=np.array(["\n".join(sorted(models)) for _, models, _ in found]),
        bits=np.array([bits for _, _, bits in found]),
    )


def read(path: pathlib.Path) -> tuple[list[Task], int]:
    """Read what :func:`write` wrote; the vectors of all of it have to be as wide."""
    with np.load(path) as data:
        groups = unpacked(data["samples"].tobytes())
        names, bits = data["models"].tolist(), set(data["bits"].tolist())
    if len(bits) != 1:
        sys.exit(f"{path} has samples of vectors of {sorted(bits)} bits: collect those of one width")
    tasks = [Task(g, frozenset(n.split("\n"))) for g, n in zip(groups, names, strict=True)]
    return tasks, int(bits.pop())


class Model:
    """A cost model and what it was trained on."""

    def __init__(self, groups: Sequence[Group]) -> None:
        import xgboost

        self.groups = list(groups)
        began = time.perf_counter()
        self.booster = xgboost.Booster()
        self.booster.load_model(bytearray(train((packed(self.groups),), 2)))
        self.trained_s = time.perf_counter() - began

    def scores(self, features: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """Return what it makes of candidates: higher is faster."""
        import xgboost

        of = np.repeat(np.arange(len(features)), [len(one) for one in features])
        return np.bincount(of, weights=self.booster.predict(xgboost.DMatrix(np.concatenate(features))))


def rank(scores: npt.NDArray[Any], costs: npt.NDArray[Any]) -> float:
    """Return Spearman's rank correlation of scores and speeds; 0 where either is all the same."""
    orders = [np.argsort(np.argsort(one, kind="stable"), kind="stable") for one in (scores, -costs)]
    if len({*scores.tolist()}) < 2:
        return 0.0
    correlations: npt.NDArray[Any] = np.asarray(np.corrcoef(np.stack(orders)))
    return float(correlations[0, 1])


def needed(task: Task, model: Model | None, seed: int) -> float:
    """Return how many trials of a task it takes to be near its best.

    Parameters
    ----------
    model : Model or None
        In whose order they are measured; None for any, of which the mean counts.
    """
    _, features, costs = task.group
    random = np.random.default_rng(seed)
    near = costs <= NEAR * costs.min()
    if model is None:
        firsts = [int(np.argmax(near[random.permutation(len(costs))])) + 1 for _ in range(DRAWN)]
        return statistics.fmean(firsts)
    return int(np.argmax(near[np.argsort(-model.scores(features), kind="stable")])) + 1


def some(tasks: Sequence[Task], count: int, seed: int) -> list[Group]:
    """Draw trials of tasks."""
    places = [(t, i) for t, task in enumerate(tasks) for i in range(len(task.costs))]
    drawn: dict[int, list[int]] = {}
    for place in np.random.default_rng(seed).permutation(len(places))[:count]:
        drawn.setdefault(places[place][0], []).append(places[place][1])
    found = []
    for t, chosen in drawn.items():
        name, features, costs = tasks[t].group
        if costs[chosen].min() < FAILED:
            found.append((name, [features[i] for i in chosen], costs[chosen]))
    return found


def held_out(tasks: Sequence[Task], others: int, own: Sequence[int]) -> Iterator[str]:
    """Yield a table in Markdown, a row for each model, and the means of all."""
    names = sorted({name for task in tasks for name in task.models if name})
    ways = ["nothing", *(f"{count} of its own" for count in own), f"{others} of others"]
    ways += [f"{others} of others, {count} of its own" for count in own]
    yield "| model: tasks | " + " | ".join(ways) + " |"
    yield "|---|" + "---|" * len(ways)
    all_ranks: dict[str, list[float]] = {}
    all_needed: dict[str, list[float]] = {}
    for seed, name in enumerate(names):
        mine = [task for task in tasks if name in task.models]
        order = np.random.default_rng(seed).permutation(len(mine))
        seen, asked = [mine[i] for i in order[::2]], [mine[i] for i in order[1::2]]
        asked = [task for task in asked if (task.costs < FAILED).sum() >= LEAST]
        if len(asked) < 3:
            continue
        known: dict[str, list[Group]] = {ways[0]: []}
        rest = some([task for task in tasks if name not in task.models], others, seed)
        known |= {f"{count} of its own": some(seen, count, seed) for count in own}
        known |= {f"{others} of others": rest}
        known |= {
            f"{others} of others, {count} of its own": [*rest, *some(seen, count, seed)] for count in own
        }
        cells = []
        for way in ways:
            model = Model(known[way]) if known[way] else None
            ranks = [_rank(model, task) for task in asked]
            took = [needed(task, model, seed) for task in asked]
            all_ranks.setdefault(way, []).extend(ranks)
            all_needed.setdefault(way, []).extend(took)
            cells.append(f"{statistics.fmean(ranks):.2f}, {statistics.fmean(took):.1f}")
        yield f"| {name}: {len(asked)} | " + " | ".join(cells) + " |"
    means = [
        f"{statistics.fmean(all_ranks[way]):.2f}, {statistics.fmean(all_needed[way]):.1f}" for way in ways
    ]
    yield f"| all: {len(all_ranks[ways[0]])} | " + " | ".join(means) + " |"


def _rank(model: Model | None, task: Task) -> float:
    if model is None:
        return 0.0
    good = task.costs < FAILED
    features = [one for one, fine in zip(task.group[1], good, strict=True) if fine]
    return rank(model.scores(features), task.costs[good])


def thinned(tasks: Sequence[Task], most: int, seed: int = 1) -> list[Group]:
    """Return so many trials, the best of each task among them: what others are held against.

    Tasks with a few trials are left out, for they say little of what is better.
    """
    telling = [task for task in tasks if len(task.costs) >= FEW and task.costs.min() < FAILED]
    part = min(1.0, most / sum(len(task.costs) for task in telling))
    random = np.random.default_rng(seed)
    found = []
    for task in telling:
        name, features, costs = task.group
        count = max(2, round(part * len(costs)))
        rest = [i for i in random.permutation(len(costs)) if i != costs.argmin()]
        chosen = sorted([int(costs.argmin()), *rest[: count - 1]])
        found.append((f"pack:{name}", [features[i] for i in chosen], costs[chosen]))
    return found


def pack(tasks: Sequence[Task], bits: int, most: int) -> pathlib.Path:
    """Write the samples that come with the engine for vectors as wide."""
    path = PACK.parent / f"samples-{bits}.npz"
    raw = packed(thinned(tasks, most), "float16")
    with np.load(io.BytesIO(raw)) as data:
        np.savez_compressed(path, **data)
    return path


def main() -> None:
    """Collect samples, ask a held-out model's tasks, or write the pack's."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    ways = parser.add_subparsers(dest="way", required=True)
    collect = ways.add_parser("collect")
    collect.add_argument("stores", nargs="+")
    collect.add_argument("-o", "--output", type=pathlib.Path, required=True)
    asked = ways.add_parser("held-out")
    asked.add_argument("samples", type=pathlib.Path)
    asked.add_argument("--others", type=int, default=1500, help="trials of other models (%(default)s)")
    asked.add_argument("--own", type=int, nargs="*", default=[48, 150], help="trials of its other tasks")
    asked.add_argument(
        "--replayed", type=int, default=6, help="searches replayed, of each model (%(default)s)"
    )
    packing = ways.add_parser("pack")
    packing.add_argument("samples", type=pathlib.Path)
    packing.add_argument("--most", type=int, default=1000, help="trials (%(default)s)")
    options = parser.parse_args()
    if options.way == "collect":
        found = []
        for one in collected(options.stores):
            found.append(one)
            print(f"{sum(len(group[1]) for group, _, _ in found)} trials of {len(found)} workloads", end="\r")
        write(options.output, found)
        return
    tasks, bits = read(options.samples)
    if options.way == "pack":
        path = pack(tasks, bits, options.most)
        print(f"{path.name}: {path.stat().st_size // 1024} kB")
        return
    for line in held_out(tasks, options.others, options.own):
        print(line, flush=True)


if __name__ == "__main__":
    main()
