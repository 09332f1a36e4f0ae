"""A compiled model in classic TVM's graph executor, here or on a device behind a tracker."""

from __future__ import annotations

import io
import os
import pathlib
import tempfile
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from tvm.contrib import graph_executor

from workers.enginekit.alternating import Alternating
from workers.enginekit.rpc import requested
from workers.enginekit.settling import settled_times
from workers.engines.autotvm.classic import tvm
from workers.engines.autotvm.targets import cores_of
from workers.messages import Array, Baton, Endpoint, ModelRun
from workers.process.host import stage

__all__ = ["loaded", "run_model"]

# For so long a library may keep a device, its upload included.
_SESSION_SECONDS = 600.0


def loaded(
    library: bytes,
    params: bytes | None,
    inputs: Mapping[str, Array],
    target: tvm.target.Target,
    endpoint: Endpoint | None = None,
    *,
    profiled: bool = False,
) -> tuple[Any, Any]:
    """Return a graph executor with a library and its inputs, and the device it runs on.

    Parameters
    ----------
    profiled : bool, optional
        One that can time its operators, which not every library takes along.
    """
    # TVM reads it when its thread pool starts, which is with the first kernel.
    if cores_of(target):
        os.environ["TVM_NUM_THREADS"] = str(cores_of(target))
    kind = target.kind.name if target.kind.name != "llvm" else "cpu"
    with tempfile.TemporaryDirectory(prefix="tunefleet-") as folder:
        path = pathlib.Path(folder) / "model.so"
        path.write_bytes(library)
        if endpoint is None:
            device, module = tvm.device(kind, 0), tvm.runtime.load_module(str(path))
        else:
            session = requested(endpoint, _SESSION_SECONDS)
            stage("loading the library on the device")
            device = session.device(kind, 0)
            session.upload(str(path), path.name)
            # As for a candidate: Session.load_module of the tested wheel doesn't fit its server.
            module = session.get_function("tvm.rpc.server.load_module")(path.name)
        made = module["debug_create"]("default", device) if profiled else module["default"](device)
        executor = graph_executor.GraphModule(made)
    if params is not None:
        with np.load(io.BytesIO(params)) as archive:
            executor.set_input(**{name: tvm.nd.array(archive[name], device) for name in archive.files})
    executor.set_input(**inputs)
    return executor, device


def run_model(
    library: bytes,
    params: bytes | None,
    inputs: Mapping[str, Array],
    target: tvm.target.Target,
    repeats: int,
    number: int,
    endpoint: Endpoint | None = None,
    settle_s: float = 0.0,
    least_s: float = 0.0,
    baton: Baton | None = None,
) -> ModelRun:
    """Run a compiled model; see :meth:`workers.enginekit.roles.Model.run`."""
    with Alternating(baton) as turns:
        executor, device = loaded(library, params, inputs, target, endpoint)
        stage("running the model")
        began = time.perf_counter()
        executor.run()
        first_s = time.perf_counter() - began
        outputs = tuple(executor.get_output(i).numpy() for i in range(executor.get_num_outputs()))
        if not repeats:
            return ModelRun(outputs, (), first_s)

        def timed(count: int, number: int) -> tuple[float, ...]:
            evaluator = executor.module.time_evaluator("run", device, number=number, repeat=count)
            return tuple(float(seconds) for seconds in evaluator().results)

        times, warm_up = settled_times(
            turns.timed(timed, bound=True),
            first_s,
            repeats=repeats,
            number=number,
            settle_s=settle_s,
            least_s=least_s,
        )
        return ModelRun(outputs, times, first_s, warm_up)
