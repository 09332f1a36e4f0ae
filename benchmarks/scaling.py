"""Trials per hour by the number of search and build workers, measurement simulated.

Searches and builds compute, so more of them than cores show nothing. Therefore twice: *real*, where the
workers search and build, for as many of them as there are cores; and *replayed*, where each waits as long as
that piece of work took in the real run with one worker, when nothing else computed. Whatever else there is,
is real in both: the tuning loop, the store, Ray and its actors. Where both were run the one checks the other:
what workers lose to each other on shared memory and caches, and to the loop on the same cores, the replay
doesn't know. Devices are simulated in both: they only wait, and there are enough of them::

    python -m benchmarks.scaling --model light_squeezenet --trials 320 --workers 1,2,4,8

Trials count from the first search to the last result; the start of Ray is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field, replace

from benchmarks.fleets import on_ray
from benchmarks.meter import Meter, MeteredFleet
from benchmarks.model_zoo import ZOO, fetch
from benchmarks.store import OWNER
from benchmarks.trials_per_hour import show
from benchmarks.waiting import Times, WaitingMeasure, settings
from orchestrator import CampaignSpec, Storage, Toolbox, make_plan
from orchestrator.campaigns.planning.plan import CampaignPlan
from orchestrator.campaigns.scheduling.alone import tune_alone
from orchestrator.campaigns.tuning.tuner import Tuning
from orchestrator.fleet.port import DevicesWanted
from orchestrator.fleet.ray.actors import ActorClasses
from orchestrator.fleet.ray.fleet import RayFleet
from orchestrator.storage import NewCampaignModel, NewTask
from workers.messages import DeviceInfo


@dataclass(frozen=True)
class Figures:
    """One campaign.

    Attributes
    ----------
    took_ms : dict of str to list of float
        What each piece of work took, by its kind, from when it was given out to when its result was taken.
    trials_by_task : dict of str to int
        By the workload's hash.
    """

    kind: str
    workers: int
    trials: int
    seconds: float
    device_use: float
    took_ms: dict[str, list[float]] = field(repr=False, default_factory=dict)
    trials_by_task: dict[str, int] = field(repr=False, default_factory=dict)

    @property
    def per_hour(self) -> float:
        """Trials in an hour."""
        return self.trials / self.seconds * 3600


def really(devices: int, times: Times, *, slots: int, device: DeviceInfo) -> MeteredFleet:
    """Return the real fleet with searches and builds that work, on a Ray of its own; its devices wait."""
    told = settings(devices, times)

    # Made here, it travels to Ray's worker with what it is told.
    class Measuring(WaitingMeasure):
        def __init__(self, *_: object) -> None:
            super().__init__(told)

    fleet = RayFleet(
        "metaschedule",
        DevicesWanted(boards={"board": device}, tracker=("127.0.0.1", 1)),
        slots=slots,
        actors=ActorClasses(measure=Measuring),
    )
    return MeteredFleet(fleet, Meter(), itself=False)


def campaign(
    kind: str,
    store: Storage,
    plan: CampaignPlan,
    spec: CampaignSpec,
    workers: int,
    devices: int,
    times: Times,
) -> Figures:
    """Run a campaign with so many workers."""
    (device,) = plan.devices
    name = store.campaigns.create(
        engine="metaschedule", spec={}, models=[NewCampaignModel("model.onnx")], owner=OWNER, ttl_s=86_400
    )
    rows = [
        NewTask(p.task.workload_hash, p.task.device_class, p.task.name, p.task.weight, p.budget)
        for p in plan.tasks
    ]
    store.tasks.put(name, rows, owner=OWNER)
    fleet = (really if kind == "real" else on_ray)(devices, times, slots=workers, device=device)
    try:
        assert fleet.start()
        tuning = Tuning(store, name, OWNER, spec, plan, lambda _: None, lambda: None)
        start = time.monotonic()
        tune_alone(store, fleet, tuning)
        seconds = time.monotonic() - start
    finally:
        fleet.stop()
    trials = store.trials.of_campaign(name)
    counts = {row.workload_hash: row.measured for row in store.tasks.of_campaign(name)}
    return Figures(
        kind,
        workers,
        tuning.recorded,
        seconds,
        sum(trial.run_s for trial in trials) / (devices * seconds),
        fleet.took_ms,
        counts,
    )


def replayed(times: Times, alone: Figures) -> Times:
    """Return times that are drawn from what the work took with one worker.

    Raises
    ------
    ValueError
        A kind of work wasn't seen, so that nothing is known to stand in for it.
    """
    unseen = {"open", "propose", "learn", "build"} - set(alone.took_ms)
    if unseen:
        raise ValueError(f"the run with one worker had no work of this kind: {', '.join(sorted(unseen))}")
    return replace(times, **alone.took_ms)


def as_measured(plan: CampaignPlan, alone: Figures) -> CampaignPlan:
    """Return a plan that gives each task the trials it had: a stand-in's spaces are never used up."""
    had = [(task, alone.trials_by_task[task.task.workload_hash]) for task in plan.tasks]
    return replace(plan, tasks=tuple(replace(task, budget=count) for task, count in had if count))


def table(found: list[Figures], model: str, devices: int, times: Times) -> str:
    """Write the figures as a table in Markdown."""
    by = {(f.kind, f.workers): f for f in found}
    lines = [
        "| workers | real, trials/h | times one worker | replayed, trials/h | times one worker | "
        "replayed / real | device use |",
        "|---|---|---|---|---|---|---|",
    ]
    for workers in sorted({f.workers for f in found}):
        cells, both = [], []
        for kind in ("real", "replayed"):
            one, first = by.get((kind, workers)), by.get((kind, 1))
            both.append(one)
            cells.append("-" if one is None else f"{one.per_hour:,.0f}")
            cells.append("-" if one is None or first is None else f"{one.per_hour / first.per_hour:.2f}")
        real, replay = both
        ratio = f"{replay.per_hour / real.per_hour:.2f}" if real and replay else "-"
        use = max(f.device_use for f in both if f)
        lines.append(f"| {workers} | {' | '.join(cells)} | {ratio} | {use:.0%} |")
    alone = by["real", 1]
    took = ", ".join(f"{kind} {sum(t) / len(t):,.0f} ms x {len(t)}" for kind, t in alone.took_ms.items() if t)
    lines += [
        "",
        f"{model}, {alone.trials} trials with one worker, {os.cpu_count()} cores. Simulated: {devices} "
        f"devices of {times.mean_measure:g} ms in both; in the replay searches and builds too: each waits as "
        f"long as one took with one worker ({took}).",
    ]
    return "\n".join(lines)


def main() -> None:
    """Run the campaigns, print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="light_squeezenet", choices=sorted(ZOO))
    parser.add_argument("--trials", type=int, default=320, help="of each campaign (default %(default)s)")
    parser.add_argument("--workers", default="1,2,4,8", help="numbers of workers (default %(default)s)")
    parser.add_argument("--devices", type=int, default=8, help="simulated ones (default %(default)s)")
    parser.add_argument("--measure-ms", type=float, default=300.0, help="mean (default %(default)g)")
    parser.add_argument("--output", type=pathlib.Path, help="write the raw figures there, as JSON")
    parser.add_argument("--markdown", type=pathlib.Path, help="write what is printed there as well")
    options = parser.parse_args()
    numbers = sorted({1, *map(int, options.workers.split(","))})
    cores = len(os.sched_getaffinity(0))
    wanted = [("real", n) for n in numbers if n <= cores] + [("replayed", n) for n in numbers]
    spec = CampaignSpec.of(
        {
            "models": [{"path": str(fetch(options.model)), "shapes": ZOO[options.model].shapes}],
            "trials": options.trials,
        }
    )
    times = Times(measure=options.measure_ms)
    found: list[Figures] = []
    for kind, workers in wanted:
        # A store for each: what one campaign measured counts toward the next one's budget.
        with (
            tempfile.TemporaryDirectory(prefix="tf-scaling-") as folder,
            Storage.open(f"{folder}/store.db") as store,
        ):
            with Toolbox("metaschedule") as tools:
                plan = make_plan(store, tools, spec)
            if kind == "replayed":
                plan = as_measured(plan, found[0])
            took = times if kind == "real" else replayed(times, found[0])
            found.append(campaign(kind, store, plan, spec, workers, options.devices, took))
        print(f"{kind}, {workers} workers: {found[-1].per_hour:,.0f}/h", file=sys.stderr, flush=True)
        if options.output:
            options.output.write_text(json.dumps([asdict(f) for f in found], indent=1) + "\n")
    show(table(found, options.model, options.devices, times), options)


if __name__ == "__main__":
    main()
