"""What a search proposes first, kernel by kernel: GFLOP/s of what is lent, and of tiles that fill registers.

::

    python -m benchmarks.first_candidates resnet18.onnx yolov8n.onnx --kernels conv2d matmul --most 8

Of each model a few kernels are taken, the same ones in each run. All candidates of a kernel are compiled,
then they are timed in turns, and the least of each one's times counts: weights come from the cache, as in a
search.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import pathlib
import random
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import tvm
from tvm.ir import IRModule
from tvm.s_tir import Schedule
from tvm.s_tir import meta_schedule as ms
from tvm.target import Target

from workers.engines.metaschedule._intrinsics import register_intrinsics
from workers.engines.metaschedule.build import compiled_to_time
from workers.engines.metaschedule.contexts import tune_context
from workers.engines.metaschedule.model import extract_tasks
from workers.engines.metaschedule.protected import protected
from workers.engines.metaschedule.records import candidate_of
from workers.engines.metaschedule.soundness import finished
from workers.engines.metaschedule.spaces import cpu_spaces
from workers.engines.metaschedule.starter.begin import filled_schedules, lent_schedules
from workers.engines.metaschedule.starter.sketches import sketch_of
from workers.engines.metaschedule.targets import parse_target, resolve_target
from workers.engines.metaschedule.workload import load_module
from workers.messages import Workload
from workers.models import prepare

_TURNS, _SECONDS = 3, 0.02


def kernels(
    model: pathlib.Path, target: Target, kinds: list[str], most: int, least: float
) -> list[tuple[str, Workload]]:
    """Return some kernels of a model with at least so many operations, each with its name there."""
    with tempfile.TemporaryDirectory(prefix="tunefleet-") as folder:
        tasks = extract_tasks(prepare(model, {}, folder), target, "metaschedule", "").tasks
    found = [(task.name, task.workload) for task in tasks if task.workload.flops >= least]
    found = [one for one in found if any(kind in one[0] for kind in kinds)]
    random.Random(0).shuffle(found)
    return found[:most]


def candidates(
    work: Workload, module: IRModule, target: Target, context: Any
) -> Iterator[tuple[str, Schedule]]:
    """Yield what is proposed first, by where it comes from."""
    spaces = cpu_spaces(context.generate_design_space(), module, work.flops, target)
    known = [(space, sketch_of(candidate_of(space.trace).trace, work.name)) for space in spaces]
    for schedule in itertools.islice(lent_schedules(known, module, target), 1):
        yield "lent", schedule
    for place, (tile, schedule) in enumerate(filled_schedules(known, module, work.flops, target)):
        kind = "blocked" if tile.blocked else f"registers{'' if tile.both else ' of one'}"
        yield f"{kind} {place + 1}", schedule


def timed(work: Workload, target: Target) -> dict[str, float]:
    """Return the seconds of each candidate of a kernel."""
    module = protected(load_module(work.module))
    context = tune_context(module, target)
    built: dict[str, tuple[Any, list[Any]]] = {}
    for name, schedule in candidates(work, module, target, context):
        if not finished(schedule, context):
            continue
        arguments = ms.arg_info.ArgInfo.from_entry_func(schedule.mod, remove_preproc=True)
        library = compiled_to_time(schedule.mod, target)
        rng = np.random.default_rng(0)
        values = [rng.random([int(n) for n in one.shape]).astype(str(one.dtype)) for one in arguments]
        built[name] = getattr(library, "mod", library), [tvm.runtime.tensor(value) for value in values]
    best = dict.fromkeys(built, math.inf)
    repeats = max(3, int(_SECONDS / (work.flops / 1e11)))
    for _ in range(_TURNS):
        for name, (library, values) in built.items():
            clock = library.time_evaluator("main", tvm.cpu(), number=1, repeat=repeats)
            best[name] = min(best[name], *clock(*values).results)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("models", nargs="+", type=pathlib.Path)
    parser.add_argument(
        "--kernels", nargs="+", default=["conv2d", "matmul"], help="what their names have in them"
    )
    parser.add_argument("--most", type=int, default=8, help="kernels of each model")
    parser.add_argument("--least", type=float, default=3e6, help="operations of a kernel")
    arguments = parser.parse_args()
    target = parse_target(resolve_target("auto").target)
    os.environ.setdefault("TVM_NUM_THREADS", str(int(target.attrs["num-cores"])))
    register_intrinsics(target)
    slower: dict[str, list[float]] = defaultdict(list)
    print("| model | kernel | MFLOP | GFLOP/s |\n|---|---|---|---|")
    for model in arguments.models:
        for name, work in kernels(model, target, arguments.kernels, arguments.most, arguments.least):
            seconds = timed(work, target)
            rates = ", ".join(f"{kind}: {work.flops / took / 1e9:.0f}" for kind, took in seconds.items())
            print(f"| {model.stem} | {name} | {work.flops / 1e6:.1f} | {rates} |", flush=True)
            if "lent" in seconds and len(seconds) > 1:
                least = min(seconds.values())
                for kind, took in seconds.items():
                    slower[kind].append(took / least)
                slower["the best that fills registers"].append(
                    min(took for kind, took in seconds.items() if kind != "lent") / least
                )
    print("\nTimes over the best candidate's, geometric means:\n")
    for kind, ratios in slower.items():
        mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
        print(f"- {kind}: {mean:.2f} ({len(ratios)} kernels)")


if __name__ == "__main__":
    main()
