"""What of CUDA is on this machine: a compiler for kernels, and the library that TVM's CUDA runtime loads.

Both may come with NVIDIA's toolkit or as packages of this Python environment (the extra ``cuda``), which
nothing else finds.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.util
import os
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator

__all__ = [
    "RUNTIME",
    "compiler",
    "compiler_version",
    "has_runtime",
    "nvcc",
    "use_compiler",
    "without_torch",
]

#: What TVM's CUDA runtime is linked with.
RUNTIME = "libcudart.so.13"
_TOOLKIT = pathlib.Path("/usr/local/cuda")
# TVM's own variable for which of the two it compiles with; TVM itself takes nvrtc where it isn't set.
_MODE = "TVM_CUDA_COMPILE_MODE"
_ANSWER_SECONDS = 20.0


def nvcc() -> str | None:
    """Return the path of NVIDIA's compiler: on the path, of a toolkit, or of this environment's packages."""
    found = shutil.which("nvcc")
    folders = [os.environ.get("CUDA_PATH"), _TOOLKIT, *_packages()]
    paths = [pathlib.Path(folder) / "bin" / "nvcc" for folder in folders if folder]
    return found or next((str(path) for path in paths if os.access(path, os.X_OK)), None)


def compiler() -> str:
    """Say what CUDA kernels are compiled with here: ``nvcc``, ``nvrtc``; empty where there is neither.

    Where there are both, `TVM_CUDA_COMPILE_MODE` chooses; nvrtc compiles with the toolkit's headers.
    """
    headers = nvcc() is not None or "CUDA_PATH" in os.environ
    there = {"nvcc": nvcc() is not None, "nvrtc": headers and _has_nvrtc()}
    wanted = os.environ.get(_MODE, "").lower()
    return next((name for name in (wanted, *there) if there.get(name)), "")


def compiler_version() -> str:
    """Say what CUDA kernels are compiled with, and its version: another one makes other code of a kernel.

    Empty where there is none, or it doesn't say.
    """
    chosen, path = compiler(), nvcc()
    if chosen == "nvrtc":
        error, major, minor = importlib.import_module("cuda.bindings.nvrtc").nvrtcVersion()
        return f"nvrtc {major}.{minor}" if not int(error) else ""
    if chosen == "nvcc" and path is not None:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            said = subprocess.run(
                [path, "--version"], capture_output=True, text=True, check=True, timeout=_ANSWER_SECONDS
            )
            found = re.search(r"V(\d+(?:\.\d+)+)", said.stdout)
            return f"nvcc {found[1]}" if found else ""
    return ""


def use_compiler() -> str:
    """Have TVM compile with it, in this process and what it starts; return what :func:`compiler` does."""
    chosen, path = compiler(), nvcc()
    if chosen:
        os.environ[_MODE] = chosen
    if path is not None and shutil.which("nvcc") is None:
        # TVM calls it by its name alone.
        os.environ["PATH"] = os.pathsep.join([str(pathlib.Path(path).parent), os.environ.get("PATH", "")])
    return chosen


def has_runtime() -> bool:
    """Say whether the library that TVM's CUDA runtime needs is here; it is loaded by that."""
    for name in [RUNTIME, *(str(folder / "lib" / RUNTIME) for folder in _packages())]:
        with contextlib.suppress(OSError):
            ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
            return True
    return False


@contextlib.contextmanager
def without_torch() -> Iterator[None]:
    """Have no import meanwhile find torch.

    Where it is installed beside TVM, tvm_ffi imports it, which takes seconds, and asks it for a GPU, after
    which no fork of the process can use one: CUDA's "initialization error". Nothing of TVM needs it.
    """
    if "torch" in sys.modules:
        yield
        return
    sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        # Others look there for a module's parts, as SciPy does.
        sys.modules.pop("torch", None)


def _has_nvrtc() -> bool:
    with contextlib.suppress(ImportError):  # where there is no package `cuda` at all
        return importlib.util.find_spec("cuda.bindings.nvrtc") is not None
    return False


def _packages() -> list[pathlib.Path]:
    """Return the folder of NVIDIA's packages for CUDA 13, which are one tree."""
    found = importlib.util.find_spec("nvidia")
    folders = (found.submodule_search_locations or []) if found is not None else []
    return [pathlib.Path(folder) / "cu13" for folder in folders]
