"""The fleet on Ray: a search and a build actor on every node, a measure actor where the devices are."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.errors import EngineLostError, TunefleetError, UsageError
from workers.actors import BuildActor, MeasureActor, SearchActor
from workers.messages import DeviceInfo

__all__ = ["Completion", "RayFleet"]

# Importing TVM on a busy machine; after it, what is missing says so itself.
_START_SECONDS = 300.0
_STOP_SECONDS = 5.0
_CONNECT_SECONDS = 10.0
# Calls an actor may have under way: pausing must not queue behind searches.
_CONCURRENCY = 64


@contextlib.contextmanager
def _sigterm_left_alone() -> Iterator[None]:
    """Keep Ray from taking SIGTERM for itself: it would end this process where it stands.

    Ray offers no setting for it; where a later Ray has no such function, it takes the signal.
    """
    utils: Any = importlib.import_module("ray._private.utils")
    original = getattr(utils, "set_sigterm_handler", None)
    utils.set_sigterm_handler = lambda _: None
    try:
        yield
    finally:
        if original is not None:
            utils.set_sigterm_handler = original


@dataclass(frozen=True)
class Completion:
    """A piece of work that ended: its tag, and its value or its error.

    Attributes
    ----------
    lost : bool
        The worker was at fault, not the work.
    """

    tag: Any
    value: Any = None
    error: TunefleetError | None = None
    lost: bool = False


@dataclass
class _Node:
    id: str
    slots: int
    search: Any
    build: Any
    busy: int = 0


@dataclass
class _Pending:
    tag: Any
    node: _Node | None
    extra: Any = None  # a second result, handed on without being fetched


@dataclass
class RayFleet:
    """Actors on a Ray cluster, and what they have under way.

    Parameters
    ----------
    engine : str
    devices : tuple of DeviceInfo
        Classes to measure on.
    address : str, optional
        Ray cluster to join; by default one is started on this machine, and stopped with the fleet.
    slots : int, optional
        Searches and builds at once on a cluster of one's own; by default as many as there are cores.
    """

    engine: str
    devices: tuple[DeviceInfo, ...]
    address: str | None = None
    slots: int | None = None
    _nodes: list[_Node] = field(default_factory=list)
    _measure: Any = None
    _measure_node: str = ""
    _pending: dict[Any, _Pending] = field(default_factory=dict)
    _sessions: dict[str, _Node] = field(default_factory=dict)
    _started_ray: bool = False
    _paused: bool = False
    versions: dict[str, str] = field(default_factory=dict)

    # -- life

    def join(self, say: Callable[[str], None] = lambda _: None) -> None:
        """Start or join Ray. It must not be broken off: processes of half a Ray are known to nobody.

        Raises
        ------
        UsageError
            Where no cluster answers at the address.
        """
        say("starting Ray" if self.address is None else f"joining Ray at {self.address}")
        with _sigterm_left_alone():
            self._join()

    def start(
        self, say: Callable[[str], None] = lambda _: None, stopped: Callable[[], bool] = lambda: False
    ) -> bool:
        """Have all actors warm. Returns early, and False, where `stopped` says so.

        Ray's own waits must not be broken off by an exception out of a signal handler: it ends up inside what
        Ray was just doing, and comes out as another.

        Raises
        ------
        EngineError
            Where the engine can't start on a node, with what it said.
        """
        say("warming up the search, build and measure actors")
        nodes = [n for n in ray.nodes() if n["Alive"] and n["Resources"].get("CPU", 0) >= 1]
        here = ray.get_runtime_context().get_node_id()
        self._measure_node = here
        for node in nodes:
            self._nodes.append(
                _Node(
                    node["NodeID"],
                    int(node["Resources"]["CPU"]),
                    self._actor(SearchActor, node["NodeID"], self.engine),
                    self._actor(BuildActor, node["NodeID"], self.engine),
                )
            )
        self._measure = self._actor(MeasureActor, here, self.engine, self.devices)
        actors = [a for node in self._nodes for a in (node.search, node.build)] + [self._measure]
        started = self._get([actor.start.remote() for actor in actors], stopped)
        if started is None:
            return False
        self.versions = started[-1][2]
        return self._get([self._measure.serve.remote()], stopped) is not None

    def stop(self) -> None:
        """End the actors with all they started, and Ray where this fleet started it."""
        if not ray.is_initialized():
            return
        actors = [a for node in self._nodes for a in (node.search, node.build)]
        actors += [self._measure] if self._measure is not None else []
        with contextlib.suppress(Exception):  # whatever is gone already needs no end
            ray.wait([a.stop.remote() for a in actors], num_returns=len(actors), timeout=_STOP_SECONDS)
        for actor in actors:
            with contextlib.suppress(Exception):
                ray.kill(actor)
        self._pending.clear()
        ray.shutdown()

    # -- work

    @property
    def total_slots(self) -> int:
        """Searches and builds that run at once."""
        return sum(node.slots for node in self._nodes)

    @property
    def free_slots(self) -> int:
        """Of them, those with nothing to do."""
        return sum(max(0, node.slots - node.busy) for node in self._nodes)

    @property
    def shares_cores(self) -> bool:
        """Whether a device's cores are also searched and built on, so that they have to take turns."""
        kinds = {device.kind for device in self.devices}
        return "cpu" in kinds and any(node.id == self._measure_node for node in self._nodes)

    @property
    def in_flight(self) -> int:
        """Pieces of work under way."""
        return len(self._pending)

    def search(self, tag: Any, session: str, method: str, *args: Any) -> None:
        """Call a search's actor; a session stays where it was opened."""
        node = self._sessions.get(session)
        if node is None or method == "open":
            node = self._sessions[session] = self._idlest()
        self._start(tag, getattr(node.search, method).remote(session, *args), node)

    def train(self, tag: Any, samples: Any, timeout_s: float) -> None:
        """Train the cost model on some node."""
        node = self._idlest()
        self._start(tag, node.search.train.remote(samples, timeout_s), node)

    def close(self, session: str) -> None:
        """End a search."""
        node = self._sessions.pop(session, None)
        if node is not None:
            node.search.close.remote(session)

    def build(self, tag: Any, *args: Any) -> None:
        """Build a candidate. The completion's value is the result and a reference to the artifact."""
        node = self._idlest()
        result, artifact = node.build.build.options(num_returns=2).remote(*args)
        self._start(tag, result, node, artifact)

    def measure(self, tag: Any, artifact: Any, *args: Any) -> None:
        """Measure an artifact, given by its reference."""
        self._start(tag, self._measure.measure.remote(artifact, *args), None)

    def wait(self, timeout_s: float) -> list[Completion]:
        """Return what ended, after `timeout_s` seconds at most."""
        if not self._pending:
            return []
        ready, _ = ray.wait(list(self._pending), num_returns=1, timeout=timeout_s)
        if ready:
            more, _ = ray.wait(list(self._pending), num_returns=len(self._pending), timeout=0)
            ready = more or ready
        return [self._completion(ref) for ref in ready]

    def pause(self) -> None:
        """Have searches and builds on the measuring node stand still."""
        if not self._paused:
            self._paused = True
            self._tell("pause")

    def resume(self) -> None:
        """Let them go on."""
        if self._paused:
            self._paused = False
            self._tell("resume")

    # -- helpers

    def _join(self) -> None:
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
            if self.address is not None:
                _answers(self.address)
                ray.init(address=self.address, **common)
            else:
                ray.init(address="local", num_cpus=self.slots, include_dashboard=False, **common)
                self._started_ray = True
        except (ConnectionError, RuntimeError, ValueError) as error:
            first = str(error).strip().splitlines()[0]
            raise UsageError(f"Ray can't be reached at {self.address or 'this machine'}: {first}") from None

    def _actor(self, actor: type[Any], node: str, *args: Any) -> Any:
        return (
            ray.remote(actor)
            .options(
                # The coordinator counts cores itself; an actor only has to be on its node.
                num_cpus=0,
                max_concurrency=_CONCURRENCY,
                max_restarts=-1,
                scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
            )
            .remote(*args)
        )

    def _idlest(self) -> _Node:
        return max(self._nodes, key=lambda node: node.slots - node.busy)

    def _start(self, tag: Any, ref: Any, node: _Node | None, extra: Any = None) -> None:
        if node is not None:
            node.busy += 1
        self._pending[ref] = _Pending(tag, node, extra)

    def _completion(self, ref: Any) -> Completion:
        pending = self._pending.pop(ref)
        if pending.node is not None:
            pending.node.busy -= 1
        try:
            value = ray.get(ref)
        except ray.exceptions.RayTaskError as error:
            cause = error.cause if isinstance(error.cause, Exception) else error
            known = cause if isinstance(cause, TunefleetError) else TunefleetError(str(cause))
            return Completion(pending.tag, error=known, lost=isinstance(cause, EngineLostError))
        except ray.exceptions.RayError as error:
            first = str(error).strip().splitlines()[0]
            return Completion(pending.tag, error=EngineLostError(f"a worker died: {first}"), lost=True)
        return Completion(pending.tag, (value, pending.extra) if pending.extra is not None else value)

    def _tell(self, method: str) -> None:
        actors = [a for n in self._nodes if n.id == self._measure_node for a in (n.search, n.build)]
        with contextlib.suppress(ray.exceptions.RayError):  # one that died stands still already
            ray.get([getattr(actor, method).remote() for actor in actors], timeout=_STOP_SECONDS)

    def _get(self, refs: list[Any], stopped: Callable[[], bool]) -> list[Any] | None:
        until = time.monotonic() + _START_SECONDS
        waiting = refs
        try:
            while waiting:
                ready, waiting = ray.wait(waiting, num_returns=len(waiting), timeout=0.2)
                ray.get(ready)  # the first that failed says so, and the others need not be waited for
                if stopped():
                    return None
                if time.monotonic() > until:
                    raise TunefleetError(
                        f"the workers did not start within {_START_SECONDS:.0f} s; "
                        "`tunefleet doctor` looks for the reason"
                    )
            values: list[Any] = ray.get(refs)
        except ray.exceptions.RayTaskError as error:
            raise (
                error.cause if isinstance(error.cause, TunefleetError) else TunefleetError(str(error))
            ) from None
        except ray.exceptions.RayError as error:
            raise TunefleetError(f"a worker died while it started: {str(error).splitlines()[0]}") from None
        return values


def _answers(address: str) -> None:
    """Find out in seconds what takes Ray minutes: nobody listens at HOST:PORT."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit():
        return  # a name that Ray understands
    try:
        socket.create_connection((host.removeprefix("ray://"), int(port)), _CONNECT_SECONDS).close()
    except OSError as error:
        raise UsageError(f"Ray can't be reached at {address}: {error.strerror or error}") from None
