"""What a design space is worth before anything is learned: schedules drawn from it at random, measured.

For the tasks of a model with most arithmetic, schedules are drawn from MetaSchedule's own design spaces and
from those whose innermost loop is a whole vector, and measured in turns, the same number of each::

    python -m benchmarks.spaces --tasks 6 --draws 16 light_squeezenet
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator
from dataclasses import replace

from benchmarks.bench import Bench, bench
from benchmarks.model_zoo import ZOO, fetch
from orchestrator import Toolbox
from workers.messages import Candidate, TaskSpec, Workload

# Draws for each schedule that is wanted: some are the same as one before, some break a rule of the target.
_ATTEMPTS = 20


def draws(workload: Workload, target: str, seed: int, *, whole: bool) -> Iterator[Candidate]:
    """Draw schedules that differ, from MetaSchedule's spaces or from those in whole vectors.

    Parameters
    ----------
    whole : bool
        Whether a vector is split off before the tiles are drawn.
    """
    # Not at the top: the process that reads the command line needs no TVM.
    from tvm.s_tir import Schedule
    from tvm.s_tir.schedule import Trace

    from workers.engines.metaschedule._intrinsics import register_intrinsics
    from workers.engines.metaschedule.contexts import tune_context
    from workers.engines.metaschedule.protected import protected
    from workers.engines.metaschedule.records import candidate_of
    from workers.engines.metaschedule.spaces import with_whole_vectors
    from workers.engines.metaschedule.targets import parse_target
    from workers.engines.metaschedule.workload import load_module

    parsed, module = parse_target(target), protected(load_module(workload.module))
    register_intrinsics(parsed)
    context = tune_context(module, parsed)
    spaces = context.generate_design_space()
    if whole:
        spaces = with_whole_vectors(spaces, module, parsed)
    seen = set()
    barren = 0
    while barren < _ATTEMPTS:
        seed += 1
        schedule = Schedule(module, seed=seed, debug_mask="none")
        # Without its decisions a trace is drawn anew.
        Trace(spaces[seed % len(spaces)].trace.insts, {}).apply_to_schedule(schedule, remove_postproc=True)
        fits = all(post.apply(schedule) for post in context.space_generator.postprocs)
        candidate = candidate_of(schedule.trace)
        if not fits or candidate.hash in seen:
            barren += 1
            continue
        barren = 0
        seen.add(candidate.hash)
        yield candidate


def measured(task: TaskSpec, device: Bench, count: int, seed: int) -> tuple[list[float], list[float]]:
    """Return the operations a second of up to `count` schedules from either kind of space."""
    target = device.station.device.target
    sides = [draws(task.workload, target, seed, whole=whole) for whole in (False, True)]
    rates: tuple[list[float], list[float]] = ([], [])
    for _ in range(count):
        for side, found in zip(sides, rates, strict=True):
            candidate = next(side, None)
            seconds = device.seconds(task.workload, candidate) if candidate is not None else None
            if seconds is not None:
                found.append(task.workload.flops / seconds)
    return rates


def row(name: str, drawn: list[float], whole: list[float]) -> str:
    """Write one task's figures as a row of the table."""
    cells = [
        f"{max(rates) / 1e9:.0f} | {statistics.median(rates) / 1e9:.0f}" if rates else "- | -"
        for rates in (drawn, whole)
    ]
    return f"| {name[:48]} | {cells[0]} | {cells[1]} |"


def table(found: dict[str, tuple[list[float], list[float]]]) -> str:
    """Write all tasks' figures in Markdown; the last row has geometric means of the ratios."""
    lines = [
        "| task | all drawn: best GFLOP/s | median | whole vectors: best | median |",
        "|---|---|---|---|---|",
        *(row(name, *rates) for name, rates in found.items()),
    ]
    both = [rates for rates in found.values() if all(rates)]
    if both:
        ratios = [
            statistics.geometric_mean(of(whole) / of(drawn) for drawn, whole in both)
            for of in (max, statistics.median)
        ]
        lines.append(f"| ratio, geometric mean | | | {ratios[0]:.2f} | {ratios[1]:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Draw, measure in turns, print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", choices=sorted(ZOO))
    parser.add_argument("--tasks", type=int, default=6, help="those with most arithmetic")
    parser.add_argument("--draws", type=int, default=16, help="of each task and kind of space")
    parser.add_argument("--layout", default="auto")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    found = {}
    with Toolbox("metaschedule") as tools:
        device = tools.resolve_target("auto")
        prepared = tools.prepare(str(fetch(options.model)), ZOO[options.model].shapes)
        tasks = tools.extract(replace(prepared, layout=options.layout), device.target).tasks
    heaviest = sorted(tasks, key=lambda task: task.workload.flops * task.weight, reverse=True)
    with bench(device) as here:
        for task in heaviest[: options.tasks]:
            rates = measured(task, here, options.draws, options.seed)
            found[task.name] = rates
            print(row(task.name, *rates), flush=True)
    print("\n" + table(found))


if __name__ == "__main__":
    main()
