"""From a candidate to a library that a device can load."""

from __future__ import annotations

import json
import pathlib
import tempfile

from tvm.autotvm.measure import measure_methods
from tvm.contrib import tar

from workers.enginekit.linkers import host_linker, linking
from workers.enginekit.machine import is_own
from workers.engines.autotvm.classic import autotvm
from workers.engines.autotvm.targets import parse_target
from workers.engines.autotvm.tasks import config_of, make_task, tvm_workload, why_unfit
from workers.errors import EngineError
from workers.messages import Artifact, Candidate, Workload
from workers.process.host import stage

__all__ = ["AutoTVMBuild"]


class AutoTVMBuild:
    """See :class:`workers.enginekit.roles.Build`."""

    def build(self, workload: Workload, target: str, candidate: Candidate) -> Artifact:
        """Compile one candidate."""
        parsed = parse_target(target)
        foreign = parsed.kind.name == "llvm" and not is_own(str(parsed.attrs.get("mtriple", "")))
        suffix = ".tar" if foreign else ".so"
        linker = "tar" if foreign else host_linker()
        stage("applying the configuration")
        task = make_task(workload, parsed)
        config = config_of(candidate)
        unfit = why_unfit(task, config)
        if unfit:
            raise EngineError(unfit)
        inputs = autotvm.MeasureInput(parsed, task, config)
        stage("compiling")
        # Otherwise templates rewrite what they were given, and another kernel than the candidate is built.
        autotvm.GLOBAL_SCOPE.in_tuning = True
        # The core of LocalBuilder, which is a pool of processes around it: an invalid configuration raises.
        library, arguments = measure_methods._build_func_common(inputs)
        stage("linking")
        with linking(linker), tempfile.TemporaryDirectory(prefix="tunefleet-") as folder:
            path = pathlib.Path(folder) / f"candidate{suffix}"
            library.export_library(str(path), **({"fcompile": tar.tar} if foreign else {}))
            data = path.read_bytes()
        described = {
            "entry": library.entry_name,
            "tensors": [[str(dtype), [int(n) for n in shape]] for shape, dtype in arguments],
            "random": "scatter" not in workload.name,
        }
        return Artifact(data=data, suffix=suffix, args=json.dumps(described))

    def describe(self, workload: Workload, candidate: Candidate | None = None) -> str:
        """Return the workload, or the candidate's choices, a line each."""
        if candidate is None:
            name, *args = tvm_workload(workload)
            return "\n".join([name, *(f"    {arg}" for arg in args)])
        described = config_of(candidate).to_json_dict()["entity"]
        return "\n".join(f"{name}: {value} ({kind})" for name, kind, value in described)
