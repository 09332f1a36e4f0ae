"""Which figure of a candidate's repeats comes out the same once more, on a machine that others use too.

The fastest stored trials of a model's largest tasks are built, and measured in several passes, each in an
order drawn at random: ten repeats of 10 ms each, where a campaign has one of 100. Of each pair of passes it
is told how far they are apart, by the mean of the ten (which is that one of 100), their median, and their
least; and of each of the ten in its place how many times the least of its measurement it took, which is 1.0x
throughout unless something is still on its way when a measurement begins::

    python -m benchmarks.repeats --db full.db mobilenet_v3_large.onnx
"""

from __future__ import annotations

import argparse
import itertools
import math
import random
import statistics
from collections.abc import Callable, Mapping, Sequence

from benchmarks.bench import bench
from benchmarks.model_zoo import located
from orchestrator import ModelRequest, Storage, Toolbox
from orchestrator.models.extraction import extract_model
from workers.messages import Artifact, Candidate, EvaluatorConfig, TrialState

__all__ = ["FIGURES", "apart", "in_place", "main", "row"]

_EVALUATOR = EvaluatorConfig(number=1, repeat=10, min_repeat_ms=10)
FIGURES: dict[str, Callable[[Sequence[float]], float]] = {
    "mean": statistics.fmean,
    "median": statistics.median,
    "second least": lambda times: sorted(times)[1],
    "least": min,
}


def apart(
    passes: Sequence[Mapping[int, Sequence[float]]], figure: Callable[[Sequence[float]], float]
) -> list[float]:
    """Return by which part of the smaller one passes' figures differ: each candidate and pair, sorted."""
    return sorted(
        math.exp(abs(math.log(figure(one[number]) / figure(other[number])))) - 1
        for one, other in itertools.combinations(passes, 2)
        for number in one.keys() & other.keys()
    )


def in_place(measurements: Sequence[Sequence[float]]) -> list[list[float]]:
    """Return for each place in a measurement what each had there, over its least, sorted."""
    relative = [[seconds / min(one) for seconds in one] for one in measurements]
    return [sorted(column) for column in zip(*relative, strict=True)]


def row(name: str, found: Sequence[float]) -> str:
    """Write a figure's row of the table."""
    within = " | ".join(f"{sum(one <= most for one in found) / len(found):.0%}" for most in (0.02, 0.05, 0.1))
    return f"| {name} | {len(found)} | {statistics.median(found):.1%} | {within} |"


def main() -> None:
    """Measure them, print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", help="a file, or a name of the zoo's")
    parser.add_argument("--db", required=True, help="store with trials of this machine's device class")
    parser.add_argument("--tasks", type=int, default=16, help="the largest so many (default %(default)s)")
    parser.add_argument("--most", type=int, default=3, help="fastest trials of each (default %(default)s)")
    parser.add_argument("--passes", type=int, default=3, help="default %(default)s")
    options = parser.parse_args()
    path, shapes = located(options.model)
    with Storage.open(options.db, create=False) as store, Toolbox("metaschedule") as tools:
        model = extract_model(
            store, tools, ModelRequest(path=path, shapes=shapes), tools.resolve_target("auto")
        )
        largest = sorted(model.tasks, key=lambda task: -task.workload.flops)[: options.tasks]
        with bench(model.device) as device:
            built: list[Artifact] = []
            for task in largest:
                for trial in store.trials.best(task.workload.hash, model.device.device_class, options.most):
                    artifact = device.build(task.workload, Candidate(trial.candidate, trial.trace or ""))
                    built += [artifact] if artifact is not None else []
            passes: list[dict[int, Sequence[float]]] = []
            for number in range(options.passes):
                found: dict[int, Sequence[float]] = {}
                for place in random.Random(number).sample(range(len(built)), len(built)):
                    measured = device.measurer.measure(built[place], device.station, _EVALUATOR)
                    if measured.state is TrialState.OK and len(measured.times) == _EVALUATOR.repeat:
                        found[place] = measured.times
                passes.append(found)
    if not any(one.keys() & other.keys() for one, other in itertools.combinations(passes, 2)):
        raise SystemExit(f"{options.db} has no good trial of this model here")
    print("| of ten repeats the | pairs | apart, median | within 2% | within 5% | within 10% |")
    print("|---" * 6 + "|")
    for name, figure in FIGURES.items():
        print(row(name, apart(passes, figure)))
    places = in_place([times for found in passes for times in found.values()])
    print("\n| of its measurement's least | " + " | ".join(map(str, range(1, len(places) + 1))) + " |")
    print("|---" * (len(places) + 1) + "|")
    print("| mean | " + " | ".join(f"{statistics.fmean(column):.2f}" for column in places) + " |")
    print("| median | " + " | ".join(f"{statistics.median(column):.2f}" for column in places) + " |")


if __name__ == "__main__":
    main()
