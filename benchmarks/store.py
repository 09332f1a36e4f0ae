"""How fast the record store writes and answers, with up to a million trials in it.

Fills a database of its own with 20,000 workloads on 8 device classes, and at each number of trials asks what
a coordinator asks, through the public methods. The filling between goes the quick way, past them. Both
databases are as durable as in use: SQLite with ``synchronous = FULL``, PostgreSQL as it comes::

    python -m benchmarks.store --trials 10000,100000,1000000 --database both --output store.json
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import itertools
import json
import os
import pathlib
import random
import statistics
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sqlalchemy import JSON, Connection, LargeBinary, bindparam, func, insert, literal, select, text, true

from benchmarks.postgres_server import PostgresServer, new_database
from orchestrator.campaigns.tuning.tuner import HISTORY, RELATED
from orchestrator.storage import NewCampaignModel, NewTask, NewTrial, Storage, toolchain_key
from orchestrator.storage._ids import device_class_ids, workload_ids
from orchestrator.storage._tables import Measurement as MeasurementTable
from orchestrator.storage._tables import Trial
from orchestrator.storage._toolchain_rows import canonical, put_toolchains
from workers.messages import (
    Candidate,
    DeviceInfo,
    Extraction,
    Measurement,
    PreparedModel,
    TaskSpec,
    TensorSpec,
    TrialState,
)
from workers.messages import Workload as WorkloadMessage

WORKLOADS, CLASSES = 20_000, 8
#: Tasks of one model, which are those of one campaign.
TASKS = 60
#: Trials the model whose plan is asked for has for each task, however many others there are.
MODEL_TRIALS = 64
#: Trials other campaigns have for each task. Each takes half of its workloads from the one before, on the
#: next device class.
CAMPAIGN_TRIALS = 25
#: Names that workloads share.
NAMES = 50
BATCHES = (16, 64)
OWNER = "host:1:benchmark"
VERSION = "0.27.0-1"
#: What devices were measured with before, and are now; and the part of the trials that are of before.
TOOLCHAINS = ({"tvm": "0.26.0", "llvm": "18"}, {"tvm": "0.27.0.post1", "llvm": "19", "engine": VERSION})
STALE = 0.3
_FILL_ROWS = 5_000

Pair = tuple[int, int]  # a workload's number and a device class's


def workload(number: int) -> WorkloadMessage:
    """Make a workload with a module as long as real ones are."""
    rng = random.Random(number)
    lines = [f"T.block_attr({rng.randrange(10**6)}, T_conv[{rng.randrange(512)}, i, j])" for _ in range(60)]
    digest = hashlib.sha256(b"workload %d" % number).hexdigest()
    name = f"fused_conv2d_{number % NAMES}_add_relu"
    return WorkloadMessage(digest, "metaschedule", name, 1e6 * (1 + number % 997), "\n".join(lines).encode())


def device(number: int) -> DeviceInfo:
    """Make a device."""
    target = f"llvm -mcpu=kind{number} -num-cores 8"
    return DeviceInfo(
        target, f"cpu-kind{number}-8", f"CPU of kind {number}", 8, "cpu", versions={"tvm": "0.27.0"}
    )


def trace(rng: random.Random) -> str:
    """Write a schedule as MetaSchedule does: 4 to 8 KB of JSON that tiles two blocks."""
    instructions: list[Any] = []
    decisions: list[Any] = []
    variable = itertools.count()
    for block in range(rng.randint(3, 5)):
        instructions.append(["GetSBlock", [], [f"conv2d_nchw_{block}", "main"], [f"b{next(variable)}"]])
        loops = [f"l{next(variable)}" for _ in range(7)]
        instructions.append(["GetLoops", [f"b{block}"], [], loops])
        for loop in loops[: rng.randint(5, 7)]:
            factors = [f"v{next(variable)}" for _ in range(4)]
            decisions.append([len(instructions), [2 ** rng.randrange(7) for _ in factors]])
            instructions.append(["SamplePerfectTile", [loop], [4, 64], factors])
            parts = [f"l{next(variable)}" for _ in factors]
            instructions.append(["Split", [loop, *factors], [1, 1], parts])
        choice = f"v{next(variable)}"
        decisions.append([len(instructions), rng.randrange(4)])
        instructions.append(["SampleCategorical", [], [[0, 16, 64, 512], [0.25] * 4], [choice]])
        instructions.append(["Annotate", [f"b{block}", choice], ["meta_schedule.unroll_explicit"], []])
    return json.dumps([instructions, decisions])


def pairs() -> Iterator[Pair]:
    """Say of which workload and device class each trial is, in the order in which they are recorded."""
    for _ in range(MODEL_TRIALS):
        yield from ((task, 0) for task in range(TASKS))
    for campaign in itertools.count():
        first = campaign * TASKS // 2
        for _ in range(CAMPAIGN_TRIALS):
            for task in range(TASKS):
                yield (TASKS + (first + task) % (WORKLOADS - TASKS), campaign % CLASSES)


class Filler:
    """Fills a store, and remembers which pairs have trials."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._pairs = pairs()
        self._rng = random.Random(1)
        # Deflated once, and used again and again: a database doesn't look for what it holds already.
        self._traces = [zlib.compress(trace(self._rng).encode(), 4) for _ in range(2000)]
        self.count = 0
        self.filled: list[Pair] = []
        self._seen: set[Pair] = set()
        self.hashes = [workload(n).hash for n in range(WORKLOADS)]

    def catalogue(self) -> int:
        """Store workloads, device classes and the model; return the model's id."""
        storage = self._storage
        for n in range(CLASSES):
            storage.device_classes.put("metaschedule", device(n))
        for start in range(0, WORKLOADS, 1000):
            storage.workloads.put([workload(n) for n in range(start, start + 1000)])
        tensor = TensorSpec("input", (1, 3, 224, 224), "float32")
        prepared = PreparedModel("ab" * 32, "model", b"onnx", (tensor,), (tensor,))
        model_id = storage.models.put(prepared, "/models/model.onnx")
        tasks = tuple(TaskSpec(f"task{n}", 1 + n % 4, workload(n)) for n in range(TASKS))
        storage.extractions.put(model_id, "metaschedule", device(0).target, Extraction(tasks, VERSION))
        return model_id

    def fill(self, count: int) -> None:
        """Add trials until there are `count`."""
        classes = [device(n).device_class for n in range(CLASSES)]
        ids = self._storage.database.read(lambda c: workload_ids(c, self.hashes))
        ids_of_classes = self._storage.database.read(lambda c: device_class_ids(c, classes))
        statement = insert(Trial).values(trace=bindparam("packed", type_=LargeBinary))
        toolchains = self._storage.database.write(lambda c: put_toolchains(c, map(canonical, TOOLCHAINS)))
        for class_name in classes:
            self._storage.toolchains.adopt(class_name, TOOLCHAINS[-1])
        while self.count < count:
            rows = []
            for pair in itertools.islice(self._pairs, min(_FILL_ROWS, count - self.count)):
                if pair not in self._seen:
                    self._seen.add(pair)
                    self.filled.append(pair)
                rows.append(self._row(ids[self.hashes[pair[0]]], ids_of_classes[classes[pair[1]]]))
            fill = functools.partial(_fill, statement=statement, rows=rows, toolchains=toolchains)
            self._storage.database.write(fill)
            self.count += len(rows)

    def _row(self, workload_id: int, class_id: int) -> dict[str, Any]:
        rng = self._rng
        ok = rng.random() > 0.1
        median = rng.expovariate(1000.0)
        return {
            "workload_id": workload_id,
            "device_class_id": class_id,
            "candidate": rng.randbytes(32).hex(),
            "packed": rng.choice(self._traces),
            "state": "ok" if ok else "run_error",
            "cost_s": median if ok else None,
            "toolchain": toolchain_key(TOOLCHAINS[rng.random() > STALE]),
            "campaign_id": None,
        }


def _fill(
    connection: Connection, statement: Any, rows: list[dict[str, Any]], toolchains: dict[str, int]
) -> None:
    """Insert trials, and a measurement for each."""
    last = connection.execute(select(func.coalesce(func.max(Trial.id), 0))).scalar_one()
    connection.execute(statement, rows)
    for versions in TOOLCHAINS:
        for state, message in (("ok", ""), ("run_error", "RPC session: CUDA_ERROR_LAUNCH_FAILED")):
            columns = {
                "trial_id": Trial.id,
                "toolchain_id": literal(toolchains[canonical(versions)]),
                "kind": literal("full"),
                "counts": true(),
                "state": literal(state),
                "times": literal([0.000987, 0.000997, 0.001017] if state == "ok" else [], type_=JSON),
                "message": literal(message),
                "device": literal("cpu:0"),
                "host": literal("node-17"),
                "build_s": literal(0.2),
                "run_s": literal(0.4),
                "token": func.substr(Trial.candidate, 1, 16),
                "measured_at": Trial.created_at,
            }
            query = select(*columns.values()).where(
                Trial.id > last, Trial.state == state, Trial.toolchain == toolchain_key(versions)
            )
            connection.execute(insert(MeasurementTable).from_select(list(columns), query))


def milliseconds(seconds: Sequence[float]) -> dict[str, float]:
    """Return the median and the 95th percentile, in milliseconds."""
    return {
        "median_ms": statistics.median(seconds) * 1e3,
        "p95_ms": statistics.quantiles(seconds, n=20)[-1] * 1e3,
    }


def timed(calls: Sequence[Callable[[], object]]) -> dict[str, float]:
    """Time each call."""
    seconds = []
    for call in calls:
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return milliseconds(seconds)


def recording(storage: Storage, filler: Filler, rng: random.Random, batch: int) -> dict[str, float]:
    """Record as a coordinator does: flush by flush, tasks of one campaign, under its lease."""
    campaign = storage.campaigns.create(engine="metaschedule", spec={}, models=[], owner=OWNER, ttl_s=3600)
    tasks = rng.sample(filler.filled, TASKS)
    wanted = 2048 // batch
    flushes = []
    for _ in range(wanted):
        trials = []
        for number, class_number in rng.choices(tasks, k=batch):
            median = rng.expovariate(1000.0)
            trials.append(
                NewTrial(
                    filler.hashes[number],
                    device(class_number).device_class,
                    Candidate(rng.randbytes(32).hex(), trace(rng)),
                    Measurement(
                        TrialState.OK, (median, median * 1.01, median * 0.98), "", "cpu:0", "node-17", 0.4
                    ),
                    campaign,
                    0.2,
                    rng.randbytes(8).hex(),
                    TOOLCHAINS[-1],
                )
            )
        flushes.append(trials)
    seconds, new = [], 0
    for trials in flushes:
        start = time.perf_counter()
        new += storage.trials.record(trials, campaign_id=campaign, owner=OWNER)
        seconds.append(time.perf_counter() - start)
    assert new == wanted * batch
    storage.leases.release(campaign, OWNER)
    return {"trials_per_s": new / sum(seconds), **milliseconds(seconds)}


def plan(storage: Storage, model_id: int, campaign: int) -> None:
    """Ask what :func:`orchestrator.campaigns.planning.plan.make_plan` asks of a model it knows."""
    known = storage.extractions.find(model_id, "metaschedule", device(0).target, VERSION)
    assert known is not None
    name = device(0).device_class
    hashes = [task.workload.hash for task in known.tasks]
    standings = storage.tasks.standings([(digest, name) for digest in hashes])
    tasks = [
        NewTask(digest, name, f"task{n}", 1, 128, standing.stored)
        for n, (digest, standing) in enumerate(zip(hashes, standings, strict=True))
    ]
    assert storage.tasks.put(campaign, tasks, owner=OWNER) == TASKS


def figures(storage: Storage, filler: Filler, model_id: int) -> dict[str, Any]:
    """Measure everything at the present number of trials."""
    rng = random.Random(filler.count)
    found: dict[str, Any] = {
        f"record, batches of {batch}": recording(storage, filler, rng, batch) for batch in BATCHES
    }

    def each(count: int, ask: Callable[[str, str], object]) -> dict[str, float]:
        chosen = rng.choices(filler.filled, k=count)
        return timed(
            [
                lambda n=number, c=class_number: ask(filler.hashes[n], device(c).device_class)  # type: ignore[misc]
                for number, class_number in chosen
            ]
        )

    campaigns = [
        storage.campaigns.create(
            engine="metaschedule",
            spec={},
            models=[NewCampaignModel("/models/model.onnx")],
            owner=OWNER,
            ttl_s=3600,
        )
        for _ in range(30)
    ]
    name = device(0).device_class
    found["best of one workload"] = each(1000, storage.trials.best)
    found["best of a model of 60 tasks"] = timed(
        [lambda: storage.trials.best_for_model(model_id, name, VERSION)] * 50
    )
    found["plan of a campaign of 60 tasks"] = timed(
        [lambda c=c: plan(storage, model_id, c) for c in campaigns]  # type: ignore[misc]
    )
    found["progress of a campaign of 60 tasks"] = timed(
        [lambda c=c: storage.tasks.of_campaign(c) for c in campaigns]  # type: ignore[misc]
    )
    found["history of a search"] = each(300, lambda w, c: storage.seeds.fastest(w, c, HISTORY))
    found["known candidates of a search"] = each(300, storage.trials.known_candidates)
    found["related records of a search"] = each(50, lambda w, c: storage.seeds.latest_related(w, c, RELATED))
    for campaign in campaigns:
        storage.leases.release(campaign, OWNER)
    return found


def sync_ms(folder: str) -> float:
    """Time what each commit waits for: 4 KB that reach the disk."""
    seconds = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(100):
            file.write(os.urandom(4096))
            file.flush()
            start = time.perf_counter()
            os.fsync(file.fileno())
            seconds.append(time.perf_counter() - start)
    return statistics.median(seconds) * 1e3


@contextlib.contextmanager
def database(kind: str, folder: str) -> Iterator[str]:
    """Make a database and remove it afterwards."""
    if kind == "sqlite":
        yield f"sqlite:///{folder}/store.db"
        return
    with PostgresServer() as server, new_database(server.url) as url:
        yield url.render_as_string(hide_password=False)


def size_gb(storage: Storage) -> float:
    """Size of the database, in GB."""
    if storage.path is not None:
        return sum(p.stat().st_size for p in storage.path.parent.glob(storage.path.name + "*")) / 1e9
    return (
        int(storage.database.read(lambda c: c.scalar(text("SELECT pg_database_size(current_database())"))))
        / 1e9
    )


def settle(storage: Storage) -> None:
    """Do at once what PostgreSQL's autovacuum does in time to a database that fills slowly."""
    if storage.path is None:
        assert storage.database.engine is not None
        with storage.database.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("VACUUM ANALYZE"))


def run(kind: str, sizes: Sequence[int]) -> dict[str, Any]:
    """Fill one database and measure it at each size."""
    points = []
    with (
        tempfile.TemporaryDirectory(prefix="tf-store-") as folder,
        database(kind, folder) as url,
        Storage.open(url) as storage,
    ):
        sync = sync_ms(folder)
        filler = Filler(storage)
        model_id = filler.catalogue()
        for size in sizes:
            start = time.monotonic()
            filler.fill(size)
            settle(storage)
            print(f"{kind}: {size:,} trials after {time.monotonic() - start:.0f} s", file=sys.stderr)
            found = figures(storage, filler, model_id)
            points.append({"trials": size, "database_gb": size_gb(storage), "figures": found})
    return {"database": kind, "sync_ms": sync, "points": points}


def table(result: dict[str, Any]) -> str:
    """Write one database's figures as a table in Markdown."""
    points = result["points"]
    lines = [
        f"{result['database']}, one fsync of 4 KB: {result['sync_ms']:.2f} ms",
        "",
        "| median, 95th percentile in ms | " + " | ".join(f"{p['trials']:,} trials" for p in points) + " |",
        "|---|" + "---|" * len(points),
    ]
    for name in points[0]["figures"]:
        cells = []
        for point in points:
            one = point["figures"][name]
            cell = f"{one['median_ms']:.1f}, {one['p95_ms']:.1f}"
            if "trials_per_s" in one:
                cell += f" ({one['trials_per_s']:,.0f} trials/s)"
            cells.append(cell)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines.append("| size in GB | " + " | ".join(f"{p['database_gb']:.2f}" for p in points) + " |")
    return "\n".join(lines)


def main() -> None:
    """Fill, measure, print a table in Markdown for each database."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trials", default="10000,100000,1000000", help="numbers of trials, ascending")
    parser.add_argument("--database", choices=["sqlite", "postgresql", "both"], default="both")
    parser.add_argument("--output", type=pathlib.Path, help="write the raw figures there, as JSON")
    options = parser.parse_args()
    sizes = sorted(int(size) for size in options.trials.split(","))
    if sizes[0] < TASKS * MODEL_TRIALS + TASKS * TASKS:
        parser.error(f"a store with fewer than {TASKS * MODEL_TRIALS + TASKS * TASKS} trials is not measured")
    kinds = ["sqlite", "postgresql"] if options.database == "both" else [options.database]
    results = []
    for kind in kinds:
        results.append(run(kind, sizes))
        print(table(results[-1]), end="\n\n", flush=True)
        if options.output:
            options.output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
