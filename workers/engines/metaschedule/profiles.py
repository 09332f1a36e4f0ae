"""Each kernel of a library timed where it runs, by the instrument of Relax's virtual machine."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

from tvm.ir import IRModule
from tvm.s_tir import Schedule
from tvm.target import Target
from tvm.tirx import IterVar, PrimFunc

from workers.enginekit.profiling import does, profile_of, warmed_up
from workers.engines.metaschedule.model import fused, kernels_of
from workers.engines.metaschedule.running import loaded
from workers.engines.metaschedule.targets import parse_target
from workers.engines.metaschedule.workload import canonical_module, workload_hash
from workers.messages import Array, Call, CompiledModel, Kernel, PreparedModel, Profile
from workers.process.host import stage

__all__ = ["MetaScheduleProfiles"]

# As the pass calls a kernel out of which it took the packing of weights.
_PACKED = "_prepacked"


class MetaScheduleProfiles:
    """See :class:`workers.enginekit.roles.Profiles`."""

    def profile(
        self,
        model: PreparedModel,
        compiled: CompiledModel,
        inputs: Mapping[str, Array],
        target: str,
        runs: int,
    ) -> Profile:
        """Time each kernel inside the model."""
        parsed = parse_target(target)
        tasks = _by_kernel(model, parsed)
        machine, device, arguments = loaded(compiled, inputs, parsed)
        stage("timing the kernels")
        warmed_up(lambda: machine["main"](*arguments))
        written: dict[str, int] = {}
        calls: list[Call] = []
        began = run_began = 0.0

        def instrument(_: Any, name: str, before: bool, __: Any, *values: Any) -> int:
            nonlocal began
            if before:
                # A kernel's last argument is what it writes to.
                written.setdefault(name, math.prod(getattr(values[-1], "shape", ())) if values else 0)
                device.sync()
                began = time.perf_counter()
            else:
                device.sync()
                calls.append(Call(name, began - run_began, time.perf_counter() - began))
            return 0

        machine.set_instrument(instrument)
        found: list[list[Call]] = []
        for _ in range(runs):
            calls = []
            run_began = time.perf_counter()
            machine["main"](*arguments)
            found.append(calls)

        def described(name: str, count: int, seconds: float) -> Kernel:
            key, what, outputs, products = tasks.get(name.removesuffix(_PACKED), ("", "", 0, 0))
            return Kernel(name, key, count, seconds, what, outputs or written[name], products)

        return profile_of(found, described)


def _by_kernel(model: PreparedModel, target: Target) -> dict[str, tuple[str, str, int, int]]:
    """Return what a model's kernels compute, by the names that compiling gives them.

    Each with the hash of its workload, what it does, and the outputs and products of each where it is a sum
    of products.
    """
    return {
        name: (workload_hash(canonical_module(func)), *_computes(name, func))
        for name, func in kernels_of(fused(model, target))
    }


def _computes(name: str, func: PrimFunc) -> tuple[str, int, int]:
    what = does(name)
    if what != "products":
        return what, 0, 0
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
    return (what, *found) if found[0] else ("", 0, 0)
