"""What was just read: read once for all, and where that is asked for, behind what is known."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from orchestrator.errors import StorageError
from orchestrator.service.live.recent import Recent


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recent(clock: Clock) -> Recent:
    return Recent(1.0, clock)


def test_what_is_good_for_a_moment_is_read_once(recent: Recent, clock: Clock) -> None:
    numbers = iter(range(10))
    assert [recent.get("a", lambda: next(numbers)) for _ in range(3)] == [0, 0, 0]
    clock.now += 1.0
    assert recent.get("a", lambda: next(numbers)) == 1
    recent.forget("a")
    assert recent.get("a", lambda: next(numbers)) == 2


def test_what_took_long_is_good_for_ten_times_as_long(recent: Recent, clock: Clock) -> None:
    def slowly() -> float:
        clock.now += 3.0
        return clock.now

    first = recent.get("a", slowly)
    clock.now += 29.0
    assert recent.get("a", slowly) == first
    clock.now += 1.0
    assert recent.get("a", slowly) != first


def test_what_is_known_is_returned_while_it_is_read_anew(
    recent: Recent, clock: Clock, eventually: Callable[..., None]
) -> None:
    go_on, threads = threading.Event(), list[str]()

    def slowly() -> str:
        threads.append(threading.current_thread().name)
        assert go_on.wait(30.0)
        return "new"

    assert recent.get("a", lambda: "old", old=True) == "old"
    clock.now += 1.0
    # Nobody waits, and it is read once.
    assert [recent.get("a", slowly, old=True) for _ in range(3)] == ["old"] * 3
    go_on.set()
    eventually(lambda: recent.get("a", slowly, old=True) == "new", "it is read")
    assert threads == ["tunefleet-recent"]


def test_a_database_that_is_away_leaves_what_was_known(
    recent: Recent, clock: Clock, eventually: Callable[..., None]
) -> None:
    asked = list[int]()

    def away() -> str:
        asked.append(1)
        raise StorageError("the database is away")

    with pytest.raises(StorageError):
        recent.get("a", away, old=True)
    assert recent.get("a", lambda: "old", old=True) == "old"
    clock.now += 1.0

    def tried_again() -> bool:
        assert recent.get("a", away, old=True) == "old"
        return len(asked) > 2

    eventually(tried_again, "it is tried again")
