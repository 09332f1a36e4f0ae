"""Exactly once: many processes write at once, some of them twice, late, or until they are killed."""

from __future__ import annotations

import datetime
import multiprocessing
import multiprocessing.connection
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import pytest

from orchestrator.errors import LeaseLostError, StorageError
from orchestrator.storage import NewTrial, Storage, TrialRow
from tests.kit.storage_builders import CPU, GPU, campaign, ok, stock, workload

FORK = multiprocessing.get_context("fork")
# The first four fight for a campaign's lease; the others import, which takes none.
PROCESSES, FIGHTERS = 8, 4
KILLED = {1, 4, 6}
# Candidates of each of two workloads on each of two device classes.
CANDIDATES = 60
BATCH = 24
LONG_S = 600.0


def trial(n: int, by: str, campaign_id: int) -> NewTrial:
    """Make the n-th trial of all, as one process reports it."""
    n, of = divmod(n, 2)
    n, on = divmod(n, 2)
    made = ok(n, 1.0 + n, of=of, on=(CPU, GPU)[on], campaign=campaign_id)
    return type(made)(**{**vars(made), "token": f"{by}:{n}"})


ALL = 4 * CANDIDATES


def everything(storage: Storage) -> list[TrialRow]:
    return [
        row
        for of in (0, 1)
        for device in (CPU, GPU)
        for row in storage.trials.of_workload(workload(of).hash, device.device_class)
    ]


def _write_all(url: str, campaign_id: int, number: int, told: Connection) -> None:
    """Record all trials in an order of one's own, each batch twice; take the lease whenever it is lost."""
    lease = {"campaign_id": campaign_id, "owner": f"owner-{number}"} if number < FIGHTERS else {}
    me = f"owner-{number}"
    rng = random.Random(number)
    order = rng.sample(range(ALL), ALL)
    with Storage.open(url, patience_s=60.0) as storage:
        # Batches overlap by half.
        for start in range(0, ALL, BATCH // 2):
            batch = [trial(n, me, campaign_id) for n in order[start : start + BATCH]]
            repeats = 0
            while repeats < 2:
                try:
                    new = storage.trials.record(batch, **lease)  # type: ignore[arg-type]
                except LeaseLostError:
                    told.send("lost")
                    holder = storage.campaigns.get(campaign_id).lease_owner or ""
                    storage.leases.take_over(campaign_id, me, holder, LONG_S)
                else:
                    told.send(new)
                    repeats += 1
    told.send("done")


def test_eight_processes_that_write_the_same_trials_at_once_store_each_once(url: str) -> None:
    with Storage.open(url) as storage:
        stock(storage, 0, 1)
        campaign_id = campaign(storage, owner="owner-0", ttl_s=LONG_S)
    heard: list[Connection] = []
    writers = []
    for number in range(PROCESSES):
        hear, told = FORK.Pipe(duplex=False)
        writers.append(FORK.Process(target=_write_all, args=(url, campaign_id, number, told)))
        writers[-1].start()
        told.close()
        heard.append(hear)
    said: list[list[Any]] = [[] for _ in writers]
    open_ends = dict(enumerate(heard))
    until = time.monotonic() + 120
    # A writer waits where nobody reads what it says, so all are heard by turns until all have ended.
    while open_ends:
        assert time.monotonic() < until, f"still writing: {sorted(open_ends)}"
        ready = multiprocessing.connection.wait(list(open_ends.values()), 60)
        for number, end in list(open_ends.items()):
            if end not in ready:
                continue
            try:
                said[number].append(end.recv())
            except EOFError:
                del open_ends[number]
                continue
            if number in KILLED and len(said[number]) == 5 + number:
                writers[number].kill()
    for writer in writers:
        writer.join(60)
    assert {number for number, words in enumerate(said) if words[-1] != "done"} == KILLED
    assert any("lost" in words for words in said)

    with Storage.open(url) as storage:
        rows = everything(storage)
    keys = Counter((row.workload_hash, row.device_class, row.candidate) for row in rows)
    assert (len(keys), set(keys.values())) == (ALL, {1})
    # Whoever was first counts, as it reported the trial. What each was told was new is its own, but for the
    # last batch of the killed ones.
    of = Counter(row.token.split(":")[0] for row in rows)
    for number, words in enumerate(said):
        new = sum(word for word in words if isinstance(word, int))
        own = of[f"owner-{number}"]
        assert own == new or (number in KILLED and new <= own <= new + BATCH), number
    assert all(row.token.split(":")[1] == row.candidate.split("-")[1] for row in rows)


def _report_late(url: str, campaign_id: int, go: Connection, told: Connection) -> None:
    with Storage.open(url) as storage:
        mine = [trial(n, "slow", campaign_id) for n in range(8)]
        storage.trials.record(mine[:4], campaign_id=campaign_id, owner="slow")
        told.send("began")
        go.recv()
        for what in (
            lambda: storage.trials.record(mine, campaign_id=campaign_id, owner="slow"),
            lambda: storage.leases.renew(campaign_id, "slow", LONG_S),
        ):
            try:
                what()
                told.send("stored")
            except LeaseLostError as error:
                told.send(str(error))


def test_a_coordinator_thought_dead_that_reports_late_changes_nothing(url: str) -> None:
    with Storage.open(url) as storage:
        stock(storage, 0, 1)
        campaign_id = campaign(storage, owner="slow", ttl_s=0.2)
        hear, told = FORK.Pipe(duplex=False)
        go, say = FORK.Pipe(duplex=False)
        slow = FORK.Process(target=_report_late, args=(url, campaign_id, go, told))
        slow.start()
        assert hear.recv() == "began"
        assert slow.pid is not None
        os.kill(slow.pid, signal.SIGSTOP)
        say.send("report")
        _wait_for(lambda: storage.leases.acquire(campaign_id, "next", LONG_S))
        # The next one measures what it finds missing, in its own order, and is the one that counts.
        storage.trials.record(
            [trial(n, "next", campaign_id) for n in (5, 4)], campaign_id=campaign_id, owner="next"
        )
        os.kill(slow.pid, signal.SIGCONT)
        for _ in range(2):
            assert "next runs it now" in hear.recv()
        slow.join(60)
        assert (
            storage.trials.record(
                [trial(n, "next", campaign_id) for n in range(8)], campaign_id=campaign_id, owner="next"
            )
            == 2
        )
        rows = sorted(everything(storage), key=lambda row: row.id)
    assert [row.token for row in rows if row.token.startswith("slow")] == ["slow:0"] * 4
    assert len(rows) == 8


def _with_a_wrong_clock(url: str, campaign_id: int, off_s: float, told: Connection) -> None:
    """Ask for the lease, and hold one, in a process whose clock is wrong by hours."""
    real_time = time.time

    class Wrong(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Wrong:
            return cls.fromtimestamp(real_time() + off_s, tz)

    time.time = lambda: real_time() + off_s
    datetime.datetime = Wrong  # type: ignore[misc]
    os.environ["TZ"] = "Pacific/Kiritimati"
    time.tzset()
    with Storage.open(url) as storage:
        told.send(storage.leases.acquire(campaign_id, "wrong", LONG_S))
        own = campaign(storage, owner="wrong", ttl_s=0.3)
        row = storage.campaigns.get(own)
        told.send((own, row.held, row.created_at.timestamp()))


@pytest.mark.parametrize("off_s", [-7200.0, 7200.0])
def test_leases_go_by_the_databases_clock_whatever_a_process_thinks(url: str, off_s: float) -> None:
    with Storage.open(url) as storage:
        campaign_id = campaign(storage, owner="me", ttl_s=LONG_S)
        hear, told = FORK.Pipe(duplex=False)
        child = FORK.Process(target=_with_a_wrong_clock, args=(url, campaign_id, off_s, told))
        child.start()
        told.close()
        began = time.time()
        # It can't take a live lease, its own is live at first and then runs out, and nothing is dated wrong.
        assert hear.recv() is False
        own, held, created = hear.recv()
        assert held
        assert abs(created - began) < 60
        assert not storage.leases.acquire(own, "me", LONG_S) or time.time() - began > 0.3
        _wait_for(lambda: storage.leases.acquire(own, "me", LONG_S))
        child.join(60)


def _wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise StorageError(f"the lease was not free within {seconds:g} s")
        time.sleep(0.05)
