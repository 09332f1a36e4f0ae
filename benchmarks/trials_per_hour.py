"""Trials per hour: this project against stock ``tune_relax``, on the same tasks, in one run, in turns.

Both get the same kernels (lowered by the engine's own passes), the same target, seed, evaluator settings and
number of trials for each task. Stock gets ``LocalBuilder(timeout_sec=900)``: with its default of 30 s a slow
machine kills every build, since each worker process of each batch imports TVM's tensor intrinsics first. The
clock runs from the start of the tuning to its end, with all that either starts for it (Ray, the actors, the
worker processes), without the import of the model, which is the same for both. Only good trials count::

    python -m benchmarks.trials_per_hour --model ppocr_cls --tasks 6 --trials 32 --rounds 1
"""

from __future__ import annotations

import argparse
import json
import math
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

from benchmarks.model_zoo import ZOO, fetch


def stock(request: dict[str, Any]) -> dict[str, Any]:
    """Tune with stock MetaSchedule in this process, which is a fresh one."""
    from tvm.s_tir import meta_schedule as ms

    from workers.engines.metaschedule.model import _fused
    from workers.engines.metaschedule.targets import parse_target
    from workers.engines.metaschedule.workload import canonical_module, workload_hash
    from workers.models import prepare

    target = parse_target(request["target"])
    module = _fused(prepare(request["path"], request["shapes"]), target)
    wanted = set(request["workloads"])
    tasks = [
        task
        for task in ms.relax_integration.extract_tasks(module, target)
        if workload_hash(canonical_module(task.dispatched[0]["main"])) in wanted
    ]
    assert len(tasks) == len(wanted), f"{len(tasks)} of {len(wanted)} tasks found"
    evaluator = ms.runner.EvaluatorConfig(number=3, repeat=1, min_repeat_ms=100)
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        contexts, weights = ms.relax_integration.extracted_tasks_to_tune_contexts(
            tasks, folder, seed=request["seed"]
        )
        database = ms.tune.tune_tasks(
            tasks=contexts,
            task_weights=weights,
            work_dir=folder,
            max_trials_global=request["trials"] * len(tasks),
            max_trials_per_task=request["trials"],
            builder=ms.builder.LocalBuilder(timeout_sec=900),
            runner=ms.runner.LocalRunner(evaluator_config=evaluator),
        )
        wall = time.monotonic() - started
        best: dict[str, float] = {}
        succeeded = 0
        for record in database.get_all_tuning_records():
            seconds = [float(s) for s in record.run_secs or ()]
            if seconds and statistics.median(seconds) < 1e9:
                succeeded += 1
                key = workload_hash(canonical_module(record.workload.mod["main"]))
                best[key] = min(best.get(key, math.inf), statistics.median(seconds))
    return {"wall_s": wall, "succeeded": succeeded, "best": best}


def ours(request: dict[str, Any]) -> dict[str, Any]:
    """Tune with this project, into a fresh store."""
    from orchestrator import CampaignSpec, Storage, submit
    from orchestrator.campaigns.coordinator import follow

    with tempfile.TemporaryDirectory() as folder, Storage.open(f"{folder}/store.db") as store:
        spec = CampaignSpec.of(
            {
                "models": [{"path": request["path"], "shapes": request["shapes"]}],
                "targets": [request["target"]],
                "trials_per_task": request["trials"],
                "tasks": f"^({'|'.join(request['names'])})$",
                "seed": request["seed"],
            }
        )
        row = submit(store, spec, hold=True)
        times: dict[str, float] = {}

        class Listener:
            """Notes when tuning begins and ends."""

            def activity(self, text: str) -> None:
                now = time.monotonic()
                if text.startswith("starting Ray"):
                    times["start"] = now
                if text.startswith("compiling"):
                    times.setdefault("end", now)

            def changed(self, campaign_id: int) -> None:
                pass

        follow(store, row.id, listener=Listener())
        best = {t.workload_hash: t.best_s for t in store.campaign_tasks(row.id) if t.best_s}
        succeeded = sum(t.measured - t.measured_failures for t in store.campaign_tasks(row.id))
    return {"wall_s": times["end"] - times["start"], "succeeded": succeeded, "best": best}


def choose_tasks(path: str, shapes: dict[str, tuple[int, ...]], count: int) -> dict[str, Any]:
    """Choose the tasks with most arithmetic: every one of them has a real space to search."""
    from orchestrator import Toolbox

    with Toolbox("metaschedule") as tools:
        device = tools.resolve_target("auto")
        tasks = tools.extract(tools.prepare(path, shapes), device.target).tasks
    chosen = sorted(tasks, key=lambda t: -t.workload.flops * t.weight)[:count]
    return {
        "target": device.target,
        "names": [t.name for t in chosen],
        "workloads": [t.workload.hash for t in chosen],
    }


def main() -> None:
    """Run both in turns and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="ppocr_cls", choices=sorted(ZOO))
    parser.add_argument("--tasks", type=int, default=6, help="how many, those with most FLOPs first")
    parser.add_argument("--trials", type=int, default=32, help="for each task")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=pathlib.Path, help="write the raw figures there, as JSON")
    parser.add_argument("--side", choices=("stock", "ours"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        request = json.loads(sys.stdin.read())
        request["shapes"] = {name: tuple(dims) for name, dims in request["shapes"].items()}
        print(json.dumps({"stock": stock, "ours": ours}[options.side](request)))
        return
    path, shapes = str(fetch(options.model)), ZOO[options.model].shapes
    request = {"path": path, "shapes": shapes, "trials": options.trials, "seed": options.seed}
    request |= choose_tasks(path, shapes, options.tasks)
    results: dict[str, list[dict[str, Any]]] = {"stock": [], "ours": []}
    for turn in range(options.rounds):
        for side in ("ours", "stock") if turn % 2 == 0 else ("stock", "ours"):
            command = [sys.executable, "-m", "benchmarks.trials_per_hour", "--side", side]
            done = subprocess.run(
                command, input=json.dumps(request), stdout=subprocess.PIPE, text=True, check=True
            )
            result = json.loads(done.stdout.strip().splitlines()[-1])
            result["per_hour"] = result["succeeded"] / result["wall_s"] * 3600
            results[side].append(result)
            print(
                f"turn {turn + 1} {side:>5}: {result['succeeded']} good trials in {result['wall_s']:.0f} s, "
                f"{result['per_hour']:.0f} an hour",
                flush=True,
            )
    rate = {side: statistics.median(r["per_hour"] for r in runs) for side, runs in results.items()}
    ratios = [
        mine["best"][key] / theirs["best"][key]
        for mine, theirs in zip(results["ours"], results["stock"], strict=True)
        for key in theirs["best"]
        if key in mine["best"]
    ]
    print(f"\n{options.model}, {options.tasks} tasks x {options.trials} trials, {options.rounds} turn(s)")
    ratio = rate["ours"] / rate["stock"]
    print(f"stock {rate['stock']:.0f}/h, ours {rate['ours']:.0f}/h: {ratio:.1f} times stock")
    print(
        "best time of a task, ours / stock, geometric mean: "
        f"{math.exp(statistics.fmean(map(math.log, ratios))):.2f} over {len(ratios)} tasks"
    )
    if options.output:
        options.output.write_text(json.dumps({"request": request, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
