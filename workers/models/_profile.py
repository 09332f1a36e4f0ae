"""What each node of a model takes in onnxruntime, by its own profiler."""

from __future__ import annotations

import bisect
import json
import math
import pathlib
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

from workers.enginekit.profiling import WARMUP, does, profile_of, warmed_up
from workers.messages import Call, Kernel, Profile
from workers.models._reference import open_session, run_session

__all__ = ["profile_of_events", "profile_reference"]

_SUFFIX = "_kernel_time"


def profile_reference(
    onnx: bytes, inputs: Mapping[str, npt.NDArray[Any]], threads: int, runs: int
) -> Profile:
    """Run a model with onnxruntime, fully optimized, and time its nodes.

    Returns
    -------
    Profile
        Its kernels are the nodes that are left of the model, each with one call.

    Raises
    ------
    ModelError
        onnxruntime can't load the model or run it on these inputs.
    """
    with tempfile.TemporaryDirectory(prefix="tunefleet-") as folder:
        session = open_session(onnx, threads, profile=f"{folder}/profile")
        before = warmed_up(lambda: run_session(session, inputs))
        for _ in range(runs):
            run_session(session, inputs)
        events = json.loads(pathlib.Path(session.end_profiling()).read_text(encoding="utf-8"))
    return profile_of_events(events, before)


def profile_of_events(events: Sequence[Mapping[str, Any]], before: int = WARMUP) -> Profile:
    """Read what onnxruntime's profiler wrote; so many runs before those that count are left out."""
    spans = sorted((e["ts"], e["ts"] + e["dur"]) for e in events if e.get("name") == "model_run")
    runs: list[list[Call]] = [[] for _ in spans]
    arguments: dict[str, Mapping[str, Any]] = {}
    for event in events:
        if event.get("cat") != "Node" or not event["name"].endswith(_SUFFIX):
            continue
        place = bisect.bisect_right(spans, (event["ts"], math.inf)) - 1
        name = event["name"].removesuffix(_SUFFIX)
        arguments.setdefault(name, event["args"])
        runs[place].append(Call(name, (event["ts"] - spans[place][0]) / 1e6, event["dur"] / 1e6))
    counted = [sorted(run, key=lambda call: call.began_s) for run in runs[before:] or runs]
    if not counted:
        return Profile((), ())

    def described(name: str, count: int, seconds: float) -> Kernel:
        return Kernel(name, "", count, seconds, *_computes(arguments[name]))

    return profile_of(counted, described)


def _computes(event: Mapping[str, Any]) -> tuple[str, int, int]:
    """Return what a node does, its outputs, and the products each sums up, by the shapes it ran on."""
    inputs = [shape for entry in event.get("input_type_shape", ()) for shape in entry.values()]
    outputs = [shape for entry in event.get("output_type_shape", ()) for shape in entry.values()]
    op = event["op_name"]
    what = does(op, node=True)
    if not what or not outputs or not inputs:
        return "", 0, 0
    if what != "products":
        return what, math.prod(outputs[0]), 0
    if "Conv" in op:
        if len(inputs) < 2 or len(inputs[1]) != len(inputs[0]):
            return "", 0, 0  # weights packed ahead aren't listed, a bias is
        # Weights are (out, in, ...), those of a transposed convolution (in, out, ...).
        out = inputs[1][1] if "Transpose" in op else inputs[1][0]
        return what, math.prod(outputs[0]), math.prod(inputs[1]) // out
    return what, math.prod(outputs[0]), inputs[0][-1]
