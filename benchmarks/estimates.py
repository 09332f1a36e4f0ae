"""How far the sum of a model's tasks is from what its built library takes, and why.

Of each model, with the best records of a store:

- *stored*: the sum of the tasks' stored times, each measured alone;
- *expected*: the same with what each took longer inside the model's first library, as ``show`` has it;
- *again*: the same, each measured again now, alone, as a campaign measures it;
- *inside*: the same kernels timed where they run, inside the model, by the virtual machine's instrument;
- *library*: a run of the library, settled. What is left between the last two are calls and allocations.

Kernels without a record have no stored time; what they take inside counts for all::

    python -m benchmarks.estimates --db full.db full/*.onnx
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from benchmarks.bench import Bench, bench
from benchmarks.model_zoo import located
from benchmarks.trials_per_hour import show
from orchestrator import ModelRequest, Storage, Toolbox
from orchestrator.builds.coverage import Coverage, coverage_of
from orchestrator.builds.profile import profile_model
from orchestrator.models.extraction import ExtractedModel, extract_model

__all__ = ["Estimate", "Part", "main", "table"]


@dataclass(frozen=True)
class Part:
    """A task of a model; seconds of all its calls in one run.

    Attributes
    ----------
    stored_s, expected_s, again_s : float or None
        None where it has no record.
    inside_s : float
        Inside the model.
    """

    name: str
    calls: int
    stored_s: float | None
    expected_s: float | None
    again_s: float | None
    inside_s: float


@dataclass(frozen=True)
class Estimate:
    """A model: its tasks, what else runs inside it, and what the whole takes (seconds)."""

    model: str
    parts: tuple[Part, ...]
    other_s: float
    library_s: float

    @property
    def stored_s(self) -> float:
        """Sum of the stored times; kernels without one as they are inside."""
        return sum(p.inside_s if p.stored_s is None else p.stored_s for p in self.parts)

    @property
    def expected_s(self) -> float:
        """Sum of what is expected of each inside; kernels without a record as they are there."""
        return sum(p.inside_s if p.expected_s is None else p.expected_s for p in self.parts)

    @property
    def again_s(self) -> float:
        """Sum of the times measured again; kernels without one as they are inside."""
        return sum(p.inside_s if p.again_s is None else p.again_s for p in self.parts)

    @property
    def inside_s(self) -> float:
        """Sum of what the kernels take inside the model."""
        return sum(p.inside_s for p in self.parts)


def estimated(store: Storage, tools: Toolbox, device: Bench, name: str) -> Estimate:
    """Build a model, time it, and time its kernels inside and alone."""
    path, shapes = located(name)
    request = ModelRequest(path=path, shapes=shapes)
    seen = profile_model(store, tools, request)
    model = extract_model(store, tools, request, tools.resolve_target("auto"))
    inside = {gap.workload_hash: gap.seconds for gap in seen.gaps if gap.workload_hash}
    parts = tuple(_parts(model, coverage_of(store, model), device, inside))
    other_s = sum(gap.seconds for gap in seen.gaps if not gap.workload_hash)
    return Estimate(model.prepared.name, parts, other_s, seen.run_s)


def _parts(
    model: ExtractedModel, coverage: Coverage, device: Bench, inside: dict[str, float]
) -> Iterator[Part]:
    workloads = {task.workload.hash: task.workload for task in model.tasks}
    for task in coverage.tasks:
        if task.workload_hash not in inside:
            continue  # an engine may fold it away when it compiles
        record = coverage.records.get(task.workload_hash)
        again = None
        if record is not None:
            print(f"measuring {task.name}", file=sys.stderr, flush=True)
            again = device.seconds(workloads[task.workload_hash], record.candidate)
        yield Part(
            task.name,
            task.weight,
            None if task.best_s is None else task.best_s * task.weight,
            task.expected_s,
            None if again is None else again * task.weight,
            inside[task.workload_hash],
        )


def table(found: Sequence[Estimate], most: int = 5) -> str:
    """Write the sums as Markdown, and of each model the tasks that are apart most."""
    lines = [
        "| model | stored ms | expected ms | again ms | inside ms | library ms | stored / library | "
        "expected / library | again / library | inside / library |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in found:
        sums = (one.stored_s, one.expected_s, one.again_s, one.inside_s)
        lines.append(
            f"| {one.model} | {' | '.join(f'{s * 1e3:.3g}' for s in (*sums, one.library_s))} | "
            f"{' | '.join(f'{s / one.library_s:.2f}' for s in sums)} |"
        )
    for one in found:
        apart = sorted(
            (p for p in one.parts if p.again_s is not None),
            key=lambda p: -abs(p.inside_s - (p.again_s or 0.0)),
        )
        lines += [
            "",
            f"| {one.model}: task | calls | stored ms | expected ms | again ms | inside ms | "
            "inside / again |",
            "|---|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {p.name} | {p.calls} | {(p.stored_s or 0.0) * 1e3:.3f} | {(p.expected_s or 0.0) * 1e3:.3f} | "
            f"{(p.again_s or 0.0) * 1e3:.3f} | "
            f"{p.inside_s * 1e3:.3f} | {p.inside_s / (p.again_s or p.inside_s):.2f} |"
            for p in apart[:most]
        ]
    return "\n".join(lines)


def main() -> None:
    """Build and time each model, print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("models", nargs="+", help="files, or names of the zoo's")
    parser.add_argument("--db", required=True, help="store with the models' records")
    parser.add_argument("--most", type=int, default=5, help="tasks of each model that are listed")
    parser.add_argument("--output", type=pathlib.Path, help="write the raw figures there, as JSON")
    parser.add_argument("--markdown", type=pathlib.Path, help="write what is printed there as well")
    options = parser.parse_args()
    found: list[Estimate] = []
    with (
        Storage.open(options.db, create=False) as store,
        Toolbox("metaschedule") as tools,
        bench(tools.resolve_target("auto")) as device,
    ):
        for name in options.models:
            found.append(estimated(store, tools, device, name))
            if options.output:
                options.output.write_text(json.dumps([asdict(one) for one in found]))
    show(table(found, options.most), options)


if __name__ == "__main__":
    main()
