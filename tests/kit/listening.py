"""A service on a port of this machine, in a thread of the test's own process."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from orchestrator.service.run import server_config
from orchestrator.storage import Storage
from tests.kit.service_client import client_of

__all__ = ["listening"]

_SECONDS = 20.0


@contextlib.contextmanager
def listening(store: Storage, files: Path, **settings: Any) -> Iterator[str]:
    """Serve a store as `serve` does with such settings, and give the address."""
    app = client_of(store, files, **settings).app
    assert isinstance(app, FastAPI)
    config = server_config(app, app.state.parts.settings)
    config.timeout_graceful_shutdown = 1
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as found:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [found]}, daemon=True)
        thread.start()
        try:
            until = time.monotonic() + _SECONDS
            while not server.started:
                assert time.monotonic() < until, f"the service didn't start within {_SECONDS:g} s"
                time.sleep(0.02)
            yield f"{'https' if config.is_ssl else 'http'}://127.0.0.1:{found.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(_SECONDS)
