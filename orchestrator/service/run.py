"""Running a service: what is looked at before it listens, and the server that does."""

from __future__ import annotations

import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import uvicorn
from fastapi import FastAPI

from orchestrator.errors import UsageError
from orchestrator.service.app import make_app
from orchestrator.service.parts import Parts, make_parts
from orchestrator.service.settings import ServiceSettings
from orchestrator.storage import Storage

__all__ = ["files_folder", "make_parts", "serve", "server_config"]

_GRACE_SECONDS = 3


def files_folder(store: Storage) -> Path:
    """Return where uploaded models are kept: beside a SQLite file, else in the data folder."""
    from orchestrator.storage import default_path

    path = store.path or default_path()
    return path.with_name(f"{path.name}.models")


def serve(store: Storage, settings: ServiceSettings, ready: Callable[[str], None]) -> None:
    """Serve until a signal ends it.

    Parameters
    ----------
    ready : callable
        Is told the address once it listens.

    Raises
    ------
    UsageError
        Others are to come in, and there is no token: without one it starts on a loopback alone, and behind no
        proxy. Or the address is taken, or the certificate can't be read.
    """
    if (settings.proxies or not settings.loopback) and not store.tokens.any_live():
        who, instead = f"{settings.host} is reached from other machines", ", or serve on --host 127.0.0.1"
        if settings.loopback:
            who, instead = "others come in through a proxy", ""
        raise UsageError(
            f"{who}, and there is no token: whoever comes could do everything; `tunefleet tokens create NAME "
            f"--scope admin` makes one{instead}"
        )
    if (settings.certificate is None) != (settings.key is None):
        raise UsageError("--tls-cert and --tls-key belong together: give both, or none")
    if settings.certificate is not None and settings.key is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.certificate, settings.key)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(
                f"{settings.certificate} and {settings.key} are no certificate and its key: {error}"
            ) from None
    listening = _listen(settings)
    port = listening.getsockname()[1]
    scheme = "http" if settings.certificate is None else "https"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    parts = make_parts(store, settings)
    server = _Server(server_config(make_app(parts), settings), parts)
    with listening, _ended_by_signals():
        ready(f"{scheme}://{host}:{port}")
        server.run(sockets=[listening])


def server_config(app: FastAPI, settings: ServiceSettings) -> uvicorn.Config:
    """Return how an application is served."""
    return uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.proxies),
        forwarded_allow_ips=settings.proxies or None,
        ssl_certfile=settings.certificate,
        ssl_keyfile=settings.key,
        # Pages that are open keep their streams open.
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )


class _Server(uvicorn.Server):
    """A server that tells open streams of its end, for which they would keep it waiting."""

    def __init__(self, config: uvicorn.Config, parts: Parts) -> None:
        super().__init__(config)
        self._parts = parts

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal."""
        self._parts.ending.set()
        super().handle_exit(sig, frame)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Make Ctrl-C and SIGTERM the end of what is done here, and not of the process: more is to be ended.

    uvicorn ends its work on either, and then sends the signal to the process once more.
    """

    def end(number: int, _: FrameType | None) -> None:
        raise _EndedError(number)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except _EndedError:
        pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _EndedError(Exception):
    """A signal came."""


def _listen(settings: ServiceSettings) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise UsageError(f"--host {settings.host} is no address of this machine: {error.strerror}") from None
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind(address)
        # Who is told the address may come at once, and waits for the server.
        found.listen()
    except OSError as error:
        found.close()
        raise UsageError(
            f"{settings.host}:{settings.port} can't be listened on: {error.strerror}; choose another --port"
        ) from None
    return found
