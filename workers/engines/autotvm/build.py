"""From a candidate to a library that a device can load."""

from __future__ import annotations

import json
import pathlib
import tempfile

from tvm.autotvm.measure import measure_methods
from tvm.contrib import tar

from workers.engines.autotvm.classic import autotvm, tvm
from workers.engines.autotvm.tasks import config_of, make_task, why_unfit
from workers.errors import EngineError
from workers.messages import Artifact, Candidate, Workload
from workers.process.host import stage

__all__ = ["build_candidate"]


def build_candidate(workload: Workload, target: tvm.target.Target, candidate: Candidate) -> Artifact:
    """Compile one candidate; see :meth:`workers.enginekit.contract.Engine.build`."""
    stage("applying the configuration")
    task = make_task(workload, target)
    config = config_of(candidate)
    unfit = why_unfit(task, config)
    if unfit:
        raise EngineError(unfit)
    inputs = autotvm.MeasureInput(target, task, config)
    stage("compiling")
    # Otherwise templates rewrite what they were given, and another kernel than the candidate is built.
    autotvm.GLOBAL_SCOPE.in_tuning = True
    # The core of LocalBuilder, which is a pool of processes around it: an invalid configuration raises here.
    library, arguments = measure_methods._build_func_common(inputs)
    stage("linking")
    foreign = target.kind.name == "llvm" and not str(target.attrs.get("mtriple", "")).startswith("x86_64")
    suffix = ".tar" if foreign else ".so"
    with tempfile.TemporaryDirectory(prefix="tunefleet-") as folder:
        path = pathlib.Path(folder) / f"candidate{suffix}"
        library.export_library(str(path), **({"fcompile": tar.tar} if foreign else {}))
        data = path.read_bytes()
    described = {
        "entry": library.entry_name,
        "tensors": [[str(dtype), [int(n) for n in shape]] for shape, dtype in arguments],
        "random": "scatter" not in workload.name,
    }
    return Artifact(data=data, suffix=suffix, args=json.dumps(described))
