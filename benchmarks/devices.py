"""How many devices one coordinator feeds: the real loop and the real store, with simulated devices.

The fleet is a stand-in in this process. Its devices wait as long as a measurement takes and compute nothing,
and so do its searches and builds, of which there are always enough at once. Everything else is what a
campaign runs on: the tuning loop, the state machine, a database that syncs each commit, a lease, traces of 4
to 8 KB::

    python -m benchmarks.devices --devices 1,8,64,512 --measure-ms 300 --trials-per-device 100

With ``--fleet ray`` it is the real fleet on Ray, and only its actors wait instead of working: what a call
costs the coordinator is in it then. All devices are boards behind one node.

What is reported is of the time between the first and the last tenth of the trials. A coordinator's time for
a trial is all that the process takes in it less what the stand-in takes, which is metered apart; "loop busy"
is its share of the clock, and near 100% the coordinator is the limit. Where devices idle and it is not,
candidates are missing: a task proposes its next round when the last result of the one before is in.

Expected before the first run: 2 to 4 ms a trial at one device, nearly all of it the store, which commits and
syncs for each result (a flush of 16 takes 7 ms, see docs/store.md). With more devices results come in
bunches, one commit each, so less: 1 ms at 512. By that the coordinator would be the limit at about 300
devices of 300 ms. But rounds come first: 24 open searches with 16 candidates each, and 3 s to propose and
build them, make 110 trials/s, which is 35 devices.

It was 10 ms at one device and 3.4 at 64, and the rounds came first indeed: docs/architecture.md has the
figures before and after.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import pathlib
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

from benchmarks.fleets import on_ray, simulated
from benchmarks.meter import Meter, MeteredFleet
from benchmarks.store import OWNER, VERSION, workload
from benchmarks.waiting import DEVICE, TASKS, Times
from orchestrator.campaigns.planning.budgets import WantedTask, plan_tasks
from orchestrator.campaigns.planning.plan import CampaignPlan
from orchestrator.campaigns.scheduling.alone import tune_alone
from orchestrator.campaigns.spec import CampaignSpec
from orchestrator.campaigns.tuning.tuner import Tuning
from orchestrator.models.extraction import ExtractedModel
from orchestrator.models.request import ModelRequest
from orchestrator.storage import NewCampaignModel, NewTask, Storage
from workers.messages import Extraction, PreparedModel, TaskSpec, TensorSpec

#: Of all trials, those before and after which nothing is reported.
EDGE = 0.1
# What the loop asks the store for besides recording.
_ASKED = (("trials", "known_candidates"), ("seeds", "fastest"), ("tasks", "update"))
FLEETS: dict[str, Callable[[int, Times], MeteredFleet]] = {"simulated": simulated, "ray": on_ray}


@dataclass(frozen=True)
class _Moment:
    at: float
    process_cpu_s: float
    fleet: Meter
    store_s: float
    commits: int
    trials: int


@dataclass(frozen=True)
class Figures:
    """What came of one number of devices.

    Attributes
    ----------
    device_use, whole_use : float
        Of the devices' time, the part in which they measured: between the edges, and in the whole campaign.
    cpu_ms, wall_ms : float
        The coordinator's for each trial.
    store_share : float
        Of `wall_ms`, the store's part.
    trials_per_commit : float
    loop_busy : float
        Of the clock, the coordinator's part; the stand-in's is apart.
    stand_in_busy : float
    """

    devices: int
    trials: int
    device_use: float
    whole_use: float
    trials_per_s: float
    cpu_ms: float
    wall_ms: float
    store_share: float
    trials_per_commit: float
    loop_busy: float
    stand_in_busy: float
    measured: dict[str, int] = field(repr=False)


class Run:
    """One campaign on one number of simulated devices."""

    def __init__(self, store: Storage, fleet: MeteredFleet, devices: int, trials: int) -> None:
        self.fleet, self.devices, self.trials = fleet, devices, trials
        self._commits, self._store = Meter(), Meter()
        spec = CampaignSpec.of({"models": [{"path": "/models/model.onnx"}], "trials": trials})
        self.campaign, made = planned_campaign(store, spec, f"{devices} devices, {time.time_ns()}")
        self._tuning = Tuning(store, self.campaign, OWNER, spec, made, lambda _: None, self._changed)
        # What the loop asks the store for is metered from here on.
        self._of_store = store
        self._metered: list[tuple[object, str]] = []
        self._meter(store.trials, "record", self._commits)
        for group, name in _ASKED:
            self._meter(getattr(store, group), name, self._store)
        self._begun: _Moment | None = None
        self._ended: _Moment | None = None

    def _meter(self, group: object, name: str, meter: Meter) -> None:
        """Time a method of one of the store's groups until the run is over."""
        setattr(group, name, meter.around(getattr(group, name)))
        self._metered.append((group, name))

    def run(self) -> Figures:
        """Tune, and say what it took."""
        started = time.monotonic()
        try:
            tune_alone(self._of_store, self.fleet, self._tuning)
        finally:
            for group, name in self._metered:
                delattr(group, name)
        seconds = time.monotonic() - started
        before, after = self._begun, self._ended
        assert before is not None, "a campaign too short to be measured"
        assert after is not None, "a campaign that ended early"
        trials, clock = after.trials - before.trials, after.at - before.at
        fleet_wall = after.fleet.wall_s - before.fleet.wall_s
        fleet_cpu = after.fleet.cpu_s - before.fleet.cpu_s
        cpu = after.process_cpu_s - before.process_cpu_s - fleet_cpu
        wall = clock - fleet_wall
        return Figures(
            devices=self.devices,
            trials=self._tuning.recorded,
            device_use=self._busy(before.at, after.at) / (self.devices * clock),
            whole_use=self._busy(started, started + seconds) / (self.devices * seconds),
            trials_per_s=trials / clock,
            cpu_ms=cpu / trials * 1e3,
            wall_ms=wall / trials * 1e3,
            store_share=(after.store_s - before.store_s) / wall,
            trials_per_commit=trials / (after.commits - before.commits),
            loop_busy=wall / clock,
            stand_in_busy=fleet_cpu / clock,
            measured=dict(Counter(measurement.device for _, measurement in self.fleet.measured)),
        )

    def _busy(self, start: float, end: float) -> float:
        spans = ((ended - measurement.run_s, ended) for ended, measurement in self.fleet.measured)
        return sum(max(0.0, min(end, till) - max(start, since)) for since, till in spans)

    def _changed(self) -> None:
        done = self._tuning.recorded / self.trials
        if self._begun is None and done >= EDGE:
            self._begun = self._moment()
        if self._ended is None and done >= 1 - EDGE:
            self._ended = self._moment()

    def _moment(self) -> _Moment:
        return _Moment(
            time.monotonic(),
            time.process_time(),
            Meter(**vars(self.fleet.meter)),
            self._store.wall_s + self._commits.wall_s,
            self._commits.calls,
            self._tuning.recorded,
        )


def planned_campaign(store: Storage, spec: CampaignSpec, name: str) -> tuple[int, CampaignPlan]:
    """Store a campaign of a model, held by OWNER, and plan it."""
    first = int(hashlib.sha256(name.encode()).hexdigest()[:6], 16)
    tasks = tuple(TaskSpec(f"task{n}", 1 + n % 4, workload(first + n)) for n in range(TASKS))
    tensor = TensorSpec("input", (1, 3, 224, 224), "float32")
    prepared = PreparedModel(hashlib.sha256(name.encode()).hexdigest(), name, b"onnx", (tensor,), (tensor,))
    path = "/models/model.onnx"
    model_id = store.models.put(prepared, path)
    store.device_classes.put("metaschedule", DEVICE)
    store.extractions.put(model_id, "metaschedule", DEVICE.target, Extraction(tasks, VERSION))
    wanted = [
        WantedTask(t.workload.hash, DEVICE.device_class, t.name, t.weight, t.workload.flops) for t in tasks
    ]
    planned = plan_tasks(
        wanted,
        store.tasks.standings([(task.workload_hash, task.device_class) for task in wanted]),
        trials=spec.trials,
        trials_per_task=None,
        plateau=None,
    )
    campaign = store.campaigns.create(
        engine="metaschedule", spec={}, models=[NewCampaignModel(path)], owner=OWNER, ttl_s=3600
    )
    rows = [
        NewTask(p.task.workload_hash, p.task.device_class, p.task.name, p.task.weight, p.budget)
        for p in planned
    ]
    store.tasks.put(campaign, rows, owner=OWNER)
    model = ExtractedModel(model_id, ModelRequest(path=path), prepared, DEVICE, tasks, VERSION, False)
    return campaign, CampaignPlan((model,), (DEVICE,), tuple(planned))


def table(found: list[Figures], times: Times) -> str:
    """Write the figures as a table in Markdown."""
    lines = [
        "| devices | device use (whole campaign) | trials/s | coordinator ms a trial: CPU, clock "
        "| of it the store | trials a commit | loop busy | the stand-in's CPU |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {f.devices} | {f.device_use:.1%} ({f.whole_use:.1%}) | {f.trials_per_s:,.1f} | "
        f"{f.cpu_ms:.2f}, {f.wall_ms:.2f} | {f.store_share:.0%} | {f.trials_per_commit:.1f} | "
        f"{f.loop_busy:.0%} | {f.stand_in_busy:.0%} |"
        for f in found
    ]
    cheapest = min(f.wall_ms for f in found)
    lines += [
        "",
        f"At {cheapest:.2f} ms a trial the coordinator would be the limit at "
        f"{times.mean_measure / cheapest:,.0f} devices of {times.mean_measure:g} ms.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Run a campaign on each number of devices, print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--devices", default="1,8,64,512", help="numbers of devices")
    parser.add_argument("--trials-per-device", type=int, default=100)
    parser.add_argument("--fleet", choices=sorted(FLEETS), default="simulated")
    parser.add_argument("--database", default="sqlite", help="sqlite, for a file of its own, or a URL")
    parser.add_argument("--output", type=pathlib.Path, help="write the raw figures there, as JSON")
    for name, value in asdict(Times()).items():
        parser.add_argument(f"--{name}-ms", type=float, default=value, help="mean (default %(default)g)")
    options = parser.parse_args()
    times = Times(**{name: getattr(options, f"{name}_ms") for name in asdict(Times())})
    found = []
    for count in map(int, options.devices.split(",")):
        trials = max(count * options.trials_per_device, TASKS)
        with tempfile.TemporaryDirectory(prefix="tf-devices-") as folder:
            url = f"sqlite:///{folder}/store.db" if options.database == "sqlite" else options.database
            fleet = FLEETS[options.fleet](count, times)
            try:
                assert fleet.start()
                with Storage.open(url) as store:
                    found.append(Run(store, fleet, count, trials).run())
            finally:
                fleet.stop()
        print(f"{count} devices: {found[-1]}", file=sys.stderr, flush=True)
        if options.output:
            options.output.write_text(json.dumps([asdict(f) for f in found], indent=1) + "\n")
    print(table(found, times))


if __name__ == "__main__":
    main()
