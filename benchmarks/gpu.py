"""Models tuned for an NVIDIA GPU beside onnxruntime's CUDA provider and torch: in turns, outputs compared.

For a machine with a GPU, its driver, and torch with torchvision and transformers, of whose architectures
:mod:`benchmarks.full_size` makes the models (random weights), each where it is run::

    python -m benchmarks.gpu --time 4m --work gpu resnet18 resnet50:fp16 bert_base:fp16

Each contender has its inputs on the GPU, runs in a process of its own, and is waited for. torch runs the
module that the file was exported from. ``--onnxruntime DIR`` says where onnxruntime-gpu is, unpacked: it
can't be installed beside the onnxruntime that gives the outputs. What is in the folder isn't done again, so
that a broken run goes on where it was; with ``--beside`` nothing is tuned.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmarks.contenders import Run, in_turns
from benchmarks.latency import tuned
from orchestrator import ModelRequest, Storage, Toolbox, build_model
from orchestrator.cli.kit.parsing import parse_duration
from orchestrator.conversion import PrecisionSettings, to_precision
from workers.messages import Precision
from workers.models import prepare, random_inputs

_EVERY_SECONDS = 0.25
_ONNXRUNTIME = "TUNEFLEET_BENCH_ONNXRUNTIME"


def cuda_library(path: str, inputs: Mapping[str, np.ndarray]) -> Run:
    """Load what ``build`` wrote for a GPU."""
    from workers.enginekit.cuda import has_runtime, without_torch

    has_runtime()
    with without_torch():
        import tvm
    from tvm.runtime.vm import VirtualMachine

    device = tvm.cuda(0)
    machine = VirtualMachine(tvm.runtime.load_module(path), device)
    values = [tvm.runtime.tensor(value, device) for value in inputs.values()]

    def run() -> None:
        machine["main"](*values)
        device.sync()

    return run


def onnxruntime_cuda(path: str, inputs: Mapping[str, np.ndarray]) -> Run:
    """Load a model into onnxruntime's CUDA provider."""
    return _onnxruntime(path, inputs, {})


def onnxruntime_graph(path: str, inputs: Mapping[str, np.ndarray]) -> Run:
    """Load it there, and have it run as one CUDA graph."""
    return _onnxruntime(path, inputs, {"enable_cuda_graph": "1"})


def _onnxruntime(path: str, inputs: Mapping[str, np.ndarray], settings: dict[str, str]) -> Run:
    sys.path.insert(0, os.environ[_ONNXRUNTIME])
    import onnxruntime

    onnxruntime.preload_dlls()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        path, options, providers=[("CUDAExecutionProvider", settings), "CPUExecutionProvider"]
    )
    if session.get_providers()[0] != "CUDAExecutionProvider":
        raise SystemExit("onnxruntime's CUDA provider doesn't load here")
    binding = session.io_binding()
    for name, value in inputs.items():
        binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(value, "cuda", 0))
    session.run_with_iobinding(_bound(session, binding, onnxruntime, inputs))
    return lambda: session.run_with_iobinding(binding)


def _bound(session: Any, binding: Any, onnxruntime: Any, inputs: Mapping[str, np.ndarray]) -> Any:
    # A graph wants its outputs at one place, and so their shapes have to be known.
    for output in session.get_outputs():
        shape = [side if isinstance(side, int) else 1 for side in output.shape]
        kind = {"tensor(float)": np.float32, "tensor(float16)": np.float16}[output.type]
        place = onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, kind, "cuda", 0)
        binding.bind_ortvalue_output(output.name, place)
    return binding


def torch_eager(path: str, inputs: Mapping[str, np.ndarray]) -> Run:
    """Run the module that a file was exported from, as it is."""
    return _torch(path, inputs, None)


def torch_compiled(path: str, inputs: Mapping[str, np.ndarray]) -> Run:
    """Run it compiled by ``torch.compile``."""
    return _torch(path, inputs, "default")


def torch_graph(path: str, inputs: Mapping[str, np.ndarray]) -> Run:
    """Run it compiled, as one CUDA graph."""
    return _torch(path, inputs, "reduce-overhead")


def _torch(path: str, inputs: Mapping[str, np.ndarray], mode: str | None) -> Run:
    import torch

    from benchmarks.coverage import torchvision_ops
    from benchmarks.coverage.torch_export import lively, seed
    from benchmarks.full_size import MODELS

    name, _, precision = pathlib.Path(path).stem.partition(".")
    torchvision_ops.define()
    make, _, _ = MODELS[name]
    seed(name)
    # As the float32 libraries here compute it: in float32, not in TF32.
    module = lively(make()).cuda()
    values = [torch.from_numpy(value).cuda() for value in inputs.values()]
    if precision == "fp16":
        module = module.half()
        values = [value.half() if value.is_floating_point() else value for value in values]
    called = module if mode is None else torch.compile(module, mode=mode)

    def run() -> None:
        with torch.inference_mode():
            called(*values)
        torch.cuda.synchronize()

    return run


class Meter:
    """How busy the GPU is, and at which clock, meanwhile: NVML's figures."""

    def __init__(self) -> None:
        import pynvml

        pynvml.nvmlInit()
        self._nvml, self._gpu = pynvml, pynvml.nvmlDeviceGetHandleByIndex(0)
        self._samples: list[tuple[int, int]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Meter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._over.wait(_EVERY_SECONDS):
            busy = self._nvml.nvmlDeviceGetUtilizationRates(self._gpu).gpu
            self._samples.append(
                (busy, self._nvml.nvmlDeviceGetClockInfo(self._gpu, self._nvml.NVML_CLOCK_SM))
            )

    def found(self) -> dict[str, float]:
        """Return the mean of percents busy, and the median clock in MHz."""
        return {
            "busy": statistics.fmean(one[0] for one in self._samples),
            "clock": statistics.median(one[1] for one in self._samples),
        }


def exported(name: str, folder: pathlib.Path) -> pathlib.Path:
    """Return a model's file, made by torch in a process of its own."""
    path = folder / f"{name}.onnx"
    if not path.exists():
        subprocess.run([sys.executable, "-m", "benchmarks.full_size", "--out", str(folder), name], check=True)
    return path


def in_halves(path: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """Return a model's file in float16."""
    made = folder / f"{path.stem}.fp16.onnx"
    if not made.exists():
        with Toolbox("metaschedule") as tools:
            found = to_precision(tools, path, PrecisionSettings(Precision.FP16))
        made.write_bytes(found.path.read_bytes())
    return made


def campaign(store: Storage, path: pathlib.Path, seconds: float, settings: dict[str, Any]) -> dict[str, Any]:
    """Tune a model, and say what became of its time."""
    with Meter() as meter:
        row = tuned(store, str(path), {"targets": ["cuda"], "time_s": seconds, **settings})
    trials = store.trials.of_campaign(store.campaigns.newest()[0].id)
    row |= meter.found()
    # Not those of an earlier campaign, which count toward this one's budget.
    row["states"] = Counter(trial.state.value for trial in trials)
    row["trials"], row["failed"] = len(trials), len(trials) - row["states"]["ok"]
    row["build_s"] = sum(trial.build_s or 0.0 for trial in trials)
    row["run_s"] = sum(trial.run_s or 0.0 for trial in trials)
    return row


def compared(store: Storage, path: pathlib.Path, folder: pathlib.Path, names: list[str]) -> dict[str, float]:
    """Return the median seconds of each contender."""
    contenders: dict[str, tuple[Callable[..., Run], str]] = {}
    own = {"tuned": store.url, "untuned": f"sqlite:///{folder / 'empty.db'}"}
    with Toolbox("metaschedule") as tools:
        for name, url in own.items():
            out = folder / f"{path.stem}.{name}.so"
            with Storage.open(url) as records:
                build_model(records, tools, ModelRequest(path=str(path)), out, target="cuda")
            contenders[name] = (cuda_library, str(out))
    others: dict[str, Callable[..., Run]] = {
        "onnxruntime": onnxruntime_cuda,
        "onnxruntime, graph": onnxruntime_graph,
        "torch": torch_eager,
        "torch.compile": torch_compiled,
        "torch.compile, graph": torch_graph,
    }
    contenders |= {name: (load, str(path)) for name, load in others.items() if name in names}
    inputs = random_inputs(prepare(str(path)).inputs, 1)
    return in_turns(contenders, inputs, without_broken=True)


def card() -> str:
    """Name the GPU, its driver and its clocks."""
    asked = "name,driver_version,clocks.max.sm,clocks.max.mem,power.limit"
    return subprocess.run(
        ["nvidia-smi", f"--query-gpu={asked}", "--format=csv,noheader"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


def lines(rows: list[dict[str, Any]]) -> list[str]:
    """Return the tables in Markdown."""
    names = list(dict.fromkeys(name for row in rows for name in row["in_turns_s"]))
    told = [
        f"| model | {' | '.join(f'{name} ms' for name in names)} |",
        "|---" * (len(names) + 1) + "|",
    ]
    for row in rows:
        times = row["in_turns_s"]
        each = " | ".join(f"{times[name] * 1e3:.3f}" if name in times else "-" for name in names)
        told.append(f"| {row['model']} | {each} |")
    told += [
        "",
        "| model | good an hour | trials | failed | GPU busy | measuring | cores that build | off by |",
        "|---" * 8 + "|",
    ]
    for row in rows:
        if "trials" in row:
            spent, good = row["seconds"], row["trials"] - row["failed"]
            told.append(
                f"| {row['model']} | {3600 * good / spent:.0f} | {row['trials']} | "
                f"{row['failed']} | {row['busy']:.0f}% | {100 * row['run_s'] / spent:.0f}% | "
                f"{row['build_s'] / spent:.1f} | {row['max_rel']:.0e} |"
            )
    return told


def main() -> None:
    """Export, tune, compare, print tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("models", nargs="+", help="names of benchmarks.full_size; with :fp16, in float16")
    parser.add_argument("--time", type=parse_duration, default=240.0, help="for each model (default 4m)")
    parser.add_argument("--beside", action="store_true", help="compare what the store has, without tuning")
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("gpu"), help="folder")
    parser.add_argument("--onnxruntime", help="folder with onnxruntime-gpu")
    parser.add_argument("--without", action="append", default=[], help="a contender to leave out")
    parser.add_argument("--campaign", type=json.loads, default={}, metavar="JSON", help="campaign settings")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    if options.onnxruntime:
        os.environ[_ONNXRUNTIME] = options.onnxruntime
    names = ["torch", "torch.compile", "torch.compile, graph"]
    names += ["onnxruntime", "onnxruntime, graph"] if options.onnxruntime else []
    names = [name for name in names if name not in options.without]
    rows = []
    with Storage.open(f"sqlite:///{options.work / 'gpu.db'}") as store:
        for model in options.models:
            done = options.work / f"{model.replace(':', '.')}.json"
            row: dict[str, Any] = json.loads(done.read_text()) if done.exists() else {"model": model}
            name, _, precision = model.partition(":")
            path = exported(name, options.work)
            path = in_halves(path, options.work) if precision == "fp16" else path
            if not options.beside and "trials" not in row:
                row |= campaign(store, path, options.time, options.campaign)
                done.write_text(json.dumps(row, default=str, indent=1))
            if "in_turns_s" not in row:
                began = time.monotonic()
                row["in_turns_s"] = compared(store, path, options.work, names)
                row["compared_s"] = time.monotonic() - began
                done.write_text(json.dumps(row, default=str, indent=1))
            rows.append(row)
    print(f"{card()}, {os.cpu_count()} cores\n")
    print("\n".join(lines(rows)))


if __name__ == "__main__":
    main()
