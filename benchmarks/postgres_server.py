"""A PostgreSQL server of one's own, for tests and benchmarks: in a temporary folder, on a socket there."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from sqlalchemy import URL, NullPool, create_engine, text

__all__ = ["PostgresMissingError", "PostgresServer", "find_binaries", "new_database"]

# Where Debian's packages put what is not for everybody's PATH.
_DEBIAN = Path("/usr/lib/postgresql")
_MEMORY = Path("/dev/shm")
_USER = "tester"
_LIMIT_S = 120


class PostgresMissingError(RuntimeError):
    """What the server takes is not installed; the text says what and how to get it."""


class PostgresServer:
    """A server, to be used as a context manager: started on the way in, gone with its data on the way out.

    Parameters
    ----------
    settings : mapping of str to str, optional
        Of ``postgresql.conf``.
    password : str, optional
        Asked of everybody; without one, nobody is asked.
    in_memory : bool, optional
        Keep its files there, where the system has a place for that: nothing is said of a disk then.

    Attributes
    ----------
    url : URL
        Of its database ``postgres``, as a user who may do everything.

    Raises
    ------
    PostgresMissingError
    """

    def __init__(
        self, settings: Mapping[str, str] | None = None, *, password: str = "", in_memory: bool = False
    ) -> None:
        if importlib.util.find_spec("psycopg") is None:
            raise PostgresMissingError("psycopg is not installed; it comes with the extra `postgresql`")
        self._binaries = find_binaries()
        self._settings = {"listen_addresses": "''", **(settings or {})}
        self._password = password
        self._in = str(_MEMORY) if in_memory and _has_room(_MEMORY) else None

    def __enter__(self) -> PostgresServer:
        # Not a caller's folder: a socket's path is at most 107 characters long.
        self._temporary = tempfile.TemporaryDirectory(
            prefix="tf-pg-", dir=self._in, ignore_cleanup_errors=True
        )
        self._folder = self._temporary.name
        self._data = str(Path(self._folder, "data"))
        self._as_user: dict[str, Any] = {}
        if os.geteuid() == 0:
            # It refuses to run as root.
            nobody = pwd.getpwnam("nobody")
            os.chown(self._folder, nobody.pw_uid, nobody.pw_gid)
            self._as_user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        self.url = URL.create(
            "postgresql+psycopg",
            username=_USER,
            password=self._password or None,
            database="postgres",
            query={"host": self._folder},
        )
        try:
            words = ["--pgdata", self._data, "--username", _USER, "--no-sync"]
            if self._password:
                secret = Path(self._folder, "password")
                secret.write_text(self._password + "\n")
                # For the server's user to read.
                secret.chmod(0o644)
                words += ["--auth", "scram-sha-256", "--pwfile", str(secret)]
            else:
                words += ["--auth", "trust"]
            self._run("initdb", *words)
            self.start()
        except BaseException:
            self._temporary.cleanup()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        finally:
            self._temporary.cleanup()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = " ".join(f"-c {name}={value}" for name, value in self._settings.items())
        log = str(Path(self._folder, "log"))
        options = f"-k {self._folder} {settings}"
        self._run("pg_ctl", "--pgdata", self._data, "--log", log, "--wait", "--options", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop it; ``immediate`` is as hard as a power cut. Does nothing where it isn't running."""
        if Path(self._data, "postmaster.pid").exists():
            self._run("pg_ctl", "--pgdata", self._data, "--mode", mode, "--wait", "stop")

    def _run(self, name: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._binaries / name), *arguments],
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_LIMIT_S,
            check=False,
            **self._as_user,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{name} failed: {done.stdout}")


@contextmanager
def new_database(server: URL, template: URL | None = None) -> Iterator[URL]:
    """Make a database on a server, and drop it afterwards, whoever is still connected.

    It is empty, or what a template is, to which nobody may be connected.
    """
    name = f"tunefleet_{uuid.uuid4().hex[:12]}"
    # No connection is kept: the server may be stopped in between.
    engine = create_engine(server, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        copied = "" if template is None else f" TEMPLATE {template.database}"
        connection.execute(text(f"CREATE DATABASE {name}{copied}"))
    try:
        yield server.set(database=name)
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def _has_room(folder: Path) -> bool:
    # A container's is of 64 MB.
    return os.access(folder, os.W_OK) and shutil.disk_usage(folder).free >= 1 << 30


def find_binaries() -> Path:
    """Return the folder of PostgreSQL's programs; raise :class:`PostgresMissingError` where there is none."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    versions = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if not versions:
        raise PostgresMissingError("there is no initdb; on Debian: apt-get install postgresql")
    return versions[-1].parent
