"""A tracker and a server in a hundred lines: an engine that has a TVM uses TVM's instead.

A device's server registers its address at the tracker and then takes one library after the other. It runs
each in a process of its own, so that one that crashes costs its own measurement.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import pathlib
import tempfile
import time
from ctypes import CDLL, c_float
from multiprocessing.connection import Client, Connection, Listener

from workers.enginekit.roles import Address
from workers.enginekit.timing import FAR_BEHIND
from workers.environments.lifeline import die_with_parent
from workers.errors import EngineError
from workers.messages import Artifact, EvaluatorConfig, Station, Timing
from workers.process.host import ready

from .products import Product

__all__ = ["ToyDevices", "device_address", "measured"]

_KEY = b"tunefleet toy"
_fork = multiprocessing.get_context("fork")


class ToyDevices:
    """See :class:`workers.enginekit.roles.Devices`."""

    def serve_tracker(self, host: str, port: int | None = None) -> None:
        """Tell who asks where the device of a key is, until killed."""
        known: dict[str, Address] = {}
        with Listener((host, port or 0), authkey=_KEY) as listener:
            ready(listener.address)
            while True:
                with contextlib.suppress(EOFError, OSError), listener.accept() as connection:
                    known.update(connection.recv())
                    connection.send(known)

    def serve_device(self, host: str, tracker: Address, station: Station) -> None:
        """Measure what is sent, one after the other, until killed."""
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: station.device.cores])
        with Listener((host, 0), authkey=_KEY) as listener:
            told(tracker, {station.key: listener.address})
            ready(listener.address)
            while True:
                with contextlib.suppress(EOFError, OSError), listener.accept() as connection:
                    _serve_one(connection)

    def tracked(self, host: str, port: int) -> dict[str, int]:
        """Count the devices at a tracker."""
        return dict.fromkeys(told((host, port), {}), 1)

    def count_devices(self, kind: str) -> int:
        """Count one CPU."""
        return int(kind == "cpu")


def told(tracker: Address, more: dict[str, Address]) -> dict[str, Address]:
    """Tell a tracker of devices, and return all it knows.

    Raises
    ------
    EngineError
        It does not answer.
    """
    try:
        with Client(tracker, authkey=_KEY) as connection:
            connection.send(more)
            known: dict[str, Address] = connection.recv()
            return known
    except (OSError, EOFError) as error:
        raise EngineError(f"no toy tracker answers at {tracker[0]}:{tracker[1]}: {error}") from None


def device_address(tracker: Address, key: str, wait_s: float) -> Address:
    """Return where a device is.

    Raises
    ------
    EngineError
        The tracker didn't know within `wait_s` seconds.
    """
    until = time.monotonic() + wait_s
    while (address := told(tracker, {}).get(key)) is None:
        if time.monotonic() > until:
            raise EngineError(f"no device of key {key} registered within {wait_s:g} s")
        time.sleep(0.05)
    return address


def measured(address: Address, artifact: Artifact, evaluator: EvaluatorConfig, best: float | None) -> Timing:
    """Have the server of a device time an artifact.

    Raises
    ------
    RuntimeError
        With what the server said.
    """
    with Client(address, authkey=_KEY) as connection:
        connection.send((artifact, evaluator, best))
        answer: Timing | str = connection.recv()
    if isinstance(answer, str):
        raise RuntimeError(answer)
    return answer


def _serve_one(connection: Connection) -> None:
    artifact, evaluator, best = connection.recv()
    ours, theirs = _fork.Pipe()
    child = _fork.Process(target=_time, args=(theirs, artifact, evaluator, best), daemon=True)
    child.start()
    theirs.close()
    if not ours.poll(evaluator.timeout_s):
        child.kill()
        # The word by which a measurement is known to have taken too long.
        connection.send(f"RPCSessionTimeoutError: it took longer than {evaluator.timeout_s:g} s")
    else:
        try:
            connection.send(ours.recv())
        except EOFError:
            child.join()
            connection.send(f"its process ended with exit code {child.exitcode}")
    child.join()


def _time(connection: Connection, artifact: Artifact, evaluator: EvaluatorConfig, best: float | None) -> None:
    die_with_parent()
    product = Product(**json.loads(artifact.args))
    with tempfile.TemporaryDirectory(prefix="tunefleet-") as folder:
        path = pathlib.Path(folder, f"candidate{artifact.suffix}")
        path.write_bytes(artifact.data)
        try:
            run = CDLL(str(path)).product
        except (OSError, AttributeError) as error:
            connection.send(f"it can't be loaded: {error}")
            return
    arguments = [
        (c_float * size)()
        for size in (
            product.rows * product.depth,
            product.depth * product.columns,
            product.rows * product.columns,
        )
    ]

    def seconds(number: int) -> float:
        started = time.perf_counter()
        for _ in range(number):
            run(*arguments)
        return (time.perf_counter() - started) / number

    once = seconds(1)
    if best is not None and once > FAR_BEHIND * best and seconds(2) > FAR_BEHIND * best:
        connection.send(Timing((once,), stopped=True))
        return
    number = max(evaluator.number, int(evaluator.min_repeat_ms / 1e3 / max(once, 1e-7)))
    connection.send(Timing(tuple(seconds(number) for _ in range(evaluator.repeat))))
