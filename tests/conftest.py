"""What tests of several folders need: processes to look for, and a wait that ends."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from sqlalchemy import URL, make_url

from benchmarks.postgres_server import PostgresMissingError, PostgresServer
from workers import environments

if TYPE_CHECKING:
    from orchestrator.toolbox import Toolbox

# Engine processes inherit this, and so find the stand-in engines of the tests.
_STAND_INS = str(Path(__file__).parent / "kit")
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [_STAND_INS, os.environ.get("PYTHONPATH")]))

# A PostgreSQL to run the storage's tests on: the URL of a database whose user may create others. Without it,
# one is started for them.
_POSTGRES = os.environ.get("TUNEFLEET_TEST_POSTGRES", "")


# Nothing of what collecting makes is garbage, and looking for some takes as long as collecting does.
gc.disable()


def pytest_collection_finish() -> None:
    """Look for garbage from here on, and for none among thousands of tests."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs AutoTVM or a framework by what it asks for, so that `-m autotvm` finds all of it."""
    for item in items:
        asked = getattr(item, "fixturenames", ())
        if "autotvm_environment" in asked:
            item.add_marker("autotvm")
        if "converter_python" in asked:
            item.add_marker("converters")


@pytest.fixture(scope="session")
def eventually() -> Callable[..., None]:
    """Waits until something holds; fails with what was waited for when it takes too long."""

    def wait(condition: Callable[[], object], what: str, seconds: float = 10.0) -> None:
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until, f"still not so after {seconds:g} s: {what}"
            time.sleep(0.02)

    return wait


@pytest.fixture(scope="session")
def own_postgres() -> Callable[..., PostgresServer]:
    """Prepares a PostgreSQL of a test's own. A test that asks for it is skipped where none is installed."""

    def prepare(settings: dict[str, str] | None = None, *, password: str = "") -> PostgresServer:
        try:
            # What a test stores need not survive the machine.
            return PostgresServer({"fsync": "off", **(settings or {})}, password=password, in_memory=True)
        except PostgresMissingError as error:
            if os.environ.get("CI"):
                pytest.fail(f"CI runs the storage tests on PostgreSQL too, but {error}")
            pytest.skip(f"not run on PostgreSQL: {error}")

    return prepare


@pytest.fixture(scope="session")
def postgres(own_postgres: Callable[..., PostgresServer]) -> Iterator[URL]:
    """URL of a PostgreSQL server for all tests that leave it as it is."""
    if _POSTGRES:
        yield make_url(_POSTGRES).set(drivername="postgresql+psycopg")
        return
    with own_postgres() as server:
        yield server.url


@pytest.fixture(scope="session")
def tools() -> Iterator[Toolbox]:
    """MetaSchedule's processes and the reference's, for all tests that leave them as they are."""
    # Here, since most tests need none of it.
    from orchestrator.toolbox import Toolbox

    with Toolbox("metaschedule") as opened:
        yield opened


@pytest.fixture(scope="session")
def autotvm_environment() -> environments.EngineEnvironment:
    """What runs the AutoTVM engine here. A test that asks for it is skipped where there is none."""
    found = environments.status("autotvm")
    if not found.ready:
        why = f"{found.missing}: {found.mend}"
        if os.environ.get("TUNEFLEET_TEST_AUTOTVM") == "1":
            pytest.fail(f"TUNEFLEET_TEST_AUTOTVM=1 asks for the tests of AutoTVM, but {why}")
        pytest.skip(why)
    return found


@pytest.fixture(scope="session")
def converter_python() -> Callable[[str], str]:
    """Returns the Python that runs a converter. A test that asks for one is skipped where there is none."""

    # Here, since most tests need none of it.
    from orchestrator.conversion import resident_of
    from workers.converters import find_converter

    def find(name: str) -> str:
        package = find_converter(name)
        assert package is not None
        found = environments.status(resident_of(package))
        if found.python is None or not found.ready:
            why = f"{found.missing}: {found.mend}"
            if name in os.environ.get("TUNEFLEET_TEST_CONVERTERS", "").split():
                pytest.fail(f"TUNEFLEET_TEST_CONVERTERS asks for the tests of {name}, but {why}")
            pytest.skip(why)
        return found.python

    return find


@pytest.fixture(scope="session")
def running() -> Callable[[int], bool]:
    """Says whether a process is there and more than a zombie."""

    def alive(pid: int) -> bool:
        try:
            return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False

    return alive
