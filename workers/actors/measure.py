"""A node's devices, one RPC server for each, and boards that other trackers know."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

from workers.actors.base import EngineActor
from workers.actors.condition import condition_of
from workers.clients import DevicesClient, MeasureClient, Service, TargetsClient
from workers.clients.turns import parts_of, turn
from workers.enginekit.roles import WAITING, Address
from workers.errors import EngineError, EngineTimeoutError, TunefleetError, WrongOutputError
from workers.messages import (
    Artifact,
    CheckedDevice,
    DeviceInfo,
    Endpoint,
    EvaluatorConfig,
    Measurement,
    Station,
    TrialState,
)

__all__ = ["MeasureActor", "state_of"]

#: Seconds a device may be asked for in vain before its server counts as lost.
DEVICE_WAIT_SECONDS = 30.0
#: Servers in a row that died without one good measurement between, after which the device is given up.
MAX_RESTARTS = 10
_TRACKER = "tracker"


class MeasureActor(EngineActor):
    """A node's devices, one RPC server for each, and boards that other trackers know.

    Parameters
    ----------
    host : str
        Address that the node's own tracker and servers bind to. They run any code that reaches them.

    Notes
    -----
    The tracker is this actor's own, and only this actor asks it: what is measured on a node crosses no
    network but Ray's.
    """

    role = "measure"

    def __init__(self, engine: str, python: str | None = None, host: str = "127.0.0.1") -> None:
        super().__init__(engine, python)
        self._host = host
        self._stations: dict[str, Station] = {}
        self._tracker: Address | None = None
        self._serving: set[str] = set()
        self._host_pid: int | None = None  # the engine process that all of it was started in
        self._restarts: dict[str, int] = {}
        self._lock = threading.RLock()

    def offer(self, wanted: tuple[DeviceInfo, ...]) -> tuple[Station, ...]:
        """Find which of the wanted devices this machine has, and take charge of them."""
        found: list[Station] = []
        for device in wanted:
            here = self.resolve(device.target)
            if here.device_class != device.device_class or here.unfit:
                continue
            count = 1 if here.kind == "cpu" else DevicesClient(self._process).count_devices(here.kind)
            names = [here.device_class] if count == 1 else [f"{here.device_class}.{i}" for i in range(count)]
            found += [Station(name, here, index) for index, name in enumerate(names)]
        with self._lock:
            self._stations.update({station.key: station for station in found})
        return tuple(found)

    def tracked(self, host: str, port: int) -> dict[str, int]:
        """Say how many servers are registered at a tracker under each key.

        Raises
        ------
        EngineError
            It does not answer.
        """
        return DevicesClient(self._process, timeout_s=DEVICE_WAIT_SECONDS).tracked(host, port)

    def resolve(self, target: str) -> DeviceInfo:
        """Say which device of this machine a target means."""
        return TargetsClient(self._process).resolve_target(target)

    def serve(self) -> None:
        """Start what is missing of the tracker and a server for each device.

        They are gone after the engine process died, and with it all it had forked.
        """
        with self._lock:
            self._process.start()
            if self._process.pid != self._host_pid:
                self._tracker, self._serving, self._host_pid = None, set(), self._process.pid
            if self._tracker is None and self._stations:
                self._tracker = Service(self._process, _TRACKER).serve_tracker(self._host)
            for station in self._stations.values():
                given_up = self._restarts.get(station.key, 0) > MAX_RESTARTS
                if station.key not in self._serving and not given_up:
                    self._serve(station)

    def measure(
        self,
        artifact: Artifact,
        station: Station,
        evaluator: EvaluatorConfig,
        best_known_s: float | None = None,
    ) -> Measurement:
        """Time an artifact on a device of this node, or on a board. A candidate that fails is a result.

        One that is far behind `best_known_s` seconds, the best known, isn't timed in full, and its message
        says so.

        A result in state ``device_lost`` says nothing about the candidate.
        """
        started = time.monotonic()
        key = station.key

        def result(state: TrialState, message: str = "", times: tuple[float, ...] = ()) -> Measurement:
            return Measurement(
                state,
                times,
                message,
                device=key,
                host=socket.gethostname() if station.tracker is None else key,
                run_s=time.monotonic() - started,
            )

        if self._restarts.get(key, 0) > MAX_RESTARTS:
            return result(
                TrialState.DEVICE_LOST,
                f"the RPC server of {key} died {MAX_RESTARTS} times in a row; the device is given up",
            )
        try:
            endpoint = self._endpoint(station)
        except EngineError as error:
            return result(TrialState.DEVICE_LOST, str(error))
        # The server ends a session that runs too long; this limit is for all that can hang besides.
        limit = evaluator.timeout_s + DEVICE_WAIT_SECONDS
        try:
            with turn(parts_of(station)):
                client = MeasureClient(self._process, timeout_s=limit)
                timing = client.measure(artifact, endpoint, evaluator, best_known_s)
        except TunefleetError as error:
            state = state_of(error)
            if state is not TrialState.DEVICE_LOST:
                # The device was there; that its server died after this is the candidate's doing.
                self._restarts[key] = 0
            return result(state, str(error))
        self._restarts[key] = 0
        message = ""
        if timing.stopped and best_known_s:
            # The least: under load one look can be off by far, and what is said shall hold for all.
            behind = min(timing.times) / best_known_s
            message = (
                f"stopped early: {behind:.1f} times the best until then, which took {best_known_s:.3g} s"
            )
        return result(TrialState.OK, message, timing.times)

    def check(self, artifact: Artifact, station: Station, evaluator: EvaluatorConfig) -> CheckedDevice:
        """Time a known kernel as a candidate is timed, and say in which condition the machine is."""
        return CheckedDevice(self.measure(artifact, station, evaluator), condition_of(station))

    def _endpoint(self, station: Station) -> Endpoint:
        tracker = station.tracker
        if tracker is None:
            with self._lock:
                # An actor that Ray has started again was offered nothing yet.
                self._stations.setdefault(station.key, station)
            self.serve()
            tracker = self._tracker
            if tracker is None:
                raise EngineError(f"this node has no device {station.key}")
        return Endpoint(*tracker, station.key, station.device.kind)

    def _serve(self, station: Station) -> None:
        assert self._tracker is not None
        Service(self._process, station.key).serve_device(self._host, self._tracker, station)
        self._serving.add(station.key)

    def _service_ended(self, service: str, reason: str) -> None:
        with self._lock:
            if self._process.pid is None or self._process.pid != self._host_pid:
                return  # all of it ended with the process, and starts with the next
            station = self._stations.get(service)
            if station is None:
                # The servers would ask for the tracker until it is back, but at another port it never is.
                self._tracker = None
                for name in self._serving:
                    Service(self._process, name).end()
                self._serving.clear()
                return
            self._serving.discard(service)
            count = self._restarts[service] = self._restarts.get(service, 0) + 1
            if count <= MAX_RESTARTS and self._tracker is not None:
                # Where this fails, the next measurement tries again.
                with contextlib.suppress(TunefleetError):
                    self._serve(station)


def state_of(error: TunefleetError) -> TrialState:
    """Say by the stage in which a measurement failed whether the device or the candidate is at fault."""
    if isinstance(error, WrongOutputError):
        return TrialState.WRONG_OUTPUT
    if error.stage.startswith(WAITING) or error.stage in ("", "starting"):
        return TrialState.DEVICE_LOST
    if isinstance(error, EngineTimeoutError) or "RPCSessionTimeoutError" in str(error):
        return TrialState.RUN_TIMEOUT
    return TrialState.RUN_ERROR
