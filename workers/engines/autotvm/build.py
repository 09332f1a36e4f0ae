"""From a candidate to a library that a device can load."""

from __future__ import annotations

import json
import pathlib
import tempfile
from dataclasses import replace
from typing import Any

from tvm.autotvm.measure import measure_methods
from tvm.autotvm.task.space import FallbackConfigEntity
from tvm.contrib import tar

from workers.enginekit.comparison import PLAIN, SCHEDULED
from workers.enginekit.linkers import host_linker, linking
from workers.enginekit.machine import is_own
from workers.engines.autotvm.classic import autotvm, tvm
from workers.engines.autotvm.targets import parse_target
from workers.engines.autotvm.tasks import config_of, make_task, tvm_workload, why_unfit
from workers.errors import EngineError
from workers.messages import Artifact, Candidate, Workload
from workers.process.host import stage

__all__ = ["AutoTVMBuild"]


def _is_foreign(target: Any) -> bool:
    """Say whether the result doesn't run here, and is linked on the device."""
    return target.kind.name == "llvm" and not is_own(str(target.attrs.get("mtriple", "")))


def _exported(library: Any, target: Any) -> bytes:
    """Return a compiled library as a file holds it."""
    foreign = _is_foreign(target)
    with (
        linking("tar" if foreign else host_linker()),
        tempfile.TemporaryDirectory(prefix="tunefleet-") as folder,
    ):
        path = pathlib.Path(folder) / ("candidate.tar" if foreign else "candidate.so")
        library.export_library(str(path), **({"fcompile": tar.tar} if foreign else {}))
        return path.read_bytes()


def _unconfigured(task: Any) -> Any:
    """Return the schedule and the arguments of a template without a configuration.

    Some have none: then it is the first of the task's space.
    """
    try:
        return task.instantiate(FallbackConfigEntity())
    except Exception:  # whatever it asked a configuration for
        return task.instantiate(task.config_space.get(0))


class AutoTVMBuild:
    """See :class:`workers.enginekit.roles.Build`."""

    def build_checked(self, workload: Workload, target: str, candidate: Candidate) -> Artifact:
        """Compile one candidate, and once more beside what its template makes without a configuration."""
        artifact = self.build(workload, target, candidate)
        parsed = parse_target(target)
        stage("compiling what it is compared with")
        task = make_task(workload, parsed)
        # Then templates put their tensors into blocks themselves, and take them as the task has them.
        autotvm.GLOBAL_SCOPE.in_tuning = False
        both, described = tvm.IRModule(), {}
        for name in (SCHEDULED, PLAIN):
            with parsed:
                made = task.instantiate(config_of(candidate)) if name == SCHEDULED else _unconfigured(task)
                schedule, arguments = made
                both.update(tvm.lower(schedule, arguments, name=name))
            described[name] = [[str(one.dtype), [int(n) for n in one.shape]] for one in arguments]
        library = tvm.build(both, target=parsed)
        return replace(artifact, check=_exported(library, parsed), check_args=json.dumps(described))

    def build(self, workload: Workload, target: str, candidate: Candidate) -> Artifact:
        """Compile one candidate."""
        parsed = parse_target(target)
        if not _is_foreign(parsed):
            host_linker()  # where there is none, nothing is worth compiling
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
        data = _exported(library, parsed)
        described = {
            "entry": library.entry_name,
            "tensors": [[str(dtype), [int(n) for n in shape]] for shape, dtype in arguments],
            "random": "scatter" not in workload.name,
        }
        suffix = ".tar" if _is_foreign(parsed) else ".so"
        return Artifact(data=data, suffix=suffix, args=json.dumps(described))

    def describe(self, workload: Workload, candidate: Candidate | None = None) -> str:
        """Return the workload, or the candidate's choices, a line each."""
        if candidate is None:
            name, *args = tvm_workload(workload)
            return "\n".join([name, *(f"    {arg}" for arg in args)])
        described = config_of(candidate).to_json_dict()["entity"]
        return "\n".join(f"{name}: {value} ({kind})" for name, kind, value in described)
