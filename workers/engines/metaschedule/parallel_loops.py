"""How the parallel loops of a library's kernels are run: by threads of the library's own.

What they do, and why, is said in ``parallel_loops.c``, which a process compiles once; it is linked into each
library that has parallel loops. OpenMP and TVM's runtime both wait for every thread at the end of a loop, and
that costs most on a machine that others use too; oneTBB doesn't, and would have to be installed wherever a
library is deployed.
"""

from __future__ import annotations

import functools
import pathlib
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

from workers.enginekit.linkers import linking

__all__ = ["Link", "compiled", "has_own_threads", "with_own_threads"]

_SOURCE = pathlib.Path(__file__).with_suffix(".c")
# One letter differs, in place: a table of names stays as long, and where a name is the end of another one, of
# which it keeps but one copy, both stay what they are.
_LAUNCH, _OWN_LAUNCH = b"\0__TVMBackendParallelLaunch\0", b"\0_fTVMBackendParallelLaunch\0"
# It counts on as many parts as the runtime has threads; no schedule of ours has one.
_BARRIER = b"__TVMBackendParallelBarrier"
# What a library holds that was linked so, stripped or not: a message of its threads.
_MESSAGE = b"a parallel loop of a kernel failed in another thread"

#: What ``export_library`` takes as ``fcompile``: the library's path, a list of objects, further options.
Link = Callable[..., Any]


def with_own_threads(link: Link, compiler: str, threads: int, triple: str = "") -> Link:
    """Return what links a library as something else does, with threads of its own for parallel loops.

    Parameters
    ----------
    link : callable
        What links it otherwise.
    compiler : str
        A C compiler for the machine that the library is for.
    threads : int
        How many there are where nobody says, at most.
    triple : str
        That machine's; empty for this one. Where its system isn't Linux, `link` itself is returned.
    """
    if triple and "linux" not in triple:
        return link

    @functools.wraps(link, updated=("__dict__",))
    def linked(path: str, objects: Sequence[str], *args: Any, **options: Any) -> Any:
        files = [pathlib.Path(one) for one in objects]
        # All of them, not until the first that has one.
        if not sum(_redirect(file) for file in files if file.suffix == ".o"):
            return link(path, objects, *args, **options)
        with tempfile.TemporaryDirectory(prefix="tunefleet-") as folder:
            own = pathlib.Path(folder, "parallel_loops.o")
            own.write_bytes(compiled(compiler, threads))
            return link(path, [*objects, str(own)], *args, **options)

    return linked


def has_own_threads(library: bytes) -> bool:
    """Say whether a library has threads of its own, or those that TVM's runtime binds to cores."""
    return _MESSAGE in library


def _redirect(file: pathlib.Path) -> bool:
    """Have kernels call what the library has instead of the runtime's; say whether they call either."""
    data = file.read_bytes()
    if _LAUNCH not in data or _BARRIER in data:
        return False
    file.write_bytes(data.replace(_LAUNCH, _OWN_LAUNCH))
    return True


@functools.cache
def compiled(compiler: str, threads: int) -> bytes:
    """Compile the threads' code; once a process, so that its forks needn't.

    Raises
    ------
    EngineError
        The compiler can't.
    """
    with linking(compiler), tempfile.TemporaryDirectory(prefix="tunefleet-") as folder:
        path = pathlib.Path(folder, "parallel_loops.o")
        options = ["-O2", "-fPIC", "-pthread", f"-DTHREADS={threads}"]
        command = [compiler, *options, "-c", str(_SOURCE), "-o", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"Compilation error:\n{done.stderr}")
        return path.read_bytes()
