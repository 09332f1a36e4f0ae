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
import contextlib
import hashlib
import heapq
import itertools
import json
import pathlib
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import ray

from benchmarks.store import OWNER, VERSION, device, trace, workload
from orchestrator.campaigns.planning.budgets import WantedTask, plan_tasks
from orchestrator.campaigns.planning.plan import CampaignPlan
from orchestrator.campaigns.spec import CampaignSpec
from orchestrator.campaigns.tuning.tuner import Tuning
from orchestrator.fleet.port import Completion
from orchestrator.fleet.ray import fleet as ray_fleet
from orchestrator.fleet.ray.fleet import RayFleet
from orchestrator.models.extraction import ExtractedModel
from orchestrator.models.request import ModelRequest
from orchestrator.storage import NewCampaignModel, NewTask, Storage
from workers.messages import (
    BuildResult,
    Candidate,
    DeviceInfo,
    Extraction,
    Measurement,
    PreparedModel,
    Station,
    TaskSpec,
    TensorSpec,
    TrialState,
)

#: Tasks of the model that is tuned.
TASKS = 40
#: Of all trials, those before and after which nothing is reported.
EDGE = 0.1
#: How far times spread around their mean, to either side.
SPREAD = 0.3
DEVICE = device(0)
# A trace is made in about the time that recording it takes; there are as many as a database can't tell apart.
_TRACES = 500
# What the loop asks the store for besides recording.
_ASKED = (("trials", "known_candidates"), ("seeds", "fastest"), ("tasks", "update"))
_SAMPLE = random.Random(1).randbytes(16_000)


@dataclass
class Meter:
    """The time something takes, on the clock and of the processor, in seconds."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    calls: int = 0

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Add what is done within."""
        wall, cpu = time.perf_counter(), time.thread_time()
        try:
            yield
        finally:
            self.wall_s += time.perf_counter() - wall
            self.cpu_s += time.thread_time() - cpu
            self.calls += 1

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return a callable that adds what each call takes."""

        def metered(*args: Any, **kwargs: Any) -> Any:
            with self.running():
                return call(*args, **kwargs)

        return metered


@dataclass(frozen=True)
class Times:
    """Milliseconds of what the stand-in does: a mean, or times to draw from."""

    measure: float | list[float] = 300.0
    build: float | list[float] = 1000.0
    propose: float | list[float] = 2000.0
    learn: float | list[float] = 200.0
    open: float | list[float] = 500.0
    train: float | list[float] = 3000.0


@dataclass(eq=False)
class SimulatedDevice:
    """A device that waits. Its cores are its own."""

    name: str
    device_class: str = DEVICE.device_class
    host: str = "board"
    state: str = "ready"
    busy: bool = False
    measured: int = 0
    last_error: str = ""
    shares_cores: bool = False
    paused: bool = False

    @property
    def place(self) -> str:
        """As a fleet's device has it."""
        return self.name

    @property
    def station(self) -> Station:
        """As a fleet's device has it."""
        return Station(self.name, DEVICE)


class SimulatedFleet:
    """A stand-in for :class:`orchestrator.fleet.ray.fleet.RayFleet`: what it is given ends when it is time.

    Attributes
    ----------
    meter : Meter
        What the stand-in itself takes, its waiting included.
    measured : list of (float, Measurement)
        When each measurement was handed over, on the monotonic clock.
    """

    def __init__(self, devices: int, times: Times) -> None:
        self.versions = {"tvm": "0.27.0.post1", "llvm": "19", "engine": VERSION}
        self.devices = [SimulatedDevice(f"board#{n}") for n in range(devices)]
        # What is built waits for the devices, so slots for all tasks' rounds are enough.
        self.total_slots = self.free_slots = 4 * TASKS + 16 * devices
        self.computing = 0
        self.ready_devices = {DEVICE.device_class: devices}
        self.meter = Meter()
        self.measured: list[tuple[float, Measurement]] = []
        self._times = times
        self._idle = dict.fromkeys(self.devices)
        self._under_way: list[tuple[float, int, Any, Any, SimulatedDevice | None]] = []
        self._numbers = itertools.count()
        self._random = random.Random(1)
        self._traces = [trace(self._random) for _ in range(_TRACES)]

    @property
    def all_devices(self) -> list[SimulatedDevice]:
        """All of them; the loop stores how they stand."""
        return self.devices

    def idle_devices(self) -> list[SimulatedDevice]:
        """Return the devices that wait for nothing."""
        with self.meter.running():
            return list(self._idle)

    def search(self, tag: Any, session: str, method: str, *args: Any) -> None:
        """Open a search, have it propose or have it learn."""
        with self.meter.running():
            value: Any = b""
            if method == "propose":
                value = _candidates(args[0], self._random, self._traces)
            elif method == "learn":
                value = _SAMPLE
            self._begin(tag, value, getattr(self._times, method))

    def train(self, tag: Any, samples: Any, timeout_s: float) -> None:
        """Train the cost model."""
        with self.meter.running():
            self._begin(tag, _SAMPLE, self._times.train)

    def close(self, session: str) -> None:
        """End a search."""

    def check(self, device_classes: Any) -> None:
        """Miss nothing: no device here goes away."""

    def build(self, tag: Any, *args: Any) -> None:
        """Build a candidate."""
        with self.meter.running():
            seconds = _about(self._times.build, self._random)
            self._begin(tag, (BuildResult(seconds), "artifact"), [seconds * 1e3])

    def measure(self, tag: Any, artifact: Any, device: SimulatedDevice, *args: Any) -> None:
        """Measure an artifact."""
        with self.meter.running():
            del self._idle[device]
            self._begin(tag, None, self._times.measure, device)

    def pause(self, device: SimulatedDevice) -> None:
        """Refuse: no device here shares its cores."""
        raise AssertionError(f"{device.name} has its cores for itself")

    resume = pause

    def stop(self) -> None:
        """End nothing: there is no process."""

    def wait(self, timeout_s: float) -> list[Completion]:
        """Wait until something ends, and return all that has."""
        with self.meter.running():
            until = time.monotonic() + timeout_s
            if self._under_way:
                until = min(until, self._under_way[0][0])
            time.sleep(max(0.0, until - time.monotonic()))
            now = time.monotonic()
            ended = []
            while self._under_way and self._under_way[0][0] <= now:
                _, _, tag, value, device = heapq.heappop(self._under_way)
                if device is None:
                    self.free_slots += 1
                    self.computing -= 1
                else:
                    self._idle[device] = None
                    self.measured.append((now, value))
                ended.append(Completion(tag, value))
            return ended

    def _begin(
        self, tag: Any, value: Any, ms: float | list[float], device: SimulatedDevice | None = None
    ) -> None:
        seconds = _about(ms, self._random)
        if device is None:
            self.free_slots -= 1
            self.computing += 1
        else:
            value = _measurement(self._random, device.name, seconds)
        heapq.heappush(self._under_way, (time.monotonic() + seconds, next(self._numbers), tag, value, device))


class _WaitingActor:
    """What the actors have in common: the engine's name is the times they wait, as JSON."""

    def __init__(self, engine: str, *_: Any) -> None:
        values = json.loads(engine)
        self._devices = values.pop("devices")
        self._times = Times(**values)
        self._random = random.Random(1)
        self._traces = [trace(self._random) for _ in range(_TRACES)]

    def start(self) -> tuple[str, int | None, dict[str, str]]:
        return "node-17", None, {"tvm": "0.27.0.post1", "llvm": "19", "engine": VERSION}

    def cores(self) -> tuple[int, ...]:
        return (0, 1)

    def stop(self) -> None:
        pass

    def _wait(self, ms: float | list[float]) -> float:
        seconds = _about(ms, self._random)
        time.sleep(seconds)
        return seconds


class _WaitingSearch(_WaitingActor):
    def open(self, *_: Any) -> bytes:
        self._wait(self._times.open)
        return b""

    def propose(self, session: str, count: int, *_: Any) -> tuple[Candidate, ...]:
        self._wait(self._times.propose)
        return _candidates(count, self._random, self._traces)

    def learn(self, *_: Any) -> bytes:
        self._wait(self._times.learn)
        return _SAMPLE

    def train(self, *_: Any) -> bytes:
        self._wait(self._times.train)
        return _SAMPLE

    def close(self, session: str) -> None:
        pass


class _WaitingBuild(_WaitingActor):
    def build(self, *_: Any) -> tuple[BuildResult, bytes]:
        return BuildResult(self._wait(self._times.build)), _SAMPLE


class _WaitingMeasure(_WaitingActor):
    def offer(self, wanted: Any) -> tuple[Station, ...]:
        return ()

    def tracked(self, *_: Any) -> dict[str, int]:
        return {"board": self._devices}

    def serve(self) -> None:
        pass

    def measure(self, artifact: Any, station: Station, *_: Any) -> Measurement:
        name = f"{station.key}#{station.index}"
        return _measurement(self._random, name, self._wait(self._times.measure))


class WaitingFleet(RayFleet):
    """The real fleet on a Ray of its own; its actors wait instead of working.

    Parameters
    ----------
    slots : int, optional
        Searches and builds at once; as many as the devices can ever want, where it is left out.
    device : DeviceInfo, optional
        What all of them are.

    Attributes
    ----------
    meter : Meter
        The time spent waiting for Ray, which is not the coordinator's.
    measured : list of (float, Measurement)
        As in :class:`SimulatedFleet`.
    """

    def __init__(
        self, devices: int, times: Times, *, slots: int | None = None, device: DeviceInfo = DEVICE
    ) -> None:
        engine = json.dumps({"devices": devices, **asdict(times)})
        super().__init__(engine, (), slots=2, boards={"board": device}, tracker=("127.0.0.1", 1))
        self.meter = Meter()
        self.measured: list[tuple[float, Measurement]] = []
        self._wait_of_ray = ray.wait
        ray_fleet.SearchActor = _WaitingSearch  # type: ignore[assignment, misc]
        ray_fleet.BuildActor = _WaitingBuild  # type: ignore[assignment, misc]
        ray_fleet.MeasureActor = _WaitingMeasure  # type: ignore[assignment, misc]
        self.join()
        self.start()
        # Ray would start a process for each CPU it is said to have.
        self._nodes[0].slots = slots or 4 * TASKS + 16 * devices
        ray.wait = self._metered_wait

    def wait(self, timeout_s: float) -> list[Completion]:
        """Return what ended, and note what was measured."""
        ended = super().wait(timeout_s)
        now = time.monotonic()
        self.measured += [(now, c.value) for c in ended if isinstance(c.value, Measurement)]
        return ended

    def stop(self) -> None:
        """End the actors and Ray."""
        ray.wait = self._wait_of_ray
        super().stop()

    def _metered_wait(self, *args: Any, **kwargs: Any) -> Any:
        wall, cpu = time.perf_counter(), time.thread_time()
        try:
            return self._wait_of_ray(*args, **kwargs)
        finally:
            # What Ray computes meanwhile in this thread is the coordinator's.
            self.meter.wall_s += time.perf_counter() - wall - (time.thread_time() - cpu)


FLEETS: dict[str, type[SimulatedFleet] | type[WaitingFleet]] = {
    "simulated": SimulatedFleet,
    "ray": WaitingFleet,
}


def _about(ms: float | list[float], rng: random.Random) -> float:
    if isinstance(ms, list):
        return rng.choice(ms) / 1e3
    return ms / 1e3 * rng.uniform(1 - SPREAD, 1 + SPREAD)


def _candidates(count: int, rng: random.Random, traces: list[str]) -> tuple[Candidate, ...]:
    return tuple(Candidate(rng.randbytes(32).hex(), rng.choice(traces)) for _ in range(count))


def _measurement(rng: random.Random, device: str, run_s: float) -> Measurement:
    best = rng.expovariate(1000.0)
    return Measurement(TrialState.OK, (best, best * 1.01, best * 0.98), "", device, "node-17", run_s)


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

    def __init__(
        self, store: Storage, fleet: SimulatedFleet | WaitingFleet, devices: int, trials: int
    ) -> None:
        self.fleet, self.devices, self.trials = fleet, devices, trials
        self._commits, self._store = Meter(), Meter()
        spec = CampaignSpec.of({"models": [{"path": "/models/model.onnx"}], "trials": trials})
        self.campaign, made = _plan(store, spec, f"{devices} devices, {time.time_ns()}")
        self._tuning = Tuning(store, fleet, self.campaign, OWNER, spec, made, lambda _: None, self._changed)
        # What the loop asks the store for is metered from here on.
        self._metered: list[tuple[Any, str]] = []
        self._meter(store.trials, "record", self._commits)
        for group, name in _ASKED:
            self._meter(getattr(store, group), name, self._store)
        self._begun: _Moment | None = None
        self._ended: _Moment | None = None

    def _meter(self, group: Any, name: str, meter: Meter) -> None:
        """Time a method of one of the store's groups until the run is over."""
        setattr(group, name, meter.around(getattr(group, name)))
        self._metered.append((group, name))

    def run(self) -> Figures:
        """Tune, and say what it took."""
        started = time.monotonic()
        try:
            self._tuning.run(lambda: False)
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


def _plan(store: Storage, spec: CampaignSpec, name: str) -> tuple[int, CampaignPlan]:
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
        f"{times.measure / cheapest:,.0f} devices of {times.measure:g} ms.",
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
