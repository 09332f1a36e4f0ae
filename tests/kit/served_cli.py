"""Commands that ask a service, which answers in this process."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from starlette.testclient import TestClient
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.remote.address import ServerAddress
from orchestrator.remote.connection import Connection
from orchestrator.storage import Storage
from tests.kit.cli_builders import Answer, Cli
from tests.kit.service_client import LOOPBACK, client_of

__all__ = ["URL", "ServedCli"]

URL = "http://127.0.0.1:8085"


class ServedCli(Cli):
    """Runs commands with ``--server``.

    Parameters
    ----------
    store : Storage
        What the service is on.
    files : Path
        Where that keeps uploads.
    """

    def __init__(self, store: Storage, files: Path, db: Path) -> None:
        super().__init__(db)
        self.server: tuple[str, ...] = ("--server", URL)
        self.launchers = dataclasses.replace(self.launchers, connect=connector(store, files))

    def __call__(self, *words: str, db: bool = False) -> Answer:
        line = [*words, *(["--db", str(self.db)] if db else self.server)]
        result = CliRunner().invoke(app, line, obj=self.launchers)
        return Answer(result.exit_code, result.stdout, result.stderr)


def connector(store: Storage, files: Path) -> Callable[[ServerAddress], Connection]:
    """Return what connects to a service on a store, without a network between."""

    # Making one takes longer than most of what it is asked.
    app = client_of(store, files).app

    def connect(address: ServerAddress) -> Connection:
        http = TestClient(app, base_url=address.url, follow_redirects=False, client=LOOPBACK)
        return Connection(address, http)

    return connect
