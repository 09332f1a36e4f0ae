"""A PostgreSQL server that refuses, that is full, or that stops in the middle."""

from __future__ import annotations

import logging
import re
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from sqlalchemy import URL, create_engine, text

from benchmarks.postgres_server import PostgresServer, new_database
from orchestrator.errors import StorageError
from orchestrator.storage import Storage
from tests.kit.storage_builders import CPU, campaign, ok, stock, workload

PASSWORD = "hunter2/@% x"
#: Every way it may be written, in part.
SECRET = re.compile("hunter2")
CONNECTIONS = 6


@pytest.fixture(scope="module")
def server(own_postgres: Callable[..., PostgresServer]) -> Iterator[PostgresServer]:
    """A server that asks for a password, takes few connections, and may be stopped."""
    few = {"max_connections": str(CONNECTIONS), "superuser_reserved_connections": "0"}
    with own_postgres({**few, "autovacuum": "off"}, password=PASSWORD) as started:
        yield started


@pytest.fixture
def database(server: PostgresServer) -> Iterator[URL]:
    with new_database(server.url) as url:
        yield url


def plain(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def log_everything(caplog: pytest.LogCaptureFixture) -> None:
    # SQLAlchemy's "echo" is the second of these.
    for name in ("", "sqlalchemy", "sqlalchemy.engine", "sqlalchemy.pool", "psycopg"):
        caplog.set_level(logging.DEBUG, name)


def open_until_answered(url: URL, patience_s: float = 0.5) -> StorageError:
    with pytest.raises(StorageError) as refused:
        Storage.open(plain(url), patience_s=patience_s).close()
    return refused.value


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda url: url.set(password="hunter2 is wrong"), "refuses the password"),
        (
            lambda url: url._replace(password=None).update_query_dict({"password": "hunter2+%"}),
            "refuses the password",
        ),
        (lambda url: url._replace(password=None), "can't be reached: .*no password supplied"),
        (
            lambda url: url.set(database="nothing"),
            r"does not exist on that server: create it with `createdb`",
        ),
        (lambda url: url.update_query_dict({"host": "/nowhere"}), "can't be reached: .*No such file"),
        (lambda url: url.update_query_dict({"sslmode": "sometimes"}), "invalid sslmode"),
        (lambda url: url.update_query_dict({"colour": "red"}), "colour"),
    ],
    ids=["password", "password option", "no password", "database", "host", "bad option", "unknown option"],
)
def test_what_a_server_refuses_is_said_without_the_password(
    database: URL, caplog: pytest.LogCaptureFixture, change: Callable[[URL], URL], said: str
) -> None:
    log_everything(caplog)
    error = open_until_answered(change(database))
    assert re.search(said, str(error), re.DOTALL)
    assert not SECRET.search("".join(traceback.format_exception(error)) + caplog.text)


def test_a_password_is_nowhere_in_the_logs_of_a_session_that_works(
    database: URL, caplog: pytest.LogCaptureFixture
) -> None:
    log_everything(caplog)
    with Storage.open(plain(database)) as storage:
        stock(storage)
        storage.trials.record([ok(1, 1.0)])
        assert storage.url.count("***") == 1
    assert {"psycopg", "sqlalchemy"} <= {record.name.split(".")[0] for record in caplog.records}
    assert not SECRET.search(caplog.text + repr(storage.database.engine))


def test_a_server_without_a_connection_left_is_waited_for_and_then_named(database: URL) -> None:
    with ExitStack() as held:
        engine = create_engine(database.set(database="postgres"), pool_size=CONNECTIONS)
        held.callback(engine.dispose)
        taken = [engine.connect() for _ in range(CONNECTIONS)]
        began = time.monotonic()
        assert "has no connection left" in str(open_until_answered(database))
        assert time.monotonic() - began < 10

        def give_back() -> None:
            for connection in taken:
                connection.invalidate()

        engine_free = threading.Timer(0.3, give_back)
        engine_free.start()
        with Storage.open(plain(database), patience_s=20.0) as storage:
            assert storage.campaigns.newest() == []
        engine_free.join()


def test_a_user_without_permission_is_told(database: URL) -> None:
    Storage.open(plain(database)).close()
    engine = create_engine(database)
    with engine.begin() as connection:
        connection.execute(text("DROP ROLE IF EXISTS reader"))
        connection.execute(text("CREATE ROLE reader LOGIN PASSWORD 'hunter2'"))
        connection.execute(text("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader"))
    with Storage.open(plain(database.set(username="reader", password="hunter2"))) as storage:
        with pytest.raises(StorageError, match="refuses this user: permission is missing"):
            campaign(storage)
        assert storage.campaigns.newest() == []
    with engine.begin() as connection:
        connection.execute(text("DROP OWNED BY reader"))
    engine.dispose()


@pytest.mark.parametrize("mode", ["immediate", "fast"])
def test_a_server_that_stops_and_starts_costs_errors_and_no_trial(
    server: PostgresServer, database: URL, mode: str
) -> None:
    with Storage.open(plain(database), patience_s=0.5) as storage:
        stock(storage)
        campaign_id = campaign(storage, owner="me", ttl_s=600.0)
        batch = [ok(n, 1.0 + n, campaign=campaign_id) for n in range(4)]
        assert storage.trials.record(batch[:2], campaign_id=campaign_id, owner="me") == 2
        server.stop(mode)
        try:
            for call in (
                lambda: storage.trials.record(batch, campaign_id=campaign_id, owner="me"),
                lambda: storage.leases.renew(campaign_id, "me", 600.0),
                lambda: storage.trials.best(workload().hash, CPU.device_class),
            ):
                with pytest.raises(StorageError, match=r"can't be reached|was lost") as lost:
                    call()
                assert not SECRET.search(str(lost.value))
        finally:
            server.start()
        assert storage.trials.record(batch, campaign_id=campaign_id, owner="me") == 2
        assert len(storage.trials.of_campaign(campaign_id)) == 4


def test_a_coordinator_that_writes_through_restarts_records_everything_once(
    server: PostgresServer, database: URL
) -> None:
    errors: list[str] = []
    new: list[int] = []
    batches, per_batch = 150, 4
    begun = threading.Event()
    with Storage.open(plain(database), patience_s=0.2) as storage:
        stock(storage)
        campaign_id = campaign(storage, owner="me", ttl_s=600.0)

        def write() -> None:
            for n in range(batches):
                batch = [ok(per_batch * n + k, 1.0, campaign=campaign_id) for k in range(per_batch)]
                until = time.monotonic() + 60
                while True:
                    try:
                        new.append(storage.trials.record(batch, campaign_id=campaign_id, owner="me"))
                        break
                    except StorageError as error:
                        errors.append(str(error))
                        assert time.monotonic() < until
                        time.sleep(0.05)
                if n == 10:
                    begun.set()
                time.sleep(0.01)

        writer = threading.Thread(target=write)
        writer.start()
        assert begun.wait(30)
        for mode in ("immediate", "fast"):
            server.stop(mode)
            time.sleep(0.3)
            server.start()
            time.sleep(0.2)
        writer.join(120)
        rows = storage.trials.of_campaign(campaign_id)
    assert errors
    assert len(new) == batches
    assert len(rows) == len({row.candidate for row in rows}) == batches * per_batch
    # A commit whose answer was lost counts as old when it is asked for again.
    assert sum(new) <= batches * per_batch
