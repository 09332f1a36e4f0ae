"""Whether times come out the same once more: a second, independent pass over the best of a model's tasks.

The fastest stored trials of each task are built again and measured again, each once, as a campaign measures
them, in an order drawn at random, and nothing is stored. How far the two passes agree is told by the ranks
within each task (Kendall's tau over the pairs that the first pass has more than 5% apart), and by what the
first pass's winner takes in the second, as a part of the second's best::

    python -m benchmarks.agreement --db tunefleet.db model.onnx
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import pathlib
import random
import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from benchmarks.bench import Bench, bench
from benchmarks.model_zoo import located
from benchmarks.trials_per_hour import show
from orchestrator import ModelRequest, Storage, Toolbox
from orchestrator.models.extraction import ExtractedModel, extract_model
from workers.messages import Artifact, Candidate, TrialState

__all__ = ["APART", "NEAR", "Task", "Winners", "main", "tau", "winners"]

#: Pairs of candidates whose stored times are apart by more than this part of the faster one's are ranked.
APART = 0.05
#: A winner that takes no more than this longer than the second pass's best is as good as that.
NEAR = 0.02


@dataclass(frozen=True)
class Task:
    """The candidates of a task that were measured in both passes.

    Attributes
    ----------
    first_s, second_s : tuple of float
        Seconds of one call, those first that the first pass found fastest.
    """

    model: str
    name: str
    weight: int
    first_s: tuple[float, ...]
    second_s: tuple[float, ...]

    @property
    def behind(self) -> float:
        """By which part of the second pass's best the first one's winner is behind it."""
        return self.second_s[0] / min(self.second_s) - 1


@dataclass(frozen=True)
class Winners:
    """How good the first pass's winners are in the second.

    Attributes
    ----------
    near : float
        Part of the tasks whose winner is within :data:`NEAR` of the best.
    lost : float
        What a run of the models takes longer for the winners that aren't the best, as a part of it.
    """

    near: float
    lost: float


def tau(tasks: Iterable[Task], apart: float = APART) -> tuple[float, int]:
    """Return Kendall's tau over the pairs of candidates of one task that are apart, and how many these are.

    M. G. Kendall, A New Measure of Rank Correlation, Biometrika 30, 1938: of the pairs that can be told
    apart, those in the same order less those in the other, as a part of all.
    """
    same = other = 0
    for task in tasks:
        pairs = itertools.combinations(zip(task.first_s, task.second_s, strict=True), 2)
        for (before, after), (before_too, after_too) in pairs:
            if max(before, before_too) > (1 + apart) * min(before, before_too) and after != after_too:
                agree = (before < before_too) == (after < after_too)
                same, other = same + agree, other + (not agree)
    count = same + other
    return ((same - other) / count if count else math.nan), count


def winners(tasks: Sequence[Task]) -> Winners:
    """Hold the first pass's winners against the second pass's best."""
    whole = sum(task.weight * min(task.second_s) for task in tasks)
    return Winners(
        sum(task.behind <= NEAR for task in tasks) / len(tasks),
        sum(task.weight * task.behind * min(task.second_s) for task in tasks) / whole,
    )


def second_pass(
    store: Storage, model: ExtractedModel, device: Bench, most: int, order: random.Random
) -> list[Task]:
    """Build and measure the fastest trials of each task of a model once more."""
    place = model.device.device_class
    found: list[tuple[str, int, list[tuple[float, Artifact]]]] = []
    for task in model.tasks:
        print(f"building {task.name}", file=sys.stderr, flush=True)
        built = []
        for trial in store.trials.best(task.workload.hash, place, most):
            artifact = device.build(task.workload, Candidate(trial.candidate, trial.trace or ""))
            if artifact is not None and trial.cost_s is not None:
                built.append((trial.cost_s, artifact))
        if len(built) > 1:
            found.append((task.name, task.weight, built))
    places = [(number, at) for number, (*_, built) in enumerate(found) for at in range(len(built))]
    # Whatever the machine is like in a minute falls on all tasks.
    order.shuffle(places)
    times: dict[tuple[int, int], float] = {}
    for count, (number, at) in enumerate(places):
        print(f"measuring, {count} of {len(places)}", file=sys.stderr, flush=True)
        measured = device.measure(found[number][2][at][1])
        if measured.state is TrialState.OK:
            times[number, at] = statistics.median(measured.times)
    tasks = []
    for number, (name, weight, built) in enumerate(found):
        kept = [(cost, times[number, at]) for at, (cost, _) in enumerate(built) if (number, at) in times]
        if len(kept) > 1:
            first_s, second_s = zip(*kept, strict=True)
            tasks.append(Task(model.prepared.name, name, weight, first_s, second_s))
    return tasks


def table(tasks: Sequence[Task]) -> str:
    """Write what came of it as Markdown, a line for each model and one for all."""
    lines = [
        f"| model | tasks | candidates | pairs more than {APART:.0%} apart | tau | "
        f"winner within {NEAR:.0%} | lost in a run | second / first pass |",
        "|---|---|---|---|---|---|---|---|",
    ]
    groups = [(name, [t for t in tasks if t.model == name]) for name in dict.fromkeys(t.model for t in tasks)]
    for name, group in [*groups, *([("all", list(tasks))] if len(groups) > 1 else [])]:
        rank, pairs = tau(group)
        best = winners(group)
        ratios = [after / before for t in group for before, after in zip(t.first_s, t.second_s, strict=True)]
        ten = statistics.quantiles(ratios, n=20)
        lines.append(
            f"| {name} | {len(group)} | {len(ratios)} | {pairs} | {rank:.3f} | {best.near:.0%} | "
            f"{best.lost:.1%} | {statistics.median(ratios):.3f} ({ten[0]:.2f} to {ten[-1]:.2f}) |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure each model's best once more, print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("models", nargs="+", help="files, or names of the zoo's")
    parser.add_argument("--db", required=True, help="store with trials of this machine's device class")
    parser.add_argument("--most", type=int, default=5, help="fastest trials of each task (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the order")
    parser.add_argument("--output", type=pathlib.Path, help="write the raw figures there, as JSON")
    parser.add_argument("--markdown", type=pathlib.Path, help="write what is printed there as well")
    options = parser.parse_args()
    order, tasks = random.Random(options.seed), []
    with Storage.open(options.db, create=False) as store, Toolbox("metaschedule") as tools:
        info = tools.resolve_target("auto")
        models = []
        for name in options.models:
            path, shapes = located(name)
            models.append(extract_model(store, tools, ModelRequest(path=path, shapes=shapes), info))
        with bench(info) as device:
            for model in models:
                tasks += second_pass(store, model, device, options.most, order)
                if options.output:
                    options.output.write_text(json.dumps([asdict(task) for task in tasks]))
    if not tasks:
        raise SystemExit(f"{options.db} has no task of these models with two good trials here")
    show(table(tasks), options)


if __name__ == "__main__":
    main()
