"""Both engines on the same models, machine and wall-clock budget: latency against time, and trials per hour.

Each engine gets a store of its own and the same seconds; at each checkpoint the campaign ends, its library is
built and timed beside onnxruntime, and a campaign with the next budget goes on from the store. The engines
take turns within each checkpoint. Building and comparing are not part of the budget::

    python -m benchmarks.engines --seconds 60,120,240 light_squeezenet ppocr_cls light_resnet50

With ``--stock`` AutoTVM's own ``tuner.tune`` runs as well, with its LocalBuilder, on the tasks of the first
model with most arithmetic, for the cost of the orchestrator itself.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time
from typing import Any

from benchmarks.model_zoo import ZOO, fetch
from orchestrator import CampaignSpec, Storage, Toolbox, submit
from orchestrator.campaigns.running.coordinator import follow
from workers import environments

ENGINES = ("metaschedule", "autotvm")

# Runs in the engine's own environment, where nothing of this project is: AutoTVM as its users run it.
_STOCK = """
import contextlib, json, os, sys, time
import xgboost
import tvm
from tvm import autotvm, relay
from tvm.autotvm.measure import measure_methods
from tvm.autotvm.tuner import XGBTuner

request = json.load(sys.stdin)

class Loader:
    # The wheel's own loader hands load_module three arguments, and its server takes one.
    @contextlib.contextmanager
    def __call__(self, remote_kwargs, build_result):
        remote = measure_methods.request_remote(**remote_kwargs)
        remote.upload(build_result.filename)
        name = os.path.split(build_result.filename)[1]
        yield remote, remote.get_function("tvm.rpc.server.load_module")(name)

target = tvm.target.Target(request["target"])
good = 0
started = time.monotonic()
for name, args in request["tasks"]:
    tuples = lambda v: tuple(map(tuples, v)) if isinstance(v, list) else v
    task = autotvm.task.create(name, [tuples(a) for a in args], target)
    results = []
    XGBTuner(task, plan_size=request["plan_size"]).tune(
        n_trial=request["trials"],
        measure_option=autotvm.measure_option(
            builder=autotvm.LocalBuilder(n_parallel=request["cores"], do_fork=True),
            runner=autotvm.LocalRunner(number=3, repeat=1, min_repeat_ms=100, module_loader=Loader()),
        ),
        callbacks=[lambda tuner, inputs, found: results.extend(found)],
    )
    good += sum(result.error_no == 0 for result in results)
print(json.dumps({"seconds": time.monotonic() - started, "good": good}))
"""


class Phases:
    """Notes when each activity of a campaign was first told of; ``start`` is when Ray was to start."""

    def __init__(self) -> None:
        self.at: dict[str, float] = {}

    def activity(self, text: str) -> None:
        self.at.setdefault("start" if text.startswith("starting Ray") else text, time.monotonic())

    def changed(self, campaign_id: int) -> None:
        pass

    @property
    def tuning_s(self) -> float:
        """Seconds of tuning, the start of Ray among them."""
        return self.at["stopping the workers"] - self.at["start"]


def step(store: Storage, name: str, engine: str, seconds: float) -> dict[str, Any]:
    """Go on with a model for some seconds, and return how it stands."""
    spec = CampaignSpec.of(
        {
            "models": [{"path": str(fetch(name)), "shapes": ZOO[name].shapes}],
            "engine": engine,
            "time_s": seconds,
        }
    )
    row = submit(store, spec, hold=True)
    phases = Phases()
    outcome = follow(store, row.id, listener=phases)
    report = outcome.reports[0]
    return {
        "measured": outcome.measured,
        "tuning_s": phases.tuning_s,
        "untuned_s": report.untuned_s,
        "tuned_s": report.tuned_s,
        "reference_s": report.reference_s,
        "agree": report.outputs_agree,
        "plan": report.plan,
    }


def stock(name: str, trials: int, count: int) -> tuple[float, float]:
    """Return the trials an hour of AutoTVM's own loop, and of this project, on the same tasks."""
    with Toolbox("autotvm") as tools:
        device = tools.resolve_target("auto")
        model = tools.prepare(str(fetch(name)), ZOO[name].shapes)
        found = tools.extract(model, device.target).tasks
    tasks = sorted(found, key=lambda t: -t.workload.flops * t.weight)[:count]
    request = {
        "target": device.target,
        "cores": device.cores,
        "trials": trials,
        "plan_size": 32,
        "tasks": [json.loads(task.workload.module) for task in tasks],
    }
    done = subprocess.run(
        [environments.interpreter("autotvm"), "-c", _STOCK],
        input=json.dumps(request),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    theirs = json.loads(done.stdout.strip().splitlines()[-1])
    with tempfile.TemporaryDirectory() as folder, Storage.open(f"{folder}/store.db") as store:
        spec = CampaignSpec.of(
            {
                "models": [{"path": str(fetch(name)), "shapes": ZOO[name].shapes}],
                "engine": "autotvm",
                "trials_per_task": trials,
                "tasks": f"^({'|'.join(task.name for task in tasks)})$",
                "layout_tuning": "none",
            }
        )
        phases = Phases()
        row = submit(store, spec, hold=True)
        follow(store, row.id, listener=phases)
        good = sum(task.measured - task.measured_failures for task in store.tasks.of_campaign(row.id))
    return theirs["good"] / theirs["seconds"] * 3600, good / phases.tuning_s * 3600


def main() -> None:
    """Tune, compare, print tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("models", nargs="+", choices=sorted(ZOO))
    parser.add_argument("--seconds", default="60,120,240", help="checkpoints, of tuning in all")
    parser.add_argument(
        "--engines", nargs="+", choices=ENGINES, default=ENGINES, help="which take turns; both, if left out"
    )
    parser.add_argument("--stock", action="store_true", help="AutoTVM's own loop beside this engine")
    parser.add_argument("--trials", type=int, default=32, help="for each task, with --stock")
    parser.add_argument("--tasks", type=int, default=4, help="how many, with --stock")
    parser.add_argument("--output", type=pathlib.Path, help="write the raw figures there, as JSON")
    options = parser.parse_args()
    checkpoints = [float(text) for text in options.seconds.split(",")]
    rows: list[dict[str, Any]] = []
    print("| model | engine | seconds | trials | trials/h | untuned ms | tuned ms | onnxruntime ms | kept |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for name in options.models:
        with tempfile.TemporaryDirectory() as folder:
            trials = dict.fromkeys(ENGINES, 0)
            for turn, (before, until) in enumerate(zip([0.0, *checkpoints], checkpoints, strict=False)):
                for engine in options.engines if turn % 2 == 0 else options.engines[::-1]:
                    with Storage.open(f"{folder}/{engine}.db") as store:
                        row = step(store, name, engine, until - before)
                    trials[engine] += row["measured"]
                    rows.append({"model": name, "engine": engine, "until_s": until, **row})
                    print(
                        f"| {name} | {engine} | {until:.0f} | {trials[engine]} | "
                        f"{row['measured'] / row['tuning_s'] * 3600:.0f} | "
                        f"{(row['untuned_s'] or float('nan')) * 1e3:.2f} | "
                        f"{row['tuned_s'] * 1e3:.2f} | {row['reference_s'] * 1e3:.2f} | {row['plan']} |",
                        flush=True,
                    )
    if options.stock:
        theirs, ours = stock(options.models[0], options.trials, options.tasks)
        print(
            f"\nAutoTVM's tuner.tune {theirs:.0f}/h, this engine {ours:.0f}/h: {ours / theirs:.1f} times",
            file=sys.stderr,
        )
        rows.append({"stock_per_hour": theirs, "ours_per_hour": ours})
    if options.output:
        options.output.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
