"""Networks in bytes against their float form, onnxruntime's and OpenVINO's: same threads, in turns.

Each model is quantized by onnxruntime (QDQ, a scale for each channel of the weights, random data), both forms
are tuned into the store given, and then all run in turns, each in a process of its own::

    pip install '.[openvino]'
    python -m benchmarks.quantized resnet18.onnx mobilenet_v2.onnx --time 4m --db quantized.db

``--untuned`` compares what is there without a trial. ``--peak`` prints what the machine can do at most: a
loop of its instruction for integers that reads and writes registers alone.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import os
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import onnx

from benchmarks.latency import tuned
from orchestrator import ModelRequest, Storage, Toolbox, build_model
from orchestrator.cli.kit.parsing import parse_duration
from workers.enginekit.machine import usable_cores
from workers.messages import TensorSpec
from workers.models import prepare, random_inputs

_ROUNDS, _SECONDS, _APART = 7, 0.5, 0.2
_SAMPLES = 8
_STEPS, _SUMS = 100_000, 12

Run = Callable[[], object]


def quantized(model: str, inputs: tuple[TensorSpec, ...], folder: pathlib.Path) -> str:
    """Quantize a model, and return the file."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Random(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._seeds = iter(range(_SAMPLES))

        def get_next(self) -> Mapping[str, np.ndarray] | None:
            seed = next(self._seeds, None)
            return None if seed is None else random_inputs(inputs, seed)

    ready, out = folder / "ready.onnx", folder / f"{pathlib.Path(model).stem}.int8.onnx"
    quant_pre_process(model, str(ready))
    quantize_static(str(ready), str(out), Random(), quant_format=QuantFormat.QDQ, per_channel=True)
    return str(out)


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
    from openvino import Core

    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": usable_cores()}
    compiled = Core().compile_model(path, "CPU", settings)
    request = compiled.create_infer_request()
    return lambda: request.infer(list(inputs.values()))


def _serve(pipe: Connection, load: Callable[..., Run], path: str, inputs: dict[str, np.ndarray]) -> None:
    os.environ["TVM_NUM_THREADS"] = str(usable_cores())
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


def in_turns(contenders: Mapping[str, tuple[Callable[..., Run], str]], inputs: Any) -> dict[str, float]:
    """Return the median of each contender's turns, in seconds."""
    spawn = multiprocessing.get_context("spawn")
    pipes: dict[str, Connection] = {}
    for name, (load, path) in contenders.items():
        pipes[name], theirs = spawn.Pipe()
        spawn.Process(target=_serve, args=(theirs, load, path, dict(inputs)), daemon=True).start()
        theirs.close()
        pipes[name].recv()
    found: dict[str, list[float]] = {name: [] for name in pipes}
    for _ in range(_ROUNDS):
        for name, pipe in pipes.items():
            time.sleep(_APART)  # threads that wait for work spin a while
            pipe.send(True)
            found[name].append(pipe.recv())
    for pipe in pipes.values():
        pipe.send(False)
    return {name: statistics.median(times) for name, times in found.items()}


def compared(model: str, store: Storage, seconds: float, folder: pathlib.Path) -> dict[str, float]:
    """Tune both forms of a model, and return what each contender takes."""
    prepared = prepare(model)
    files = {"float32": model, "int8": quantized(model, prepared.inputs, folder)}
    contenders: dict[str, tuple[Callable[..., Run], str]] = {}
    for form, path in files.items():
        if seconds:
            tuned(store, path, {"time_s": seconds})
        out = folder / f"{form}.so"
        with Toolbox("metaschedule") as tools:
            build_model(store, tools, ModelRequest(path=path), out)
        contenders[f"{form}"] = (library, str(out))
        contenders[f"onnxruntime {form}"] = (onnxruntime, path)
        if importlib.util.find_spec("openvino"):
            contenders[f"OpenVINO {form}"] = (openvino, path)
    return in_turns(contenders, random_inputs(prepared.inputs, 1))


def peak_gops() -> tuple[str, float]:
    """Return this machine's instruction for integers, and the operations a second of a loop of it, in 1e9."""
    # It is read when TVM is loaded; by itself it takes half of the cores.
    os.environ.setdefault("TVM_NUM_THREADS", str(usable_cores()))
    import tvm
    from tvm.script import tirx as T  # noqa: N812  (as TVMScript is written)

    from workers.engines.metaschedule.dot_products import dot_products_of
    from workers.engines.metaschedule.targets import parse_target, resolve_target

    target = parse_target(resolve_target("auto").target)
    dot = next(iter(dot_products_of(target)), None)
    if dot is None:
        raise SystemExit("this CPU has no instruction for integers")
    cores, lanes = usable_cores(), dot.lanes

    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def main(a: T.handle) -> None:
        T.func_attr({"global_symbol": "main", "tirx.noalias": True})
        out = T.match_buffer(a, (cores, _SUMS * lanes), "int32")
        for core in T.parallel(cores):
            with T.sblock("loop"):
                held = T.sblock_alloc_buffer((_SUMS * lanes,), "int32", scope="local")
                for i in T.unroll(_SUMS):
                    held[T.ramp(i * lanes, 1, lanes)] = T.broadcast(i + 1, lanes)
                for _ in T.serial(_STEPS):
                    for i in T.unroll(_SUMS):
                        # Of themselves, so that no step can be left out.
                        held[T.ramp(i * lanes, 1, lanes)] = dot.added(
                            held[T.ramp(i * lanes, 1, lanes)],
                            held[T.ramp(i * lanes, 1, lanes)],
                            held[T.ramp(i * lanes, 1, lanes)],
                        )
                for i in T.unroll(_SUMS):
                    out[core, T.ramp(i * lanes, 1, lanes)] = held[T.ramp(i * lanes, 1, lanes)]

    kernel = tvm.compile(main, target).mod
    place = tvm.runtime.tensor(np.zeros((cores, _SUMS * lanes), "int32"))
    times = kernel.time_evaluator("main", tvm.cpu(), number=3, repeat=10)(place).results
    return dot.instruction, 2 * cores * _STEPS * _SUMS * lanes * dot.factor / min(times) / 1e9


def _lines(found: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    names = list(dict.fromkeys(name for times in found.values() for name in times))
    yield f"| model | {' | '.join(f'{name} ms' for name in names)} | int8 / onnxruntime's | / float32 |"
    yield "|---" * (len(names) + 3) + "|"
    for model, times in found.items():
        each = " | ".join(f"{times[name] * 1e3:.2f}" if name in times else "-" for name in names)
        yield (
            f"| {model} | {each} | {times['int8'] / times['onnxruntime int8']:.2f} | "
            f"{times['int8'] / times['float32']:.2f} |"
        )


def main() -> None:
    """Quantize, tune, compare, print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("models", nargs="*", help="files of float32 models")
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--time", type=parse_duration, default=240.0, help="for each form")
    budget.add_argument("--untuned", action="store_const", dest="time", const=0.0, help="without a campaign")
    parser.add_argument("--db", default="quantized.db")
    parser.add_argument("--peak", action="store_true", help="what the machine's instruction does at most")
    options = parser.parse_args()
    if options.peak:
        print("{}: {:.0f} GOP/s".format(*peak_gops()))
    found: dict[str, dict[str, float]] = {}
    with Storage.open(options.db) as store, tempfile.TemporaryDirectory(prefix="tunefleet-") as folder:
        for model in options.models:
            own = pathlib.Path(folder) / str(len(found))
            own.mkdir()
            onnx.checker.check_model(model)
            found[pathlib.Path(model).stem] = compared(model, store, options.time, own)
    if found:
        print("\n".join(_lines(found)))


if __name__ == "__main__":
    main()
