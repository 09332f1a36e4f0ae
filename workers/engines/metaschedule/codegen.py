"""From a lowered model to a library: its kernels in parts, which LLVM compiles side by side.

LLVM takes most of a build, and one module of it is one thread's work. TVM's own ``export_library`` has one
module for all kernels. Here they are divided among a few, and the library is linked of all their objects: the
virtual machine finds a kernel by its name, in whichever it is.
"""

from __future__ import annotations

import pathlib
import tempfile
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import tvm
import tvm_ffi
from tvm import relax
from tvm.ir import GlobalVar, IRModule
from tvm.relax import vm_build
from tvm.target import Target
from tvm.tirx import PrimFunc

from workers.enginekit.machine import usable_cores
from workers.engines.metaschedule._cuda import compiled_for, packing

__all__ = ["UNCHECKED", "built_library"]

#: Checks of a kernel's arguments, each with a message of its own, are most of a small kernel's code, and a
#: fifth of what all of them take to compile. They lie before the kernel, which is the same without them: a
#: candidate gets the arguments that it was built for, and a model's kernels are called by its virtual
#: machine, which looks at what it is given itself.
UNCHECKED = {"tirx.disable_assert": True}
# The same on every machine, so that the same records make the same library.
_PARTS = 8


def built_library(module: IRModule, target: Target, pipeline: Any, **linked: Any) -> bytes:
    """Compile a model's kernels and what calls them, and return the library.

    Parameters
    ----------
    pipeline : tvm.ir.transform.Pass
        What lowers relax, and what schedules kernels that have no schedule, where they need one.
    linked
        Further options of ``export_library``.
    """
    with tempfile.TemporaryDirectory(prefix="tunefleet-") as folder:
        path = pathlib.Path(folder) / "model.so"
        with target, tvm.transform.PassContext(opt_level=3):
            if target.kind.name != "llvm":
                executable = compiled_for(module, target, relax_pipeline=pipeline)
                executable.export_library(str(path), **packing(target), **linked)
                return path.read_bytes()
            lowered = pipeline(module)
        executable, objects = _in_parts(lowered, target, pathlib.Path(folder))
        executable.export_library(str(path), addons=[str(one) for one in objects], **linked)
        return path.read_bytes()


def _in_parts(lowered: IRModule, target: Target, folder: pathlib.Path) -> tuple[Any, list[pathlib.Path]]:
    """Do what ``relax.build`` does, and write all kernels but those of the first part to object files."""
    builder = relax.ExecBuilder()
    constants = dict(lowered.attrs or {}).get("const_name_to_constant", {})
    kernels = vm_build._filter_tir(vm_build._vmcodegen(builder, lowered, "bytecode"))
    first, *others = _divided(kernels) if kernels is not None else [None]

    def compiled(number: int) -> pathlib.Path:
        path = folder / f"part{number}.o"
        # A context is its thread's own.
        with target, tvm.transform.PassContext(opt_level=3, config=UNCHECKED):
            tvm.tirx.build(others[number], target=target).write_to_file(str(path))
        return path

    with ThreadPoolExecutor(usable_cores()) as threads:
        objects = [threads.submit(compiled, number) for number in range(len(others))]
        with target, tvm.transform.PassContext(opt_level=3, config=UNCHECKED):
            executable = vm_build._vmlink(builder, target, first, params=dict(constants))
        return executable, [one.result() for one in objects]


def _divided(kernels: IRModule) -> list[IRModule]:
    """Divide kernels among parts; those that call one another stay in one."""
    named = sorted(kernels.functions.items(), key=lambda item: item[0].name_hint)
    if any(_calls_another(func) for _, func in named):
        return [kernels]
    parts = [dict(named[start::_PARTS]) for start in range(min(_PARTS, len(named)))]
    return [IRModule(part, attrs=kernels.attrs) for part in parts]


def _calls_another(func: PrimFunc) -> bool:
    called: list[GlobalVar] = []
    tvm_ffi.structural_walk(func.body, (GlobalVar, called.append))
    return bool(called)
