"""The words coordinator and workers exchange: frozen dataclasses of plain data, and nothing else.

They are pickled across Ray, and across the pipe between an actor and its engine process, which may run
another Python (3.10 or later) with another TVM. So: standard library only, and no TVM object in any field.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

__all__ = [
    "Artifact",
    "BuildResult",
    "Candidate",
    "CompiledModel",
    "DeviceInfo",
    "Endpoint",
    "EvaluatorConfig",
    "Extraction",
    "LogFormat",
    "LogLine",
    "Measurement",
    "ModelRun",
    "ModelTiming",
    "Plan",
    "PreparedModel",
    "Record",
    "SearchOptions",
    "Station",
    "TaskSpec",
    "TensorSpec",
    "Timing",
    "TrialState",
    "Workload",
    "WrittenLog",
]


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
class TensorSpec:
    """A model's input or output: every dimension fixed.

    Attributes
    ----------
    name : str
        The ONNX value's name.
    shape : tuple of int
    dtype : str
        numpy's name of the element type, such as ``float32``.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class PreparedModel:
    """An ONNX model made ready for TVM's frontend, and what was done to it.

    Attributes
    ----------
    sha256 : str
        Of the original: the model file's bytes, then those of its external data files.
    name : str
        The file's stem.
    onnx : bytes
        The prepared model, weights inside, all input dimensions fixed.
    inputs, outputs : tuple of TensorSpec
    changes : tuple of str
        One sentence for every change made to the original, for people.
    layout : str
        Which the engine is to give the activations; ``auto`` leaves it to the engine.
    """

    sha256: str
    name: str
    onnx: bytes
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    changes: tuple[str, ...] = ()
    layout: str = "auto"


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
class TaskSpec:
    """A workload as it stands in one model: how often it is called there."""

    name: str
    weight: int
    workload: Workload


@dataclass(frozen=True)
class Extraction:
    """The tasks of one model for one target.

    Attributes
    ----------
    tasks : tuple of TaskSpec
        In the order of the model, one for each distinct workload.
    engine_version : str
        Tasks of another version of the engine are not reused.
    """

    tasks: tuple[TaskSpec, ...]
    engine_version: str


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
class LogFormat:
    """What an engine's own log of measurements consists of.

    Attributes
    ----------
    files : tuple of str
        Names of its files, where it is a folder; empty where it is a single file of any name.
    beside : tuple of str
        What :meth:`~workers.engines.interface.Engine.write_log` may add for who uses the log.
    layout : str
        In which the engine's own tools tune a model, as :class:`PreparedModel` has it.
    """

    files: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    layout: str = "auto"


@dataclass(frozen=True)
class WrittenLog:
    """A log as an engine wrote it.

    Attributes
    ----------
    files : dict of str to bytes
        By name; a log of a single file has the name ``""``.
    left_out : dict of (str, str) to str
        Why a record is not in it, by the hashes of its workload and its candidate.
    """

    files: dict[str, bytes]
    left_out: dict[tuple[str, str], str] = field(default_factory=dict)


@dataclass(frozen=True)
class LogLine:
    """One line of an engine's own log of measurements: what it says, or why it can't be used.

    Attributes
    ----------
    number : int
        Of the line in its file, from 1.
    workload, record : Workload and Record, or None
        What was measured; None where the line can't be used.
    message : str
        Why the candidate failed, where it did.
    error : str
        What is wrong with the line; empty where it can be used.
    target, kind : str
        The target as the line has it, and its device type as in :class:`DeviceInfo`; empty as far as the line
        couldn't be read. Where the engine compared the target by itself, the type is empty too.
    tvm : str
        Version of the TVM that wrote the line; empty where it doesn't say.
    file : str
        Which file of the log it is in; empty where there is one only.
    note : str
        What is to be known about a line that can be used.
    """

    number: int
    workload: Workload | None = None
    record: Record | None = None
    message: str = ""
    error: str = ""
    target: str = ""
    kind: str = ""
    tvm: str = ""
    file: str = ""
    note: str = ""


@dataclass(frozen=True)
class Plan:
    """Which records a model is compiled with.

    Attributes
    ----------
    name : str
        One or two words for people.
    records : dict of str to Record
        By the hash of the workload; those that are not there are compiled untuned.
    sequence : tuple of (Workload, Record)
        For an engine that chooses for each node of the model by itself: a record for each of those nodes, in
        the engine's order of them. They go before ``records``.
    """

    name: str
    records: dict[str, Record] = field(default_factory=dict)
    sequence: tuple[tuple[Workload, Record], ...] = ()


@dataclass(frozen=True)
class EvaluatorConfig:
    """How a candidate is timed, in the words of TVM's ``time_evaluator``.

    Attributes
    ----------
    number : int
        Calls averaged into one time.
    repeat : int
        Times taken.
    min_repeat_ms : int
        ``number`` is raised until one repeat takes this long (milliseconds).
    timeout_s : float
        A measurement that takes longer is killed (seconds).
    """

    number: int = 3
    repeat: int = 1
    min_repeat_ms: int = 100
    timeout_s: float = 20.0


@dataclass(frozen=True)
class Timing:
    """What came of timing a candidate.

    Attributes
    ----------
    times : tuple of float
        Seconds of one call, one value a repeat.
    stopped : bool
        It was so far behind that it was not timed in full: the times are those of the first short looks.
    """

    times: tuple[float, ...]
    stopped: bool = False


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
class CompiledModel:
    """A deployable library and how much of it is tuned.

    Attributes
    ----------
    library : bytes
        The shared library.
    params : bytes or None
        The weights as an ``.npz`` archive, where they were asked for beside the library.
    tuned : tuple of str
        Hashes of the workloads for which a record was applied.
    untuned : tuple of str
        Hashes of those for which none was found.
    """

    library: bytes
    params: bytes | None
    tuned: tuple[str, ...]
    untuned: tuple[str, ...]


@dataclass(frozen=True)
class ModelTiming:
    """Latency of a whole model, in seconds of one inference, one value a repeat."""

    times: tuple[float, ...]


@dataclass(frozen=True)
class ModelRun:
    """One run of a compiled model: its outputs (numpy arrays) and its times (seconds, one a repeat)."""

    outputs: tuple[Any, ...]
    times: tuple[float, ...]


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
    """

    data: bytes
    suffix: str
    args: str


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


@dataclass(frozen=True)
class Station:
    """A device as it can be asked for: an RPC server that a tracker knows under a key.

    Attributes
    ----------
    key : str
        Under which the server is registered.
    device : DeviceInfo
    index : int
        Which of a machine's devices of this class it is: the set of cores, the GPU.
    tracker : tuple of (str, int) or None
        Where the server registered itself, a board for example; None where the measure actor starts it.
    """

    key: str
    device: DeviceInfo
    index: int = 0
    tracker: tuple[str, int] | None = None


@dataclass(frozen=True)
class Endpoint:
    """Where a measurement goes: a key at a tracker.

    Attributes
    ----------
    wait_s : float
        How long to wait for a free device (seconds).
    """

    host: str
    port: int
    key: str
    kind: str
    wait_s: float = 60.0


@dataclass(frozen=True)
class SearchOptions:
    """How a search goes about it.

    Attributes
    ----------
    seed : int
        Positive; each task derives its own from it.
    population, generations : int
        Of the evolutionary search: candidates it holds for a round of 16, in proportion for other rounds, and
        how often it mutates them.
    exclude : frozenset of str
        Hashes of candidates that were tried before and need no measuring again.
    tuner, loss : str
        Of an engine that has several; empty for its own choice.
    plan_size : int
        Candidates such a tuner chooses at once, from one state of its cost model; 0 for its own choice.
    """

    seed: int = 1
    population: int = 64
    generations: int = 3
    exclude: frozenset[str] = frozenset()
    tuner: str = ""
    loss: str = ""
    plan_size: int = 0


@dataclass(frozen=True)
class DeviceInfo:
    """A device that can measure, and what makes its run times comparable with another's.

    Attributes
    ----------
    target : str
        The engine's canonical text of the target.
    device_class : str
        Target and device model in one readable word; run times compare within it and nowhere else.
    model : str
        Name of the CPU or GPU.
    cores : int
        Cores a kernel may use; 0 for a GPU.
    kind : str
        TVM's device type: ``cpu``, ``cuda``.
    unfit : str
        Why this machine can't run code for the target; empty where it can.
    """

    target: str
    device_class: str
    model: str
    cores: int
    kind: str
    unfit: str = ""
    versions: dict[str, str] = field(default_factory=dict)
