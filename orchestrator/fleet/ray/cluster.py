"""Ray itself: how it is started or joined without harm to this process."""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import logging
import os
import pathlib
import signal
import socket
import threading
from collections.abc import Iterator
from typing import Any

import ray

from orchestrator.errors import EngineError, TunefleetError, UsageError
from orchestrator.fleet.ray.proxies import leave_out_proxies
from orchestrator.fleet.ray.temporary import logs_of_session, why_unusable

__all__ = ["CONNECT_SECONDS", "ROLE_LABEL", "START_SECONDS", "join_ray", "signals_left_alone"]

# Importing TVM on a busy machine; after it, what is missing says so itself.
START_SECONDS = 300.0
CONNECT_SECONDS = 10.0
#: Label of a Ray node that says what it is for: ``measure``, ``compute``; without it, both.
ROLE_LABEL = "tunefleet.role"


@contextlib.contextmanager
def signals_left_alone() -> Iterator[None]:
    """Keep Ray from taking SIGTERM for itself: it would end this process where it stands.

    Ray offers no setting for it. Where a later Ray has no such function it takes the signal, and gives it
    back when it is there.
    """
    utils: Any = importlib.import_module("ray._private.utils")
    original = getattr(utils, "set_sigterm_handler", None)
    utils.set_sigterm_handler = lambda _: None
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        if original is not None:
            utils.set_sigterm_handler = original
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)


@contextlib.contextmanager
def _without_what_serves_clusters() -> Iterator[None]:
    """Leave out what scales a cluster and what hands on the workers' logs: each is a process with all of Ray.

    They are a quarter of what a start takes. `ray start` has switches for both and `ray.init` has none; where
    a later Ray has no such parameters, it starts with both.
    """
    parameter: Any = importlib.import_module("ray._private.parameter")
    original = parameter.RayParams
    left_out = {"no_monitor": True, "include_log_monitor": False}
    if left_out.keys() <= inspect.signature(original).parameters.keys():
        parameter.RayParams = functools.partial(original, **left_out)
    try:
        yield
    finally:
        parameter.RayParams = original


def join_ray(address: str | None, slots: int | None) -> None:
    """Join the Ray at an address; without one, start a Ray on this machine with so many slots.

    Raises
    ------
    UsageError
        Where no cluster answers at the address, or the folder for temporary files can't be Ray's.
    EngineError
        Where Ray doesn't start.
    """
    # Nothing this project does is reported anywhere unless a person asked for it.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Work given up when a campaign stops fails with nobody waiting; Ray would print each traceback.
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")
    common: dict[str, Any] = {
        "namespace": "tunefleet",
        "log_to_driver": False,
        "logging_level": logging.ERROR,
    }
    try:
        if address is not None:
            _require_answer(address)
            ray.init(address=address, **common)
        else:
            wrong = why_unusable()
            if wrong:
                raise UsageError(wrong)
            leave_out_proxies("localhost", "127.0.0.1", "::1", ray.util.get_node_ip_address())
            _hide_token()
            with _without_what_serves_clusters():
                ray.init(address="local", num_cpus=slots, include_dashboard=False, **common)
            _hide_token()
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UsageError(f"Ray can't be reached at {address or 'this machine'}: {_first(error)}") from None
    except TunefleetError:
        raise
    # Plain ones, such as "The current node timed out during startup", and whatever the system refuses.
    except Exception as error:
        where = "start on this machine" if address is None else f"take part at {address}"
        raise EngineError(
            f"Ray did not {where}: {_first(error)}. Too much else may run here, or memory be "
            f"short: try again when it is calmer; Ray's logs are in {logs_of_session()}"
        ) from None


def _first(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].removesuffix(".")


def _hide_token() -> None:
    """Take the token away from other users of this machine: Ray writes it for all to read (2.60)."""
    # One that a person put elsewhere is that person's.
    token = pathlib.Path.home() / ".ray" / "auth_token"
    with contextlib.suppress(OSError):  # there is none, or it is another's
        if token.stat().st_mode & 0o077:
            token.chmod(0o600)


def _require_answer(address: str) -> None:
    """Find out in seconds what takes Ray minutes: nobody listens at HOST:PORT."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit():
        return  # a name that Ray understands
    try:
        socket.create_connection(
            (host.removeprefix("ray://").strip("[]"), int(port)), CONNECT_SECONDS
        ).close()
    except OSError as error:
        raise UsageError(f"Ray can't be reached at {address}: {error.strerror or error}") from None
