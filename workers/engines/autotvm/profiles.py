"""Each operator of a library timed where it runs, by classic TVM's debug executor."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from workers.enginekit.profiling import does, profile_of, warmed_up
from workers.engines.autotvm.running import loaded
from workers.engines.autotvm.targets import parse_target
from workers.messages import Array, Call, CompiledModel, Kernel, PreparedModel, Profile
from workers.process.host import stage

__all__ = ["AutoTVMProfiles", "computes"]

_SHAPE = re.compile(r"\w+\[([\d, ]*)\]")


class AutoTVMProfiles:
    """See :class:`workers.enginekit.roles.Profiles`.

    A kernel here is a group of operators that Relay fused, of which a task is the heaviest; nothing says any
    more of which, so that they have no workload.
    """

    def profile(
        self,
        model: PreparedModel,
        compiled: CompiledModel,
        inputs: Mapping[str, Array],
        target: str,
        runs: int,
    ) -> Profile:
        """Time each operator inside the model."""
        del model
        executor, _ = loaded(compiled.library, compiled.params, inputs, parse_target(target), profiled=True)
        stage("timing the kernels")
        warmed_up(executor.run)
        profile = executor.module["profile"]
        shapes: dict[str, str] = {}
        found: list[list[Call]] = []
        for _ in range(runs):
            calls, began = [], 0.0
            for call in json.loads(profile([]).json())["calls"]:
                name, seconds = str(call["Name"]), _microseconds(call["Duration (us)"]) / 1e6
                shapes.setdefault(name, _text(call.get("Argument Shapes", "")))
                # It says how long a call took and not when it began: they follow each other.
                calls.append(Call(name, began, seconds))
                began += seconds
            found.append(calls)

        def described(name: str, count: int, seconds: float) -> Kernel:
            return Kernel(name, "", count, seconds, *computes(name, shapes[name]))

        return profile_of(found, described)


def computes(name: str, arguments: str) -> tuple[str, int, int]:
    """Return what a kernel does, its outputs, and the products each sums up.

    Parameters
    ----------
    arguments : str
        The shapes it ran on, the last of which it wrote: ``float32[1, 3, 8, 8], float32[...]``.
    """
    shapes = [
        tuple(int(size) for size in found.split(",") if size.strip()) for found in _SHAPE.findall(arguments)
    ]
    what = does(name)
    if not what or not shapes:
        return "", math.prod(shapes[-1]) if shapes else 0, 0
    outputs = math.prod(shapes[-1])
    if what != "products":
        return what, outputs, 0
    if len(shapes) < 3:
        return "", outputs, 0
    out, weights = shapes[-1], shapes[1]
    if "batch_matmul" in name:
        return what, outputs, shapes[0][-1]
    # Of a convolution in blocks, (n, c/b, h, w, b), the channels are in two places.
    channels = out[-1] if "dense" in name else out[1] * (out[4] if len(out) == 5 else 1)
    return what, outputs, math.prod(weights) // channels


def _microseconds(value: Any) -> float:
    return float(value["microseconds"] if isinstance(value, dict) else value)


def _text(value: Any) -> str:
    return str(value["string"] if isinstance(value, dict) else value)
