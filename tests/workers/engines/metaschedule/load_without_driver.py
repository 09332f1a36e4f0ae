"""Has stock TVM load a library for CUDA, on a machine without NVIDIA's driver, and says what is in it.

In the driver's place is a library that has its names alone.
"""

from __future__ import annotations

import ctypes
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

from workers.enginekit.cuda import has_runtime

if not has_runtime():
    sys.exit("libcudart is not here")
spec = importlib.util.find_spec("tvm")
assert spec is not None
assert spec.origin is not None
runtime = Path(spec.origin).parent / "lib" / "libtvm_runtime_cuda.so"
listed = subprocess.run(["nm", "-D", "--undefined-only", runtime], check=True, capture_output=True, text=True)
names = [line.split()[-1] for line in listed.stdout.splitlines()]
stand_in = Path(tempfile.mkdtemp()) / "libcuda.so.1"
subprocess.run(
    ["gcc", "-shared", "-fPIC", "-xc", "-", f"-Wl,-soname,{stand_in.name}", "-o", stand_in],
    input="".join(
        f"int {n}(void) {{ return 100; }}\n" for n in names if n.startswith("cu") and n[2].isupper()
    ),
    check=True,
    text=True,
)
ctypes.CDLL(str(stand_in), mode=ctypes.RTLD_GLOBAL)

import tvm  # noqa: E402

if tvm.get_global_func("ffi.Module.load_from_bytes.cuda", allow_missing=True) is None:
    ctypes.CDLL(str(runtime))


def refuse(source: str) -> bytes:
    raise RuntimeError("it had to be compiled")


tvm.register_global_func("tvm_callback_cuda_compile", refuse, override=True)
print(*(module.kind for module in tvm.runtime.load_module(sys.argv[1]).imports))
