"""A compiled model in Relax's virtual machine, here or on a device behind a tracker."""

from __future__ import annotations

import os
import pathlib
import tempfile
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import tvm
from tvm import relax
from tvm.target import Target

from workers.enginekit.alternating import Alternating
from workers.enginekit.archives import opened
from workers.enginekit.cuda import use_compiler
from workers.enginekit.rpc import requested
from workers.enginekit.settling import settled_times
from workers.engines.metaschedule.parallel_loops import has_own_threads
from workers.messages import Array, Baton, CompiledModel, Endpoint, ModelRun
from workers.process.host import stage

__all__ = ["loaded", "run_model"]

# For so long a library may keep a device, its upload included.
_SESSION_SECONDS = 600.0


def loaded(
    compiled: CompiledModel, inputs: Mapping[str, Array], target: Target, endpoint: Endpoint | None = None
) -> tuple[Any, Any, list[Any]]:
    """Return a virtual machine with a library, the device it runs on, and what ``main`` is called with."""
    # TVM reads it when its thread pool starts, which is with the first kernel.
    if "num-cores" in target.attrs:
        os.environ["TVM_NUM_THREADS"] = str(int(target.attrs["num-cores"]))
    if target.kind.name == "cuda":
        use_compiler()
    kind = target.kind.name if target.kind.name != "llvm" else "cpu"
    with tempfile.TemporaryDirectory(prefix="tunefleet-") as folder:
        path = pathlib.Path(folder) / "model.so"
        path.write_bytes(compiled.library)
        if endpoint is None:
            device, module = tvm.device(kind, 0), tvm.runtime.load_module(str(path))
        else:
            session = requested(endpoint, _SESSION_SECONDS)
            stage("loading the library on the device")
            device = session.device(kind, 0)
            session.upload(str(path), path.name)
            module = session.load_module(path.name)
    machine = relax.VirtualMachine(module, device)
    arguments = [tvm.runtime.tensor(value, device) for value in inputs.values()]
    params = opened(compiled)
    if params is not None:
        with params, np.load(params) as archive:
            arguments += [tvm.runtime.tensor(archive[f"p{i}"], device) for i in range(len(archive.files))]
    return machine, device, arguments


def run_model(
    compiled: CompiledModel,
    inputs: Mapping[str, Array],
    target: Target,
    repeats: int,
    number: int,
    endpoint: Endpoint | None = None,
    settle_s: float = 0.0,
    least_s: float = 0.0,
    baton: Baton | None = None,
) -> ModelRun:
    """Run a compiled model; see :meth:`workers.enginekit.roles.Model.run`."""
    with Alternating(baton) as turns:
        machine, device, arguments = loaded(compiled, inputs, target, endpoint)
        stage("running the model")
        called: tuple[Any, ...] = ("main", *arguments)
        began = time.perf_counter()
        if endpoint is None:
            result = machine["main"](*arguments)
        else:
            # A function of another process can't return a tuple of tensors; it is asked for them one by one.
            machine.set_input("main", *arguments)
            machine.invoke_stateful("main")
            result = machine.get_outputs("main")
            called = ("invoke_stateful", "main")
        first_s = time.perf_counter() - began
        outputs = tuple(tensor.numpy() for tensor in _flat(result))
        if not repeats:
            return ModelRun(outputs, (), first_s)

        def timed(count: int, number: int) -> tuple[float, ...]:
            evaluator = machine.time_evaluator(called[0], device, number=number, repeat=count)
            return tuple(float(seconds) for seconds in evaluator(*called[1:]).results)

        bound = baton is not None and not has_own_threads(compiled.library)
        times, warm_up = settled_times(
            turns.timed(timed, bound=bound),
            first_s,
            repeats=repeats,
            number=number,
            settle_s=settle_s,
            least_s=least_s,
        )
        return ModelRun(outputs, times, first_s, warm_up)


def _flat(result: Any) -> list[Any]:
    if hasattr(result, "numpy"):
        return [result]
    return [tensor for item in result for tensor in _flat(item)]
