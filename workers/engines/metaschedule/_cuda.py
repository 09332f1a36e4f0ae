"""CUDA kernels are compiled where libraries are built, so that a device only loads them.

TVM's wheel compiles CUDA where NVIDIA's driver is. Elsewhere it exports the source, for whoever loads the
library to compile: every device would need a compiler, be kept waiting by it, and be the first to learn that
a kernel doesn't compile. Here the source is replaced by the machine code on its way into the library, which
stock TVM loads as its own. Where there is no compiler, the source goes along.
"""

from __future__ import annotations

import os
import pathlib
import struct
from collections.abc import Callable, Iterator
from typing import Any

import tvm
from tvm.ir.transform import PassContext
from tvm.support import nvcc
from tvm.target import Target

from workers.enginekit.cuda import use_compiler
from workers.errors import EngineError
from workers.process.host import stage

__all__ = ["compiled_for", "machine_code", "packing"]

_KIND = "cuda"
# How TVM marks machine code, whichever of cubin and fatbin it is.
_BINARY = b"cubin"
# The pass puts what a tensor core sums in float32 where its float16 operands were, and a later one refuses
# memory of two types: nine of ten such kernels didn't compile. Shared memory has a pass of its own for that,
# and registers are NVIDIA's compiler's.
_UNSHARED = {"tirx.disable_storage_rewrite": True}


def compiled_for(module: Any, target: Target, **options: Any) -> Any:
    """Compile a module as ``tvm.compile`` does; CUDA kernels are left as source, on every machine alike."""
    # With a driver here, TVM would compile them at once, and in another way.
    os.environ["TVM_COMPILE_FORCE_FALLBACK"] = "1"
    if target.kind.name != _KIND:
        return tvm.compile(module, target=target, **options)
    around = PassContext.current()
    config = {**around.config, **_UNSHARED}
    with PassContext(opt_level=around.opt_level, config=config):
        return tvm.compile(module, target=target, **options)


def packing(target: Target) -> dict[str, Any]:
    """Return options for ``export_library``, with which a library for a CUDA target holds machine code."""
    compiler = use_compiler() if target.kind.name == _KIND else ""
    if not compiler:
        return {}

    def binary_of(source: str) -> bytes:
        stage("compiling CUDA")
        with target:
            return machine_code(source, compiler)

    def pack(module: Any, is_system_lib: bool, prefix: str, folder: str) -> str:
        blob = tvm.get_global_func("runtime.ModulePackImportsToTensor")(module).numpy().tobytes()
        sources = [m.inspect_source(_KIND) for m in _imports_of(module) if m.kind == _KIND]
        packed = _with_binaries(blob, sources, binary_of)
        hosts = [m for m in _imports_of(module) if m.kind == "llvm"]
        host = hosts[0].get_function("_get_target_string")() if hosts else '{"kind": "llvm"}'
        path = pathlib.Path(folder) / f"{prefix}devc.o"
        codegen = tvm.get_global_func("codegen.codegen_blob")
        codegen(packed, is_system_lib, host, prefix).write_to_file(str(path))
        return str(path)

    return {"fpack_imports": pack}


def machine_code(source: str, compiler: str) -> bytes:
    """Compile CUDA source for the current target.

    Raises
    ------
    EngineError
        With the compiler's errors alone: the whole source, and every warning, is around them.
    """
    form = "fatbin" if compiler == "nvcc" else "cubin"
    try:
        return bytes(nvcc.compile_cuda(source, form, compiler=compiler))
    except RuntimeError as error:
        errors = [line.partition("error:")[2].strip() for line in str(error).splitlines() if "error:" in line]
        told = "; ".join(dict.fromkeys(filter(None, errors)))
        raise EngineError(f"{compiler} refuses the kernel: {told}" if told else str(error)) from None


def _imports_of(module: Any) -> Iterator[Any]:
    yield module
    for imported in module.imports:
        yield from _imports_of(imported)


def _with_binaries(blob: bytes, sources: list[str], binary_of: Callable[[str], bytes]) -> bytes:
    """Return a library's packed modules with machine code for the CUDA source in them.

    The form is that of ``ModuleSerializer`` in TVM's ``src/target/codegen.cc``: after its own length, the
    tree of imports as two lists of numbers, then the modules, each by its kind and its bytes. Those of a CUDA
    module (``cuda_module.cc``) are the format of its code, the signatures of its kernels, and the code.
    Lengths and numbers have eight bytes.
    """
    (size,) = struct.unpack_from("<Q", blob)
    assert size == len(blob) - 8, "packed modules that are longer or shorter than they say"
    at = 8
    for _ in range(2):
        (count,) = struct.unpack_from("<Q", blob, at)
        at += 8 + 8 * count
    made = [blob[8:at]]
    while at < len(blob):
        kind, at = _text(blob, at)
        made.append(_sized(kind))
        if kind == b"_lib":
            continue  # the library itself
        data, at = _text(blob, at)
        if kind == _KIND.encode():
            data = _with_binary(data, sources, binary_of)
        made.append(_sized(data))
    return _sized(b"".join(made))


def _with_binary(data: bytes, sources: list[str], binary_of: Callable[[str], bytes]) -> bytes:
    form, after = _text(data, 0)
    if form != _KIND.encode():
        return data
    source = next(source for source in sources if data.endswith(_sized(source.encode())))
    signatures = data[after : -len(_sized(source.encode()))]
    return _sized(_BINARY) + signatures + _sized(binary_of(source))


def _text(data: bytes, at: int) -> tuple[bytes, int]:
    (size,) = struct.unpack_from("<Q", data, at)
    return data[at + 8 : at + 8 + size], at + 8 + size


def _sized(data: bytes) -> bytes:
    return struct.pack("<Q", len(data)) + data
