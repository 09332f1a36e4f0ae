"""From a candidate to a library that a device can load."""

from __future__ import annotations

import json
import pathlib
import tempfile
from dataclasses import replace
from typing import Any

from tvm.ir import IRModule
from tvm.ir.transform import PassContext
from tvm.s_tir import meta_schedule as ms
from tvm.s_tir.transform import RemoveWeightLayoutRewriteBlock
from tvm.support import cc, tar
from tvm.target import Target
from tvm.tirx import PrimFunc

from workers.enginekit.comparison import BFLOAT, PLAIN, SCHEDULED
from workers.enginekit.linkers import host_linker, linker_for, linking
from workers.enginekit.machine import is_own
from workers.engines.metaschedule._cuda import compiled_for, packing
from workers.engines.metaschedule._intrinsics import register_intrinsics
from workers.engines.metaschedule.codegen import UNCHECKED
from workers.engines.metaschedule.dot_products import BFLOAT as BITS
from workers.engines.metaschedule.parallel_loops import Link, with_own_threads
from workers.engines.metaschedule.records import scheduled
from workers.engines.metaschedule.targets import cores_of, parse_target
from workers.engines.metaschedule.workload import load_module
from workers.errors import EngineError
from workers.messages import Artifact, Candidate, Workload
from workers.process.host import stage

__all__ = ["MetaScheduleBuild", "build_candidate", "compiled_to_time"]


def build_candidate(workload: Workload, target: Target, candidate: Candidate) -> Artifact:
    """Compile one candidate; see :meth:`workers.enginekit.roles.Build.build`."""
    suffix, *_ = _linker(target)  # where there is none, nothing is worth compiling
    stage("applying the schedule")
    if "Tensorize" in candidate.trace:
        register_intrinsics(target)
    module = scheduled(workload, candidate).mod
    # Of the scheduled module: the candidate may take its weights in another layout.
    args = _arguments(module)
    stage("compiling")
    library = compiled_to_time(module, target)
    stage("linking")
    return Artifact(data=_exported(library, target), suffix=suffix, args=json.dumps(args))


def _exported(library: Any, target: Target) -> bytes:
    """Return a compiled library as a file holds it."""
    suffix, linker, link = _linker(target)
    with linking(linker), tempfile.TemporaryDirectory(prefix="tunefleet-") as folder:
        path = pathlib.Path(folder) / f"candidate{suffix}"
        library.export_library(str(path), **packing(target), **({"fcompile": link} if link else {}))
        return path.read_bytes()


def checked(workload: Workload, target: Target, candidate: Candidate) -> Artifact:
    """Compile one candidate; see :meth:`workers.enginekit.roles.Build.build_checked`.

    What is timed may take its weights in another layout. What is compared takes them as the kernel does that
    has no schedule, and lays them out itself, which is a block of the scheduled kernel.
    """
    artifact = build_candidate(workload, target, candidate)
    stage("compiling what it is compared with")
    plain, module = load_module(workload.module), scheduled(workload, candidate).mod
    both = IRModule({SCHEDULED: _named(module, SCHEDULED), PLAIN: _named(plain, PLAIN)})
    check_args = json.dumps([[dtype, shape] for _, dtype, shape in _arguments(plain)])
    with PassContext(config=UNCHECKED):
        library = compiled_for(both, target)
    return replace(artifact, check=_exported(library, target), check_args=check_args)


def _named(module: IRModule, name: str) -> PrimFunc:
    return module["main"].with_attr("global_symbol", name)


def compiled_to_time(module: IRModule, target: Target) -> Any:
    """Compile a scheduled kernel as it is timed.

    What LocalBuilder does: the copies that rewrite a weight's layout are not part of that.
    """
    module = RemoveWeightLayoutRewriteBlock(skip_tensor_rewrite=True)(module)
    with PassContext(config=UNCHECKED):
        return compiled_for(module, target)


def _arguments(module: IRModule) -> list[list[Any]]:
    """Say what a kernel takes and gives: kind, type and shape of each; of bits the type they stand for."""
    found = []
    for argument in ms.arg_info.ArgInfo.from_entry_func(module, remove_preproc=True):
        kind, dtype, shape = argument.as_json()
        found.append([str(kind), str(dtype), [int(extent) for extent in shape]])
    if any(dtype == BITS for _, dtype, _ in found) and "reinterpret" in module.script():
        found = [[kind, BFLOAT if dtype == BITS else dtype, shape] for kind, dtype, shape in found]
    return found


def _linker(target: Target) -> tuple[str, str, Link | None]:
    """Link here where the result runs here; else ship objects, which TVM's RPC server links on the device."""
    if target.kind.name != "llvm":
        return ".so", host_linker(), None
    triple = str(target.attrs.get("mtriple", ""))
    if triple == "" or is_own(triple):
        return ".so", host_linker(), with_own_threads(cc.create_shared, host_linker(), cores_of(target))
    try:
        compiler = linker_for(triple)[0]
    except EngineError:
        return ".tar", "tar", tar.tar  # a model's library can't be linked here either, and none is compared
    return ".tar", "tar", with_own_threads(tar.tar, compiler, cores_of(target), triple)


class MetaScheduleBuild:
    """See :class:`workers.enginekit.roles.Build`."""

    def build(self, workload: Workload, target: str, candidate: Candidate) -> Artifact:
        """Compile one candidate."""
        return build_candidate(workload, parse_target(target), candidate)

    def build_checked(self, workload: Workload, target: str, candidate: Candidate) -> Artifact:
        """Compile one candidate, and once more beside its kernel without a schedule."""
        return checked(workload, parse_target(target), candidate)

    def describe(self, workload: Workload, candidate: Candidate | None = None) -> str:
        """Return the workload's script, or the candidate's trace as Python."""
        if candidate is None:
            return str(load_module(workload.module).script())
        trace = scheduled(workload, candidate).trace
        assert trace is not None
        return str(trace)
