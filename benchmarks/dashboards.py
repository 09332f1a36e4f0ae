"""How fast the service's pages are with many dashboards open, and what recording trials suffers by them.

Fills a SQLite database as :mod:`benchmarks.store` does, gives a campaign its trials, and starts ``tunefleet
serve`` on it. Readers keep a campaign's page open, each with its stream of events, and load pages in turns.
Meanwhile trials are recorded as a coordinator does; before, the same without a reader::

    python -m benchmarks.dashboards --trials 1000000 --readers 50 --seconds 60
"""

from __future__ import annotations

import argparse
import contextlib
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import text

from benchmarks.store import OWNER, TASKS, Filler, device, milliseconds, plan, workload
from orchestrator.storage import CampaignState, NewCampaignModel, NewTrial, Storage
from workers.messages import Candidate, Measurement, TrialState

_PAGES = (
    "/campaigns/1",
    "/",
    "/campaigns/1/charts",
    "/models/1",
    "/devices",
    "/store",
    "/api/v1/campaigns/1",
)
# A person looks at a page this long before the next (seconds).
_LOOK_SECONDS = 5.0
_FLUSH_SECONDS = 0.25
_FLUSH_TRIALS = 2


def prepare(storage: Storage, trials: int) -> int:
    """Fill a database and give a campaign the trials of the model's tasks; return the campaign."""
    filler = Filler(storage)
    model_id = filler.catalogue()
    filler.fill(trials)
    number = storage.campaigns.create(
        engine="metaschedule",
        spec={"targets": ["auto"]},
        models=[NewCampaignModel("/models/model.onnx")],
        owner=OWNER,
        ttl_s=86400.0,
    )
    storage.campaigns.transition(number, CampaignState.EXTRACTING, owner=OWNER)
    storage.campaigns.set_model(number, 0, model_id)
    plan(storage, model_id, number)
    storage.campaigns.transition(number, CampaignState.TUNING, owner=OWNER)
    own = (
        "UPDATE trials SET campaign_id = :number WHERE device_class_id = "
        "(SELECT id FROM device_classes WHERE name = :name) AND workload_id IN "
        "(SELECT workload_id FROM tasks WHERE campaign_id = :number)"
    )
    values = {"number": number, "name": device(0).device_class}
    storage.database.write(lambda c: c.execute(text(own), values))
    return number


def record(storage: Storage, campaign: int, seconds: float, rng: random.Random) -> list[float]:
    """Record trials of a campaign at the pace of a small fleet; return what each flush took, in seconds."""
    taken = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        trials = [
            NewTrial(
                workload(rng.randrange(TASKS)).hash,
                device(0).device_class,
                Candidate(rng.randbytes(32).hex(), '[["trace"]]'),
                Measurement(TrialState.OK, (rng.expovariate(1000.0),), "", "cpu:0", "node-17", 0.4),
                campaign,
            )
            for _ in range(_FLUSH_TRIALS)
        ]
        start = time.perf_counter()
        storage.trials.record(trials, campaign_id=campaign, owner=OWNER)
        taken.append(time.perf_counter() - start)
        time.sleep(max(0.0, _FLUSH_SECONDS - taken[-1]))
    return taken


@contextlib.contextmanager
def serving(db: Path) -> Iterator[str]:
    """Run the service and give its address."""
    command = "from orchestrator.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", command, "serve", "--port", "0", "--db", str(db)], stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        found = re.search(r"http://\S+:\d+", process.stderr.readline().decode())
        assert found, "the service did not start"
        yield found[0]
    finally:
        process.terminate()
        process.wait(30)


class Reader(threading.Thread):
    """Keeps a campaign's events open and loads pages.

    Attributes
    ----------
    taken : dict
        Seconds that pages took, by their path.
    events : int
        Lines of events that came.
    """

    def __init__(self, address: str, seed: int, over: threading.Event) -> None:
        super().__init__(daemon=True)
        self.taken: dict[str, list[float]] = defaultdict(list)
        self.events = 0
        self._address = address
        self._rng = random.Random(seed)
        self._over = over

    def run(self) -> None:
        """Look until it is over."""
        threading.Thread(target=self._listen, daemon=True).start()
        self._over.wait(self._rng.uniform(0, _LOOK_SECONDS))
        while not self._over.is_set():
            path = self._rng.choice(_PAGES)
            start = time.perf_counter()
            with urllib.request.urlopen(f"{self._address}{path}", timeout=60) as answer:
                answer.read()
            self.taken[path].append(time.perf_counter() - start)
            self._over.wait(_LOOK_SECONDS)

    def _listen(self) -> None:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"{self._address}/campaigns/1/live", timeout=60) as answer,
        ):
            for _ in answer:
                self.events += 1


def main() -> None:
    """Fill, measure, print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trials", type=int, default=1_000_000)
    parser.add_argument("--readers", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    rng = random.Random(1)
    with tempfile.TemporaryDirectory(prefix="tf-dashboards-") as folder:
        db = Path(folder, "store.db")
        with Storage.open(str(db)) as storage:
            start = time.monotonic()
            campaign = prepare(storage, options.trials)
            print(f"{options.trials:,} trials after {time.monotonic() - start:.0f} s", file=sys.stderr)
            alone = record(storage, campaign, options.seconds / 2, rng)
            with serving(db) as address:
                over = threading.Event()
                readers = [Reader(address, seed, over) for seed in range(options.readers)]
                for reader in readers:
                    reader.start()
                beside = record(storage, campaign, options.seconds, rng)
                over.set()
                for reader in readers:
                    reader.join(60)
    _print(options.readers, readers, alone, beside)


def _print(count: int, readers: list[Reader], alone: list[float], beside: list[float]) -> None:
    print(f"| {count} dashboards | answers | median ms | 95th percentile |\n|---|---|---|---|")
    every: list[float] = []
    for path in _PAGES:
        taken = [seconds for reader in readers for seconds in reader.taken[path]]
        every += taken
        if len(taken) > 1:
            found = milliseconds(taken)
            print(f"| {path} | {len(taken)} | {found['median_ms']:.0f} | {found['p95_ms']:.0f} |")
    found = milliseconds(every)
    print(f"| all | {len(every)} | {found['median_ms']:.0f} | {found['p95_ms']:.0f} |")
    for name, taken in (("recording, no service", alone), ("recording beside it", beside)):
        found = milliseconds(taken)
        print(f"| {name} | {len(taken)} | {found['median_ms']:.1f} | {found['p95_ms']:.1f} |")
    print(f"\nlines of events: {sum(reader.events for reader in readers):,}")


if __name__ == "__main__":
    main()
