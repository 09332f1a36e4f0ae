"""The Ray actors. Each starts and supervises an engine process, and speaks to it in plain data.

They are plain classes here, so that they can be tried without Ray; :mod:`orchestrator.fleet` makes them
remote.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time

from workers.engines.interface import WAITING
from workers.errors import EngineError, EngineLostError, EngineTimeoutError, TunefleetError
from workers.messages import (
    Artifact,
    BuildResult,
    Candidate,
    DeviceInfo,
    Endpoint,
    EvaluatorConfig,
    Measurement,
    Record,
    SearchOptions,
    Station,
    Timing,
    TrialState,
    Workload,
)
from workers.process import EngineProcess
from workers.turns import parts_of, turn

__all__ = ["BuildActor", "MeasureActor", "SearchActor", "state_of"]

#: Seconds a device may be asked for in vain before its server counts as lost.
DEVICE_WAIT_SECONDS = 30.0
# Starting a server is a fork; a minute is for a machine that does everything else at once.
_SERVICE_SECONDS = 60.0
#: Servers in a row that died without one good measurement between, after which the device is given up.
MAX_RESTARTS = 10
_TRACKER = "tracker"


class _EngineActor:
    """What all three have in common.

    Parameters
    ----------
    engine : str
    python : str, optional
        See :class:`workers.process.EngineProcess`.
    cores : tuple of int, optional
        Cores to keep to, this process with all it starts; on the others something is measured.
    """

    role = ""

    def __init__(self, engine: str, python: str | None = None, cores: tuple[int, ...] = ()) -> None:
        # Given when it is made, so that an actor that Ray starts again keeps to them too.
        if cores:
            _keep_to(cores)
        self._process = EngineProcess(engine, self.role, python, on_exit=self._service_ended)

    def start(self) -> tuple[str, int | None, dict[str, str]]:
        """Warm the engine up; return the host's name, the engine process's id, and the versions."""
        self._process.start()
        versions: dict[str, str] = self._process.call("versions", timeout_s=_SERVICE_SECONDS)
        return socket.gethostname(), self._process.pid, versions

    def cores(self) -> tuple[int, ...]:
        """Return the cores of this machine that this actor may use."""
        return tuple(sorted(os.sched_getaffinity(0)))

    def pause(self) -> None:
        """Stand still: something on this machine is being measured."""
        self._process.pause()

    def resume(self) -> None:
        """Go on."""
        self._process.resume()

    def stop(self) -> None:
        """End the engine process and all it started."""
        self._process.stop()

    def _service_ended(self, service: str, reason: str) -> None:
        pass


class SearchActor(_EngineActor):
    """Searches of several tasks, each in a process of its own."""

    role = "search"

    def open(
        self,
        session: str,
        workload: Workload,
        target: str,
        options: SearchOptions,
        history: tuple[Record, ...],
        related: tuple[tuple[Workload, Record], ...],
        timeout_s: float,
    ) -> bytes:
        """Open a search, teach it what is stored, and return the samples of that for the cost model.

        Parameters
        ----------
        history, related : tuple
            Records of this workload, and of others of its kind.
        """
        self._process.open(session, "open_search", workload, target, options, timeout_s=timeout_s)
        if related:
            self._process.use(session, "transfer", related, timeout_s=timeout_s)
        if not history:
            return b""
        samples: bytes = self._process.use(session, "learn", history, timeout_s=timeout_s)
        return samples

    def propose(
        self,
        session: str,
        count: int,
        cost_model: bytes | None,
        timeout_s: float,
        lent: tuple[tuple[Workload, Record], ...] = (),
    ) -> tuple[Candidate, ...]:
        """Return new candidates of a search.

        Parameters
        ----------
        lent : tuple, optional
            The fastest records of other workloads of its kind.
        """
        if lent:
            self._process.use(session, "lend", lent, timeout_s=timeout_s)
        candidates: tuple[Candidate, ...] = self._process.use(
            session, "propose", count, cost_model, timeout_s=timeout_s
        )
        return candidates

    def learn(self, session: str, records: tuple[Record, ...], timeout_s: float) -> bytes:
        """Give a search its results."""
        samples: bytes = self._process.use(session, "learn", records, timeout_s=timeout_s)
        return samples

    def train(self, samples: tuple[bytes, ...], timeout_s: float) -> bytes:
        """Train the cost model of all searches."""
        model: bytes = self._process.call("train", samples, 1, timeout_s=timeout_s)
        return model

    def close(self, session: str) -> None:
        """End a search."""
        self._process.close(session)


class BuildActor(_EngineActor):
    """Builds, each in a fresh fork."""

    role = "build"

    def build(
        self, workload: Workload, target: str, candidate: Candidate, timeout_s: float
    ) -> tuple[BuildResult, Artifact | None]:
        """Build one candidate. A candidate that fails, crashes or never ends is a result, not an error.

        Raises
        ------
        EngineLostError
            Where the engine process itself died: the candidate may be innocent.
        """
        started = time.monotonic()
        try:
            artifact: Artifact = self._process.call("build", workload, target, candidate, timeout_s=timeout_s)
        except EngineTimeoutError as error:
            return BuildResult(time.monotonic() - started, TrialState.BUILD_TIMEOUT, str(error)), None
        except TunefleetError as error:
            # A fork that crashed had got to some stage; without one, the engine process is what was lost.
            if isinstance(error, EngineLostError) and not error.stage:
                raise
            return BuildResult(time.monotonic() - started, TrialState.BUILD_ERROR, str(error)), None
        return BuildResult(time.monotonic() - started), artifact


class MeasureActor(_EngineActor):
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
        self._tracker: tuple[str, int] | None = None
        self._serving: set[str] = set()
        self._host_pid: int | None = None  # the engine process that all of it was started in
        self._restarts: dict[str, int] = {}
        self._lock = threading.RLock()

    def offer(self, wanted: tuple[DeviceInfo, ...]) -> tuple[Station, ...]:
        """Find which of the wanted devices this machine has, and take charge of them."""
        found: list[Station] = []
        for device in wanted:
            here: DeviceInfo = self._process.call("resolve_target", device.target, timeout_s=_SERVICE_SECONDS)
            if here.device_class != device.device_class or here.unfit:
                continue
            count = 1 if here.kind == "cpu" else self._count(here.kind)
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
        found: dict[str, int] = self._process.call("tracked", host, port, timeout_s=DEVICE_WAIT_SECONDS)
        return found

    def resolve(self, target: str) -> DeviceInfo:
        """Say which device of this machine a target means."""
        device: DeviceInfo = self._process.call("resolve_target", target, timeout_s=_SERVICE_SECONDS)
        return device

    def serve(self) -> None:
        """Start what is missing of the tracker and a server for each device.

        They are gone after the engine process died, and with it all it had forked.
        """
        with self._lock:
            self._process.start()
            if self._process.pid != self._host_pid:
                self._tracker, self._serving, self._host_pid = None, set(), self._process.pid
            if self._tracker is None and self._stations:
                self._tracker = self._process.spawn(
                    _TRACKER, "serve_tracker", self._host, timeout_s=_SERVICE_SECONDS
                )
            for station in self._stations.values():
                given_up = self._restarts.get(station.key, 0) > MAX_RESTARTS
                if station.key not in self._serving and not given_up:
                    self._serve(station)

    def measure(
        self, artifact: Artifact, station: Station, evaluator: EvaluatorConfig, beat_s: float | None = None
    ) -> Measurement:
        """Time an artifact on a device of this node, or on a board. A candidate that fails is a result.

        One that is far behind `beat_s` seconds, the best known, isn't timed in full, and its message says so.

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
                timing: Timing = self._process.call(
                    "measure", artifact, endpoint, evaluator, beat_s, timeout_s=limit
                )
        except TunefleetError as error:
            state = state_of(error)
            if state is not TrialState.DEVICE_LOST:
                # The device was there; that its server died after this is the candidate's doing.
                self._restarts[key] = 0
            return result(state, str(error))
        self._restarts[key] = 0
        message = ""
        if timing.stopped and beat_s:
            # The least: under load one look can be off by far, and what is said shall hold for all.
            behind = min(timing.times) / beat_s
            message = f"stopped early: {behind:.1f} times the best until then, which took {beat_s:.3g} s"
        return result(TrialState.OK, message, timing.times)

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

    def _count(self, kind: str) -> int:
        return int(self._process.call("count_devices", kind, timeout_s=_SERVICE_SECONDS))

    def _serve(self, station: Station) -> None:
        assert self._tracker is not None
        self._process.spawn(
            station.key, "serve_device", self._host, self._tracker, station, timeout_s=_SERVICE_SECONDS
        )
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
                    self._process.end(name)
                self._serving.clear()
                return
            self._serving.discard(service)
            count = self._restarts[service] = self._restarts.get(service, 0) + 1
            if count <= MAX_RESTARTS and self._tracker is not None:
                # Where this fails, the next measurement tries again.
                with contextlib.suppress(TunefleetError):
                    self._serve(station)


def _keep_to(cores: tuple[int, ...]) -> None:
    # A process has no cores of its own, its threads have, and what they start inherits theirs.
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread), cores)


def state_of(error: TunefleetError) -> TrialState:
    """Say by the stage in which a measurement failed whether the device or the candidate is at fault."""
    if error.stage.startswith(WAITING) or error.stage in ("", "starting"):
        return TrialState.DEVICE_LOST
    if isinstance(error, EngineTimeoutError) or "RPCSessionTimeoutError" in str(error):
        return TrialState.RUN_TIMEOUT
    return TrialState.RUN_ERROR
