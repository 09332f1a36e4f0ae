"""Where a tuned model's time goes, task by task, and what onnxruntime takes for the same.

The model is built with the best records of a store, and each of its kernels is timed where it runs, inside
the model, by the virtual machine's instrument. onnxruntime says of each node what it took, by its own
profiler. Convolutions and matrix products of both are matched by what they compute: as many outputs, each a
sum of as many products; poolings, concatenations and softmaxes by their outputs. What onnxruntime fuses
otherwise has no counterpart and is in a line of its own::

    python -m benchmarks.latency --trials 400 --db bench.db light_squeezenet
    python -m benchmarks.gaps --db bench.db light_squeezenet
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from benchmarks.model_zoo import ZOO, located
from benchmarks.trials_per_hour import show
from orchestrator import ModelRequest, Storage, Toolbox, build_model
from orchestrator.builds.coverage import Coverage
from orchestrator.models.extraction import ExtractedModel, extract_model

#: Runs of the model that are profiled in each turn, and those before them that aren't.
RUNS, WARMUP = 20, 3
#: Times that both are profiled, one after the other.
TURNS = 3
#: How many times more outputs, and products of each, onnxruntime may have: its blocked layouts round channels
#: up to blocks of 8 or 16. The kernel that is nearest is its counterpart.
ROUNDED = 2.0
# What a kernel and a node are called, by what they do; those that do several things count as the first.
_DOES = {
    "products": (("conv", "matmul", "dense", "gemm"), ("Conv", "MatMul", "Gemm")),
    "largest": (("max_pool",), ("MaxPool",)),
    "mean": (("avg_pool", "mean"), ("AveragePool", "ReduceMean")),
    "softmax": (("softmax",), ("Softmax",)),
    "side by side": (("concatenate",), ("Concat",)),
}


@dataclass(frozen=True)
class Kernel:
    """A kernel of the tuned model.

    Attributes
    ----------
    workload : str
        Hash of the task's workload; empty where it is no task's.
    seconds : float
        All its calls in one inference, the median of the runs.
    does : str
        What onnxruntime does as well; empty where its nodes aren't looked at.
    outputs, products : int
        Elements it computes, and products summed for each; 0 products where it is no sum of them.
    """

    name: str
    workload: str
    calls: int
    seconds: float
    does: str = ""
    outputs: int = 0
    products: int = 0


@dataclass(frozen=True)
class Node:
    """A node of onnxruntime's optimized graph; see :class:`Kernel`."""

    name: str
    seconds: float
    does: str = ""
    outputs: int = 0
    products: int = 0


@dataclass(frozen=True)
class Gap:
    """A task of the model beside onnxruntime.

    Attributes
    ----------
    seconds : float
        All its calls in one inference.
    reference_s : float or None
        What onnxruntime takes for as many calls; None where it does nothing that is the same.
    """

    name: str
    calls: int
    seconds: float
    flops: float
    reference_s: float | None = None

    @property
    def gflops(self) -> float:
        """Billions of operations a second."""
        return self.flops * self.calls / self.seconds / 1e9

    @property
    def lost_s(self) -> float:
        """Seconds of an inference that onnxruntime doesn't spend on the same: all, without a counterpart."""
        return self.seconds - (self.reference_s or 0.0)


def counterparts(kernels: Sequence[Kernel], nodes: Sequence[Node]) -> dict[str, list[Node]]:
    """Return the nodes that compute what a kernel does, by the kernel's name."""
    found: dict[str, list[Node]] = {}
    for node in nodes:
        fits = [
            (more * each, (kernel.outputs, kernel.products))
            for kernel in kernels
            if node.does == kernel.does != ""
            and 1 <= (more := node.outputs / kernel.outputs) <= ROUNDED
            and 1 <= (each := (node.products or 1) / (kernel.products or 1)) <= ROUNDED
        ]
        _, nearest = min(fits, default=(0.0, (0, 0)))
        for kernel in kernels:
            if fits and (kernel.does, (kernel.outputs, kernel.products)) == (node.does, nearest):
                found.setdefault(kernel.name, []).append(node)
    return found


def gaps(
    kernels: Sequence[Kernel], nodes: Sequence[Node], names: dict[str, str], flops: dict[str, float]
) -> list[Gap]:
    """Hold each task against onnxruntime, those first that lose most; kernels of no task have no FLOPs.

    Parameters
    ----------
    names, flops : dict of str
        Of the tasks, by the hash of the workload.
    """
    matched = counterparts(kernels, nodes)
    tasks: dict[str, list[Kernel]] = {}
    for kernel in kernels:
        tasks.setdefault(kernel.workload or kernel.name, []).append(kernel)
    found = []
    for key, members in tasks.items():
        calls = sum(kernel.calls for kernel in members)
        same = {node.name: node for kernel in members for node in matched.get(kernel.name, ())}
        # Several tasks may compute sums of the same size, a wide and a narrow filter say: each gets the mean.
        each = statistics.fmean(node.seconds for node in same.values()) if same else None
        found.append(
            Gap(
                names.get(key, key),
                calls,
                sum(kernel.seconds for kernel in members),
                flops.get(key, 0.0),
                None if each is None else each * calls,
            )
        )
    return sorted(found, key=lambda gap: -gap.lost_s)


def profile_kernels(request: dict[str, Any]) -> list[dict[str, Any]]:
    """Run a built library and time its kernels; in a process of its own."""
    os.environ["TVM_NUM_THREADS"] = str(request["threads"])
    import numpy as np
    import tvm
    from tvm import relax

    with np.load(request["inputs"]) as archive:
        inputs = [tvm.runtime.tensor(archive[name]) for name in request["names"]]
    machine = relax.VirtualMachine(tvm.runtime.load_module(request["library"]), tvm.cpu())
    begun = 0.0
    calls: dict[str, list[float]] = {}
    written: dict[str, int] = {}

    def instrument(_: Any, name: str, before: bool, __: Any, *arguments: Any) -> int:
        nonlocal begun
        if before:
            # A kernel's last argument is what it writes to.
            written[name] = math.prod(getattr(arguments[-1], "shape", ())) if arguments else 0
            begun = time.perf_counter()
        else:
            calls.setdefault(name, []).append(time.perf_counter() - begun)
        return 0

    for _ in range(WARMUP):
        machine["main"](*inputs)
    machine.set_instrument(instrument)
    runs = []
    for _ in range(RUNS):
        calls.clear()
        machine["main"](*inputs)
        runs.append({name: (len(times), sum(times)) for name, times in calls.items()})
    tasks = _tasks_by_kernel(request)
    found = []
    for name, (count, _) in runs[0].items():
        key = name.removesuffix("_prepacked")  # as the pass that takes the packing of weights out calls it
        seconds = statistics.median(run[name][1] for run in runs)
        workload, (does, outputs, products) = tasks.get(key, ("", ("", 0, 0)))
        found.append(Kernel(name, workload, count, seconds, does, outputs or written[name], products))
    return [asdict(kernel) for kernel in found]


def _tasks_by_kernel(request: dict[str, Any]) -> dict[str, tuple[str, tuple[str, int, int]]]:
    """Return what the kernels of a model compute, by the names that compiling gives them."""
    from tvm.tirx import PrimFunc

    from workers.engines.metaschedule.model import _fused
    from workers.engines.metaschedule.targets import parse_target
    from workers.engines.metaschedule.workload import canonical_module, workload_hash
    from workers.models import prepare

    shapes = {name: tuple(dims) for name, dims in request["shapes"].items()}
    model = replace(prepare(request["path"], shapes), layout=request["layout"])
    module = _fused(model, parse_target(request["target"]))
    return {
        var.name_hint: (workload_hash(canonical_module(func)), _kernel_computes(var.name_hint, func))
        for var, func in module.functions.items()
        if isinstance(func, PrimFunc)
    }


def _kernel_computes(name: str, func: Any) -> tuple[str, int, int]:
    """Return what a kernel does, and the outputs and products of each where it is a sum of products."""
    from tvm.ir import IRModule
    from tvm.s_tir import Schedule
    from tvm.tirx import IterVar

    does = next((does for does, (words, _) in _DOES.items() if any(word in name for word in words)), "")
    if does != "products":
        return does, 0, 0
    schedule = Schedule(IRModule({"main": func.with_attr("global_symbol", "main")}))
    found = (0, 0)
    for block in schedule.get_child_blocks(schedule.get_sblock("root")):
        outputs = products = 1
        for var in schedule.get(block).iter_vars:
            if var.iter_type == IterVar.CommReduce:
                products *= int(var.dom.extent)
            else:
                outputs *= int(var.dom.extent)
        if products > 1 and outputs * products > found[0] * found[1]:
            found = (outputs, products)
    return (does, *found) if found[0] else ("", 0, 0)


def profile_nodes(request: dict[str, Any]) -> list[dict[str, Any]]:
    """Run a model in onnxruntime with its profiler on; in a process of its own."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = request["threads"]
    options.inter_op_num_threads = 1
    options.enable_profiling = True
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = f"{folder}/profile"
        session = onnxruntime.InferenceSession(
            request["prepared"], options, providers=["CPUExecutionProvider"]
        )
        with np.load(request["inputs"]) as archive:
            inputs = dict(archive)
        for _ in range(WARMUP + RUNS):
            session.run(None, inputs)
        events = json.loads(pathlib.Path(session.end_profiling()).read_text())
    return [asdict(node) for node in nodes_of(events)]


def nodes_of(events: Sequence[dict[str, Any]]) -> list[Node]:
    """Read what onnxruntime's profiler wrote: each node's median without the first runs."""
    times: dict[str, list[float]] = {}
    first: dict[str, dict[str, Any]] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            name = event["name"].removesuffix("_kernel_time")
            times.setdefault(name, []).append(event["dur"] / 1e6)
            first.setdefault(name, event["args"])
    return [
        Node(name, statistics.median(times[name][WARMUP:] or times[name]), *_node_computes(args))
        for name, args in first.items()
    ]


def _node_computes(event: dict[str, Any]) -> tuple[str, int, int]:
    """Return what a node does, its outputs, and the products each sums up, by the shapes it ran on."""
    inputs = [shape for entry in event.get("input_type_shape", ()) for shape in entry.values()]
    outputs = [shape for entry in event.get("output_type_shape", ()) for shape in entry.values()]
    op = event["op_name"]
    does = next((does for does, (_, words) in _DOES.items() if any(word in op for word in words)), "")
    if not does or not outputs or not inputs:
        return "", 0, 0
    if does != "products":
        return does, math.prod(outputs[0]), 0
    if "Conv" in op:
        if len(inputs) < 2 or len(inputs[1]) != len(inputs[0]):
            return "", 0, 0  # weights packed ahead aren't listed, a bias is
        # Weights are (out, in, ...), those of a transposed convolution (in, out, ...).
        out = inputs[1][1] if "Transpose" in op else inputs[1][0]
        return does, math.prod(outputs[0]), math.prod(inputs[1]) // out
    return does, math.prod(outputs[0]), inputs[0][-1]


def table(model: str, found: Sequence[Gap], nodes: Sequence[Node], least: float = 0.01) -> str:
    """Write the tasks as a table in Markdown, those first that lose most against onnxruntime.

    Parameters
    ----------
    least : float, optional
        Tasks with a smaller share of the time are summed up.
    """
    total, reference = sum(gap.seconds for gap in found), sum(node.seconds for node in nodes)
    lines = [
        f"| {model}: task | calls | ms | share | GFLOP/s | onnxruntime ms | ratio | lost ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    small = [gap for gap in found if gap.seconds < least * total and gap.lost_s < least * total]
    for gap in found:
        if gap in small:
            continue
        theirs = ("-", "-", "-")
        if gap.reference_s is not None:
            ratio = gap.seconds / gap.reference_s
            theirs = (f"{gap.reference_s * 1e3:.3f}", f"{ratio:.2f}", f"{gap.lost_s * 1e3:.3f}")
        speed = f"{gap.gflops:.1f}" if gap.flops else "-"
        lines.append(
            f"| {gap.name} | {gap.calls} | {gap.seconds * 1e3:.3f} | {gap.seconds / total:.1%} | {speed} | "
            f"{theirs[0]} | {theirs[1]} | {theirs[2]} |"
        )
    matched = sum(gap.reference_s or 0.0 for gap in found)
    rest = sum(gap.seconds for gap in small)
    if small:
        lines.append(
            f"| {len(small)} smaller ones | {sum(g.calls for g in small)} | {rest * 1e3:.3f} | "
            f"{rest / total:.1%} | | {sum(g.reference_s or 0.0 for g in small) * 1e3:.3f} | | "
            f"{sum(g.lost_s for g in small) * 1e3:.3f} |"
        )
    lines.append(
        f"| nodes of onnxruntime without a counterpart | | | | | {(reference - matched) * 1e3:.3f} | | |"
    )
    lines.append(
        f"| all | | {total * 1e3:.3f} | | | {reference * 1e3:.3f} | {total / reference:.2f} | "
        f"{(total - reference) * 1e3:.3f} |"
    )
    return "\n".join(lines)


@dataclass(frozen=True)
class Built:
    """A model built with a store's records into a folder, and what its profiles are asked with."""

    model: ExtractedModel
    coverage: Coverage
    request: dict[str, Any]

    def profiled(self, side: str) -> list[dict[str, Any]]:
        """Profile the library's ``kernels``, or onnxruntime's ``nodes``, once, in a process of its own."""
        return _profiled(self.model.prepared.name, side, self.request)


@contextlib.contextmanager
def built(store: Storage, tools: Toolbox, name: str) -> Iterator[Built]:
    """Build a model with the best records of a store."""
    import numpy as np

    path, shapes = located(name)
    wanted, device = ModelRequest(path=path, shapes=shapes), tools.resolve_target("auto")
    model = extract_model(store, tools, wanted, device)
    prepared = model.prepared
    with tempfile.TemporaryDirectory() as folder:
        report = build_model(store, tools, wanted, f"{folder}/model.so")
        arrays: dict[str, Any] = dict(tools.random_inputs(prepared.inputs, 1))
        np.savez(f"{folder}/inputs.npz", **arrays)
        pathlib.Path(folder, "prepared.onnx").write_bytes(prepared.onnx)
        request = {
            "library": f"{folder}/model.so",
            "inputs": f"{folder}/inputs.npz",
            "prepared": f"{folder}/prepared.onnx",
            "names": [spec.name for spec in prepared.inputs],
            "path": path,
            "shapes": shapes,
            "target": device.target,
            "layout": prepared.layout,
            "threads": device.cores,
        }
        yield Built(model, report.coverage, request)


def measure(store: Storage, tools: Toolbox, name: str) -> dict[str, Any]:
    """Build a model with a store's records and profile it beside onnxruntime."""
    with built(store, tools, name) as library:
        turns = [{side: library.profiled(side) for side in ("kernels", "nodes")} for _ in range(TURNS)]
        return {
            "model": name,
            "device_class": library.model.device.device_class,
            "tasks": [asdict(task) | {"recorded_at": None} for task in library.coverage.tasks],
            **{side: over_turns([turn[side] for turn in turns]) for side in ("kernels", "nodes")},
        }


def over_turns(turns: Sequence[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return kernels or nodes with the median of what they took in each turn."""
    times: dict[str, list[float]] = {}
    for turn in turns:
        for values in turn:
            times.setdefault(values["name"], []).append(values["seconds"])
    return [values | {"seconds": statistics.median(times[values["name"]])} for values in turns[0]]


def _profiled(model: str, side: str, request: dict[str, Any]) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gaps", "--side", side, model],
        input=json.dumps(request),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    lines: list[dict[str, Any]] = json.loads(done.stdout.strip().splitlines()[-1])
    return lines


def report(raw: dict[str, Any], least: float) -> str:
    """Write the table of what was measured."""
    nodes = [Node(**values) for values in raw["nodes"]]
    kernels = [Kernel(**values) for values in raw["kernels"]]
    names = {task["workload_hash"]: task["name"] for task in raw["tasks"]}
    # A task without a record is compiled by default, and that alone may be what holds a model back.
    names |= {t["workload_hash"]: f"{t['name']} (untuned)" for t in raw["tasks"] if t["best_s"] is None}
    flops = {task["workload_hash"]: task["flops"] for task in raw["tasks"]}
    return table(raw["model"], gaps(kernels, nodes, names, flops), nodes, least)


def main() -> None:
    """Profile each model, print a table in Markdown."""
    sides: dict[str, Callable[[dict[str, Any]], list[dict[str, Any]]]] = {
        "kernels": profile_kernels,
        "nodes": profile_nodes,
    }
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("models", nargs="+", help=f"files, or {', '.join(sorted(ZOO))}")
    parser.add_argument("--db", default="bench.db", help="store with the models' records (%(default)s)")
    parser.add_argument("--least", type=float, default=0.01, help="share below which tasks are summed up")
    parser.add_argument("--output", type=pathlib.Path, help="write the raw figures there, as JSON")
    parser.add_argument("--markdown", type=pathlib.Path, help="write what is printed there as well")
    parser.add_argument("--side", choices=sides, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(sides[options.side](json.load(sys.stdin))))
        return
    found: list[dict[str, Any]] = []
    with Storage.open(options.db, create=False) as store, Toolbox("metaschedule") as tools:
        for model in options.models:
            found.append(measure(store, tools, model))
            if options.output:
                options.output.write_text(json.dumps(found, indent=1) + "\n")
    show("\n\n".join(report(raw, options.least) for raw in found), options)


if __name__ == "__main__":
    main()
