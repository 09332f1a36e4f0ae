"""Run by ``test_parallel_loops``: loads libraries with parallel loops, and prints as JSON what they did."""

from __future__ import annotations

import gc
import json
import os
import pathlib
import tempfile
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import tvm
import tvm_ffi
from tvm.script import tirx as T  # noqa: N812
from tvm.support.cc import create_shared

from workers.engines.metaschedule.parallel_loops import has_own_threads, with_own_threads

FOLDER = pathlib.Path(tempfile.mkdtemp())
LINK = with_own_threads(create_shared, "g++", 3)
LENGTHS = (1, 2, 3, 7, 31, 33, 1000)


def library(length: int, link: Any = LINK) -> Any:
    """Build and load one whose loop has so many turns."""

    @T.prim_func(private=False)  # type: ignore[untyped-decorator]
    def main(x: T.Buffer((length, 16), "float32"), y: T.Buffer((length, 16), "float32")) -> None:  # type: ignore[valid-type]
        for i in T.parallel(length):
            for j in range(16):
                y[i, j] = x[i, j] * T.float32(3) + T.float32(1)

    path = FOLDER / f"of{length}.so"
    tvm.tirx.build(tvm.IRModule({"main": main}), target="llvm").export_library(str(path), fcompile=link)
    return tvm_ffi.load_module(str(path), keep_module_alive=False)


def is_right(loaded: Any, length: int, times: int = 200) -> bool:
    """Say whether it computes the same each time."""
    x = np.random.default_rng(length).random((length, 16), dtype=np.float32)
    given, made = tvm.runtime.tensor(x), tvm.runtime.tensor(np.zeros_like(x))
    for _ in range(times):
        made.copyfrom(np.zeros_like(x))
        loaded["main"](given, made)
        if not np.array_equal(made.numpy(), x * np.float32(3) + np.float32(1)):
            return False
    return True


def threads() -> int:
    """Count this process's."""
    return len(os.listdir("/proc/self/task"))


said: dict[str, Any] = {"right": {length: is_right(library(length), length) for length in LENGTHS}}
gc.collect()
before = threads()
loaded = library(64)
is_right(loaded, 64)
said["threads"] = {"loaded": threads() - before}
del loaded
gc.collect()
said["threads"]["unloaded"] = threads() - before

os.environ["TVM_NUM_THREADS"] = "1"
loaded = library(66)
right = is_right(loaded, 66)
# The runtime, which is asked, has none beside the caller's either.
said["one"] = {"threads": threads() - before, "right": right}
del os.environ["TVM_NUM_THREADS"]

loaded = library(64)
is_right(loaded, 64)
pid = os.fork()
if pid == 0:
    os._exit(0 if is_right(loaded, 64) else 1)
said["forked"] = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
with ThreadPoolExecutor(4) as pool:
    said["side by side"] = list(pool.map(lambda _: is_right(loaded, 64), range(8)))

library(65, create_shared)
files = {"with": FOLDER / "of64.so", "without": FOLDER / "of65.so"}
said["said"] = {name: has_own_threads(file.read_bytes()) for name, file in files.items()}
print(json.dumps(said))
