"""onnxruntime on the CPU: the values and the latency that a compiled model is held against."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy.typing as npt
import onnx
import onnxruntime

from workers.enginekit.alternating import Alternating
from workers.enginekit.settling import settled_times
from workers.errors import ModelError
from workers.messages import Baton, ModelTiming
from workers.models import _mapped
from workers.models._unsaturated import MARKS, unsaturated

__all__ = [
    "OutOfTimeError",
    "first_line",
    "loads",
    "open_session",
    "run_reference",
    "run_session",
    "time_reference",
    "with_weights",
    "without_kernel",
]

# onnxruntime's severities run from 0 to 4; below "fatal" it also reports by exception, which is where it is
# read here.
_SILENT = 4
# How it says that there is no kernel for an operator, or for a form of it.
_NO_KERNEL = (
    "NOT_IMPLEMENTED",
    "not implemented for CPU",
    "cpu kernel is not supported",
    "Attention CPU kernel",
)
# As they are named in the model's bytes. What is written in floats between numbers in steps is its own
# definition; optimized, it would be computed by kernels of integers, and weights of 4 bits with activations
# of 8.
_QUANTIZED = (b"QuantizeLinear", b"DequantizeLinear", *MARKS)


def first_line(error: Exception) -> str:
    """The part of an onnxruntime error that a person can use."""
    lines = str(error).strip().splitlines()
    text = lines[0] if lines else type(error).__name__
    return text.removeprefix("[ONNXRuntimeError] : ")


def with_weights(options: Any, model: onnx.ModelProto) -> list[Any]:
    """Have a session take the tensors of a model that name their place from there, as they are mapped.

    Returns
    -------
    list
        The tensors, to be kept as long as the session.
    """
    tensors = list(_mapped.outside(model))
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(_mapped.array(tensor)) for tensor in tensors]
    if values:
        options.add_external_initializers([tensor.name for tensor in tensors], values)
    return values


def open_session(
    model: bytes | onnx.ModelProto,
    threads: int,
    *,
    optimize: bool = True,
    exact: bool = False,
    profile: str = "",
) -> Any:
    """An inference session on the CPU that runs one operator after the other.

    Parameters
    ----------
    model : bytes or onnx.ModelProto
        Large tensors may name their place.
    exact : bool, optional
        Compute a quantized model as it is written, see :func:`.unsaturated`; it is not optimized then.
    profile : str, optional
        How the name of the file begins that the session's profiler writes.

    Raises
    ------
    ModelError
        onnxruntime refuses the model; the text is its reason alone.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _SILENT
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, profile
    data = model if isinstance(model, bytes) else model.SerializeToString()
    if exact and any(name in data for name in _QUANTIZED):
        optimize = False
        model = unsaturated(onnx.load_from_string(data) if isinstance(model, bytes) else model)
        data = model.SerializeToString()
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        # A copy of every weight in the order in which it is read: it pays where a model runs many times.
        options.add_session_config_entry("session.disable_prepacking", "1")
    try:
        parsed = onnx.load_from_string(model) if isinstance(model, bytes) else model
        kept = with_weights(options, parsed)
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    # Its exceptions share no base class below Exception, and protobuf has one of its own.
    except Exception as error:
        raise ModelError(f"onnxruntime can't load the model: {first_line(error)}") from None
    session.weights_kept_for_it = kept
    return session


def loads(model: onnx.ModelProto) -> bool:
    """Say whether onnxruntime takes a model as it is."""
    try:
        open_session(model, 1, optimize=False)
    except ModelError:
        return False
    return True


def without_kernel(error: ModelError) -> bool:
    """Say whether onnxruntime refused a model for having no kernel on CPUs for one of its operators."""
    return any(words in str(error) for words in _NO_KERNEL)


class OutOfTimeError(Exception):
    """A run that was ended because it took too long."""


def run_session(
    session: Any, inputs: Mapping[str, npt.NDArray[Any]], limit_s: float | None = None
) -> list[npt.NDArray[Any]]:
    """Run an open session once.

    Parameters
    ----------
    limit_s : float, optional
        Seconds after which onnxruntime is told to end the run; it looks between two nodes, those in the body
        of a loop among them.

    Raises
    ------
    ModelError
        onnxruntime can't run the model on these inputs.
    OutOfTimeError
        The limit was reached.
    """
    options, late = onnxruntime.RunOptions(), threading.Event()

    def end() -> None:
        late.set()
        options.terminate = True

    timer = threading.Timer(limit_s, end) if limit_s is not None else None
    if timer is not None:
        timer.daemon = True
        timer.start()
    try:
        return list(session.run(None, dict(inputs), options))
    except Exception as error:
        if late.is_set():
            raise OutOfTimeError from None
        raise ModelError(f"onnxruntime can't run the model: {first_line(error)}") from None
    finally:
        if timer is not None:
            timer.cancel()


def run_reference(
    onnx: bytes, inputs: Mapping[str, npt.NDArray[Any]], threads: int, *, optimize: bool = True
) -> list[npt.NDArray[Any]]:
    """Run a model once with onnxruntime.

    Parameters
    ----------
    onnx : bytes
        The serialized model.
    inputs : mapping of str to ndarray
    threads : int
        Threads within an operator.
    optimize : bool, optional
        Let onnxruntime rewrite the graph first. Without, it runs the operators as they are written.

    Returns
    -------
    list of ndarray
        In the order of the model's outputs.

    Raises
    ------
    ModelError
        onnxruntime can't load the model or run it on these inputs.
    """
    return run_session(open_session(onnx, threads, optimize=optimize, exact=True), inputs)


def time_reference(
    onnx: bytes,
    inputs: Mapping[str, npt.NDArray[Any]],
    threads: int,
    repeats: int,
    *,
    settle_s: float = 1.0,
    least_s: float = 0.5,
    baton: Baton | None = None,
) -> ModelTiming:
    """Time a model with onnxruntime, fully optimized.

    Parameters
    ----------
    onnx : bytes
    inputs : mapping of str to ndarray
    threads : int
    repeats : int
        Times taken, at least.
    settle_s, least_s : float, optional
        Seconds of warming up at most, and of inferences that are timed at least, so that a short model is not
        judged by a moment; see :func:`workers.enginekit.settling.settled_times`.
    baton : Baton, optional
        Another process is timed in turns with it; see :mod:`workers.enginekit.alternating`.

    Returns
    -------
    ModelTiming
        Seconds of one inference, one value a repeat; of a very short one each is the mean of several.

    Raises
    ------
    ModelError
        onnxruntime can't load the model or run it on these inputs.
    """
    with Alternating(baton) as turns:
        session = open_session(onnx, threads)
        run = turns.timed(_timer(session, inputs))
        times, warm_up = settled_times(run, 0.0, repeats=repeats, settle_s=settle_s, least_s=least_s)
    return ModelTiming(times, warm_up)


def _timer(session: Any, inputs: Mapping[str, npt.NDArray[Any]]) -> Callable[[int, int], list[float]]:
    def timed(count: int, number: int) -> list[float]:
        times = []
        for _ in range(count):
            began = time.perf_counter()
            for _ in range(number):
                run_session(session, inputs)
            times.append((time.perf_counter() - began) / number)
        return times

    return timed
