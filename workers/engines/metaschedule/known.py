"""A kernel that every device can run, and by which it is known whether it runs as it used to."""

from __future__ import annotations

from tvm import te
from tvm.s_tir import Schedule
from tvm.target import Target

from workers.engines.metaschedule.protected import protected
from workers.engines.metaschedule.records import candidate_of
from workers.engines.metaschedule.workload import canonical_module, save_module, workload_hash
from workers.messages import Candidate, Workload

__all__ = ["known_kernel"]

_SIZE = 256
# A GPU does 256 by 256 in some 9 microseconds, a few times what launching a kernel takes: that is another
# time where the machine's cores are busy, and on an H100 a campaign's first check was 5% off.
_SIZE_ON_GPUS = 512


def known_kernel(target: Target, engine: str) -> tuple[Workload, Candidate]:
    """Return a square matrix product, and one plain way of computing it on a kind of device."""
    size = _SIZE if target.kind.name == "llvm" else _SIZE_ON_GPUS
    left, right = te.placeholder((size, size), name="left"), te.placeholder((size, size), name="right")
    axis = te.reduce_axis((0, size), name="k")
    product = te.compute(
        (size, size), lambda i, j: te.sum(left[i, axis] * right[axis, j], axis=axis), name="product"
    )
    module = canonical_module(te.create_prim_func([left, right, product]))
    schedule = Schedule(protected(module))
    i, j, k = schedule.get_loops(schedule.get_sblock("arg2"))
    if target.kind.name == "llvm":
        # Along the rows of what is read and written; untouched, the compiler finds that or not.
        schedule.reorder(i, k, j)
        schedule.parallel(i)
    else:
        blocks, threads = schedule.split(schedule.fuse(i, j), [None, 128])
        schedule.bind(blocks, "blockIdx.x")
        schedule.bind(threads, "threadIdx.x")
    assert schedule.trace is not None
    workload = Workload(workload_hash(module), engine, "known_kernel", 2.0 * size**3, save_module(module))
    return workload, candidate_of(schedule.trace)
