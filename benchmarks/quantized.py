"""Networks in bytes against their float form, onnxruntime's and OpenVINO's: same threads, in turns.

Each model is quantized by onnxruntime (QDQ, a scale for each channel of the weights, random data; of one
without convolutions the products with weights, as transformers are), both forms are tuned into the store
given, and then all run in turns, each in a process of its own::

    pip install '.[openvino]'
    python -m benchmarks.quantized resnet18.onnx mobilenet_v2.onnx --time 4m --db quantized.db

Where the CPU has an instruction for bfloat16, a form with layers of these is a third one; OpenVINO computes
with them by itself there. ``--untuned`` compares what is there without a trial. ``--peak`` prints what the
machine can do at most: loops of its instructions that read and write registers alone.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import os
import pathlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import onnx

from benchmarks.contenders import Run, in_turns, library, onnxruntime, openvino, openvino_float32
from benchmarks.latency import tuned
from orchestrator import ModelRequest, Storage, Toolbox, build_model
from orchestrator.cli.kit.parsing import parse_duration
from workers.enginekit.machine import usable_cores
from workers.messages import Precision, PrecisionRequest, TensorSpec
from workers.models import prepare, random_inputs

_SAMPLES = 8
_STEPS, _SUMS = 100_000, 12


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
    kinds = {node.op_type for node in onnx.load(ready, load_external_data=False).graph.node}
    quantize_static(
        str(ready),
        str(out),
        Random(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        # A mask's infinity has no scale, and softmax and layer norm are computed in floats.
        op_types_to_quantize=None if "Conv" in kinds else ["MatMul", "Gemm"],
        extra_options={} if "Conv" in kinds else {"MatMulConstBOnly": True},
    )
    return str(out)


def compared(
    model: str, store: Storage, seconds: float, folder: pathlib.Path, *, float32: bool
) -> dict[str, float]:
    """Tune all forms of a model, float32 if it is asked for, and return what each contender takes."""
    prepared = prepare(model)
    files = {"float32": model, "int8": quantized(model, prepared.inputs, folder)}
    with Toolbox("metaschedule") as tools:
        if tools.resolve_target("auto").bfloats:
            files["bf16"] = str(folder / f"{pathlib.Path(model).stem}.bf16.onnx")
            # How far random weights are off says nothing.
            tools.to_precision(PrecisionRequest(model, files["bf16"], Precision.BF16, max_error=0.99))
    contenders: dict[str, tuple[Callable[..., Run], str]] = {}
    for form, path in files.items():
        if seconds and (float32 or form != "float32"):
            tuned(store, path, {"time_s": seconds})
        out = folder / f"{form}.so"
        with Toolbox("metaschedule") as tools:
            build_model(store, tools, ModelRequest(path=path), out)
        contenders[f"{form}"] = (library, str(out))
        # Others have no such file: OpenVINO gets there from float32 by itself.
        if form != "bf16":
            contenders[f"onnxruntime {form}"] = (onnxruntime, path)
        if importlib.util.find_spec("openvino"):
            load = openvino_float32 if form == "float32" else openvino
            contenders[f"OpenVINO {form}"] = (load, path if form != "bf16" else model)
    return in_turns(contenders, random_inputs(prepared.inputs, 1))


def peaks_gops() -> Iterator[tuple[str, float]]:
    """Yield this machine's instructions, each with the operations a second of a loop of it, in 1e9."""
    # It is read when TVM is loaded; by itself it takes half of the cores.
    os.environ.setdefault("TVM_NUM_THREADS", str(usable_cores()))
    from workers.engines.metaschedule.dot_products import bfloat_products_of, dot_products_of
    from workers.engines.metaschedule.targets import parse_target, resolve_target

    target = parse_target(resolve_target("auto").target)
    for dots in (dot_products_of(target), bfloat_products_of(target)):
        for dot in [dot for dot in dots if not dot.of_tiles][:1]:
            yield dot.instruction, _gops(dot, target)


def _gops(dot: Any, target: Any) -> float:
    import tvm
    from tvm.script import tirx as T  # noqa: N812  (as TVMScript is written)

    from workers.engines.metaschedule.dot_products import in_language

    cores, lanes, sums = usable_cores(), dot.lanes, dot.sums

    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def main(a: T.handle) -> None:
        T.func_attr({"global_symbol": "main", "tirx.noalias": True})
        out = T.match_buffer(a, (cores, _SUMS * lanes), sums)
        for core in T.parallel(cores):
            with T.sblock("loop"):
                held = T.sblock_alloc_buffer((_SUMS * lanes,), sums, scope="local")
                for i in T.unroll(_SUMS):
                    held[T.ramp(i * lanes, 1, lanes)] = T.broadcast(T.cast(i + 1, sums), lanes)
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

    kernel = tvm.compile(in_language(main, dot.language), target).mod
    place = tvm.runtime.tensor(np.zeros((cores, _SUMS * lanes), sums))
    times = kernel.time_evaluator("main", tvm.cpu(), number=3, repeat=10)(place).results
    return float(2 * cores * _STEPS * _SUMS * lanes * dot.factor / min(times) / 1e9)


def _lines(found: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    names = list(dict.fromkeys(name for times in found.values() for name in times))
    shown = " | ".join(f"{name} ms" for name in names)
    yield f"| model | {shown} | int8 / onnxruntime's | / OpenVINO's | / float32 |"
    yield "|---" * (len(names) + 4) + "|"
    for model, times in found.items():
        each = " | ".join(f"{times[name] * 1e3:.2f}" if name in times else "-" for name in names)
        yield (
            f"| {model} | {each} | {times['int8'] / times['onnxruntime int8']:.2f} | "
            f"{times['int8'] / times.get('OpenVINO int8', math.nan):.2f} | "
            f"{times['int8'] / times['float32']:.2f} |"
        )


def main() -> None:
    """Quantize, tune, compare, print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("models", nargs="*", help="files of float32 models")
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--time", type=parse_duration, default=240.0, help="for each form")
    budget.add_argument("--untuned", action="store_const", dest="time", const=0.0, help="without a campaign")
    parser.add_argument(
        "--float32-as-it-is", action="store_true", help="tune the other forms, float32 being tuned there"
    )
    parser.add_argument("--db", default="quantized.db")
    parser.add_argument("--peak", action="store_true", help="what the machine's instructions do at most")
    options = parser.parse_args()
    if options.peak:
        peaks = list(peaks_gops())
        if not peaks:
            raise SystemExit("this CPU has no instruction for integers")
        for instruction, gops in peaks:
            print(f"{instruction}: {gops:.0f} GOP/s")
    found: dict[str, dict[str, float]] = {}
    with Storage.open(options.db) as store, tempfile.TemporaryDirectory(prefix="tunefleet-") as folder:
        for model in options.models:
            own = pathlib.Path(folder) / str(len(found))
            own.mkdir()
            onnx.checker.check_model(model)
            found[pathlib.Path(model).stem] = compared(
                model, store, options.time, own, float32=not options.float32_as_it_is
            )
    if found:
        print("\n".join(_lines(found)))


if __name__ == "__main__":
    main()
