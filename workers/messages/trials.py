"""Workloads, candidates, and what came of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["Artifact", "BuildResult", "Candidate", "Measurement", "Record", "TrialState", "Workload"]


class TrialState(str, Enum):
    """How a trial ended. Everything but ``OK`` is a failure and carries a message."""

    OK = "ok"
    BUILD_ERROR = "build_error"
    BUILD_TIMEOUT = "build_timeout"
    RUN_ERROR = "run_error"
    RUN_TIMEOUT = "run_timeout"
    WRONG_OUTPUT = "wrong_output"
    DEVICE_LOST = "device_lost"


@dataclass(frozen=True)
class Workload:
    """The computation of a task, whatever model it came from.

    Attributes
    ----------
    hash : str
        Canonical hash: the same in every process and on every platform, whatever the weights and the names.
    engine : str
    name : str
        The engine's name of the operator, for people.
    flops : float
        Floating point operations of one call; 0 where the engine can't tell.
    module : bytes
        The engine's own serialized form. Only that engine reads it.
    """

    hash: str
    engine: str
    name: str
    flops: float
    module: bytes


@dataclass(frozen=True)
class Candidate:
    """One schedule of one workload.

    Attributes
    ----------
    hash : str
        Of ``trace``: two candidates of one workload with the same trace are the same candidate.
    trace : str
        The engine's text of the schedule: a trace as JSON, a config as JSON.
    """

    hash: str
    trace: str


@dataclass(frozen=True)
class Record:
    """A candidate and what it measured, as a search takes it for its history.

    Attributes
    ----------
    times : tuple of float
        Seconds of one call, one value a repeat; empty where the trial failed.
    """

    candidate: Candidate
    times: tuple[float, ...]
    state: TrialState = TrialState.OK


@dataclass(frozen=True)
class Measurement:
    """What came of measuring one candidate.

    Attributes
    ----------
    times : tuple of float
        Raw times in seconds, one a repeat, as measured.
    message : str
        Why it failed, or was not timed in full; empty where neither is so.
    run_s : float
        Wall-clock seconds the measurement took, session and upload included.
    """

    state: TrialState
    times: tuple[float, ...] = ()
    message: str = ""
    device: str = ""
    host: str = ""
    run_s: float = 0.0


@dataclass(frozen=True)
class Artifact:
    """A built candidate on its way to a device.

    Attributes
    ----------
    data : bytes
        The library.
    suffix : str
        Its file name's suffix, which decides how the RPC server loads it: ``.so``, or ``.tar`` to link there.
    args : str
        The arguments to allocate, as the engine wrote them.
    check : bytes
        Another library, of the same suffix, with the candidate as it takes its task's own arguments, and the
        task's kernel without a schedule: what they compute is compared before the candidate is timed. Empty
        where that isn't wanted.
    check_args : str
        Their arguments, likewise.
    """

    data: bytes
    suffix: str
    args: str
    check: bytes = b""
    check_args: str = ""


@dataclass(frozen=True)
class BuildResult:
    """How a build ended; the artifact itself travels beside it, from builder to device.

    Attributes
    ----------
    build_s : float
        Wall-clock seconds it took.
    """

    build_s: float
    state: TrialState = TrialState.OK
    message: str = ""
