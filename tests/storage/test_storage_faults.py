"""A database that can't be used: one clear error each, and nothing lost."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event

from orchestrator.errors import StorageError
from orchestrator.storage import Storage
from tests.kit.storage_builders import CPU, ok, stock, workload
from workers.messages import Candidate


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Root may write everything; permissions mean something to others only."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A SQLite file with one trial in it."""
    file = tmp_path / "records.db"
    with Storage.open(str(file)) as storage:
        stock(storage)
        storage.trials.record([ok(1, 1.0)])
    return file


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that other users can enter."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def stored(path: Path) -> set[str]:
    with Storage.open(str(path)) as storage:
        return storage.trials.known_candidates(workload().hash, CPU.device_class)


def test_a_lock_that_goes_away_is_waited_for(path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    with Storage.open(str(path), patience_s=10.0) as storage:
        other.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(0.3, lambda: other.execute("ROLLBACK"))
        timer.start()
        assert storage.trials.record([ok(2, 1.0)]) == 1
        timer.join()
    other.close()


def test_a_lock_that_stays_is_an_error_after_a_bounded_wait(path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    with Storage.open(str(path), patience_s=0.3) as storage:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(StorageError, match="is locked by another process"):
            storage.trials.record([ok(2, 1.0)])
        assert time.monotonic() - began < 5.0
        # Reading goes on beside a writer.
        assert storage.trials.known_candidates(workload().hash, CPU.device_class) == {"candidate-1"}
        other.execute("ROLLBACK")
        assert storage.trials.record([ok(2, 1.0)]) == 1
    other.close()


def test_a_full_disk_keeps_all_there_was_and_the_write_can_be_repeated(path: Path) -> None:
    with Storage.open(str(path)) as storage:
        assert storage.database.engine is not None
        limit = [1]

        @event.listens_for(storage.database.engine, "checkout")
        def _limit(connection: sqlite3.Connection, *_: object) -> None:
            connection.execute(f"PRAGMA max_page_count = {limit[0]}")

        noise = os.urandom(200_000).hex()
        big = ok(2, 1.0)
        big = type(big)(**{**vars(big), "candidate": Candidate("candidate-2", noise)})
        with pytest.raises(StorageError, match="is full"):
            storage.trials.record([ok(3, 1.0), big])
        assert storage.trials.known_candidates(workload().hash, CPU.device_class) == {"candidate-1"}
        limit[0] = 1_000_000
        assert storage.trials.record([ok(3, 1.0), big]) == 2
    assert stored(path) == {"candidate-1", "candidate-2", "candidate-3"}


def test_a_read_only_file_can_be_read_and_says_so_when_written(path: Path, public: Path) -> None:
    file = public / "records.db"
    shutil.copy(path, file)
    file.chmod(0o444)
    public.chmod(0o777)
    with ordinary_user(), Storage.open(str(file), patience_s=0.3) as storage:
        assert storage.trials.known_candidates(workload().hash, CPU.device_class) == {"candidate-1"}
        with pytest.raises(StorageError, match="is read-only"):
            storage.trials.record([ok(2, 1.0)])
    assert stored(path) == {"candidate-1"}


def test_a_folder_without_permission_is_a_clear_error(path: Path, public: Path) -> None:
    shutil.copy(path, public / "records.db")
    for name in ("records.db", "new.db"):
        with ordinary_user(), pytest.raises(StorageError, match=r"may not read or write there|is read-only"):
            Storage.open(str(public / name), patience_s=0.3)
    assert sorted(p.name for p in public.iterdir()) == ["records.db"]


@pytest.mark.parametrize("content", [b"this is a text file, and not a short one\n" * 40, b"\x00" * 4096])
def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "notes.txt"
    file.write_bytes(content)
    for refuse in (Storage.open, Storage.check, Storage.upgrade):
        with pytest.raises(StorageError, match="is not a SQLite database"):
            refuse(str(file))
    assert file.read_bytes() == content


def test_a_damaged_database_is_a_clear_error(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))
    with pytest.raises(StorageError, match="is damaged"):
        Storage.check(str(path))


def test_a_database_that_disappears_is_noticed_and_comes_back(path: Path) -> None:
    with Storage.open(str(path)) as storage:
        storage.trials.record([ok(2, 1.0)])
        hidden = path.with_suffix(".hidden")
        path.rename(hidden)
        for _ in range(2):
            with pytest.raises(StorageError, match="is gone"):
                storage.trials.record([ok(3, 1.0)])
        assert not path.exists()
        hidden.rename(path)
        assert storage.trials.record([ok(3, 1.0)]) == 1
    assert stored(path) == {"candidate-1", "candidate-2", "candidate-3"}


def test_a_database_that_was_replaced_is_noticed(path: Path) -> None:
    copy = path.with_suffix(".copy")
    shutil.copy(path, copy)
    with Storage.open(str(path)) as storage:
        copy.replace(path)
        with pytest.raises(StorageError, match="was replaced"):
            storage.trials.record([ok(2, 1.0)])


def test_what_isnt_there_isnt_made_unless_asked(tmp_path: Path) -> None:
    for refuse in (lambda p: Storage.open(p, create=False), Storage.check, Storage.upgrade):
        with pytest.raises(StorageError, match="there is no database at"):
            refuse(str(tmp_path / "none.db"))
    with pytest.raises(StorageError, match="does not exist"):
        Storage.open(str(tmp_path / "no" / "folder" / "a.db"))
    with pytest.raises(StorageError, match="is not a file"):
        Storage.open(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_closed_storage_says_so(path: Path) -> None:
    storage = Storage.open(str(path))
    storage.close()
    storage.close()
    with pytest.raises(StorageError, match="was closed"):
        storage.campaigns.newest()


def test_threads_share_a_storage(path: Path) -> None:
    errors: list[BaseException] = []
    with Storage.open(str(path)) as storage:

        def work(first: int) -> None:
            try:
                for n in range(first, first + 20):
                    storage.trials.record([ok(n, 1.0)])
                    storage.trials.best(workload().hash, CPU.device_class)
            except BaseException as exc:
                errors.append(exc)

        threads = [threading.Thread(target=work, args=(10 * n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert errors == []
    assert stored(path) == {f"candidate-{n}" for n in range(50)}
