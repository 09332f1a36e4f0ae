"""Backends of the conformance suite, and a filled storage to ask."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine, make_url, text

from orchestrator.storage import Storage

# A PostgreSQL to run the suite on: the URL of a database whose user may create others. Without it, one is
# started for the tests.
POSTGRES = os.environ.get("TUNEFLEET_TEST_POSTGRES", "")
# Where Debian's packages put what is not for everybody's PATH.
_DEBIAN = Path("/usr/lib/postgresql")


def _without_postgres(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(f"CI runs the storage tests on PostgreSQL too, but {reason}")
    pytest.skip(f"not run on PostgreSQL: {reason}")


def _binaries() -> Path | None:
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    versions = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    return versions[-1].parent if versions else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[URL]:
    """URL of a PostgreSQL server of the tests' own, in a temporary folder, on a socket there."""
    if POSTGRES:
        yield make_url(POSTGRES).set(drivername="postgresql+psycopg")
        return
    if importlib.util.find_spec("psycopg") is None:
        _without_postgres("psycopg is not installed; it comes with the extra `postgresql`")
    binaries = _binaries()
    if binaries is None:
        _without_postgres("there is no initdb; on Debian: apt-get install postgresql")
        return
    # Not pytest's folder: a socket's path is at most 107 characters long.
    with tempfile.TemporaryDirectory(prefix="tf-pg-", ignore_cleanup_errors=True) as folder:
        data = Path(folder, "data")
        as_user: dict[str, object] = {}
        if os.geteuid() == 0:
            # It refuses to run as root.
            nobody = pwd.getpwnam("nobody")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            as_user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}

        def run(name: str, *arguments: str) -> None:
            done = subprocess.run(
                [str(binaries / name), *arguments],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=120,
                check=False,
                **as_user,  # type: ignore[call-overload]
            )
            assert done.returncode == 0, f"{name}: {done.stdout}"

        run("initdb", "--pgdata", str(data), "--username", "tester", "--auth", "trust", "--no-sync")
        options = f"-k {folder} -c listen_addresses='' -c fsync=off"
        log = str(Path(folder, "log"))
        run("pg_ctl", "--pgdata", str(data), "--log", log, "--wait", "--options", options, "start")
        try:
            yield URL.create(
                "postgresql+psycopg", username="tester", database="postgres", query={"host": folder}
            )
        finally:
            run("pg_ctl", "--pgdata", str(data), "--mode", "immediate", "--wait", "stop")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a database that nothing was stored in."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'records.db'}"
        return
    server: URL = request.getfixturevalue("postgres")
    name = f"tunefleet_{uuid.uuid4().hex[:12]}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        engine.dispose()


@pytest.fixture
def storage(url: str) -> Iterator[Storage]:
    """A new storage."""
    with Storage.open(url) as opened:
        yield opened
