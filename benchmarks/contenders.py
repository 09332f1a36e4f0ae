"""Libraries and frameworks that run a model side by side: in turns, each in a process of its own."""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from workers.enginekit.machine import usable_cores

__all__ = ["Run", "in_turns", "library", "onnxruntime", "openvino", "openvino_float32", "turns_of"]

_ROUNDS, _MOST, _SECONDS, _APART = 7, 14, 0.5, 0.2
# A round is quiet in which each took no more than this above its least, in their mean.
_QUIET = 0.04

Run = Callable[[], object]


def library(path: str, inputs: Mapping[str, np.ndarray]) -> Run:
    """Load what ``build`` wrote."""
    import tvm
    from tvm.runtime.vm import VirtualMachine

    machine = VirtualMachine(tvm.runtime.load_module(path), tvm.cpu())
    values = [tvm.runtime.tensor(value) for value in inputs.values()]
    return lambda: machine["main"](*values)


def onnxruntime(path: str, inputs: Mapping[str, np.ndarray]) -> Run:
    """Load a model into onnxruntime, fully optimized."""
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = usable_cores()
    options.log_severity_level = 3
    session = InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, dict(inputs))


def openvino(path: str, inputs: Mapping[str, np.ndarray]) -> Run:
    """Load a model into OpenVINO as it comes: with float32 files in bfloat16, where the CPU has it."""
    return _openvino(path, inputs, {})


def openvino_float32(path: str, inputs: Mapping[str, np.ndarray]) -> Run:
    """Load a model into OpenVINO, and have it computed in float32."""
    return _openvino(path, inputs, {"INFERENCE_PRECISION_HINT": "f32"})


def _openvino(path: str, inputs: Mapping[str, np.ndarray], settings: dict[str, Any]) -> Run:
    from openvino import Core

    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": usable_cores(), **settings}
    compiled = Core().compile_model(path, "CPU", settings)
    request = compiled.create_infer_request()
    return lambda: request.infer(dict(inputs))


def _serve(
    pipe: Connection, load: Callable[..., Run], path: str, inputs: dict[str, np.ndarray], threads: int | None
) -> None:
    if threads is not None:
        os.environ["TVM_NUM_THREADS"] = str(threads)
    run = load(path, inputs)
    for _ in range(3):
        run()
    pipe.send(None)
    while pipe.recv():
        took: list[float] = []
        until = time.perf_counter() + _SECONDS
        while time.perf_counter() < until or not took:
            began = time.perf_counter()
            run()
            took.append(time.perf_counter() - began)
        pipe.send(statistics.median(took))


def in_turns(
    contenders: Mapping[str, tuple[Callable[..., Run], str]], inputs: Any, *, without_broken: bool = False
) -> dict[str, float]:
    """Return the median of each contender's turns in the quietest rounds, in seconds; see :func:`turns_of`.

    Who fills a core's units loses more than others in a slow minute, in which another machine uses them too.
    So there are rounds until seven of them are quiet, or twice as many.
    """
    found = turns_of(contenders, inputs, _ROUNDS, usable_cores(), without_broken=without_broken, most=_MOST)
    quiet = sorted(range(len(next(iter(found.values())))), key=_slowness(found).__getitem__)[:_ROUNDS]
    return {name: statistics.median(times[one] for one in quiet) for name, times in found.items()}


def _slowness(found: Mapping[str, Sequence[float]]) -> list[float]:
    """Return what each round took of the least that each contender ever did, in the mean of them all."""
    parts = [[one / min(times) for one in times] for times in found.values()]
    return [statistics.fmean(of_round) for of_round in zip(*parts, strict=True)]


def turns_of(
    contenders: Mapping[str, tuple[Callable[..., Run], str]],
    inputs: Any,
    rounds: int,
    threads: int | None,
    *,
    without_broken: bool = False,
    most: int = 0,
) -> dict[str, list[float]]:
    """Return the medians of each contender's turns, in seconds.

    Parameters
    ----------
    rounds : int
        So many; or, with `most`, up to that many, until so many are quiet.
    threads : int or None
        TVM's; None where it is to find that out as it does in any program.
    without_broken : bool
        Leave out what can't be run, which says so itself; else that is the end.
    """
    spawn = multiprocessing.get_context("spawn")
    pipes: dict[str, Connection] = {}
    for name, (load, path) in contenders.items():
        pipes[name], theirs = spawn.Pipe()
        spawn.Process(target=_serve, args=(theirs, load, path, dict(inputs), threads), daemon=True).start()
        theirs.close()
    for name in list(pipes):
        try:
            pipes[name].recv()
        except EOFError:
            if not without_broken:
                raise SystemExit(f"{name} can't be run: see above") from None
            del pipes[name]
    found: dict[str, list[float]] = {name: [] for name in pipes}
    for done in range(1, max(rounds, most) + 1):
        for name, pipe in pipes.items():
            time.sleep(_APART)  # threads that wait for work spin a while
            pipe.send(True)
            found[name].append(pipe.recv())
        if done >= rounds and sum(part <= 1 + _QUIET for part in _slowness(found)) >= rounds:
            break
    for pipe in pipes.values():
        pipe.send(False)
    return found
