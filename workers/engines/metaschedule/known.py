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


def known_kernel(target: Target, engine: str) -> tuple[Workload, Candidate]:
    """Return a matrix product of 256 by 256, and one plain way of computing it on a kind of device."""
    left, right = te.placeholder((_SIZE, _SIZE), name="left"), te.placeholder((_SIZE, _SIZE), name="right")
    axis = te.reduce_axis((0, _SIZE), name="k")
    product = te.compute(
        (_SIZE, _SIZE), lambda i, j: te.sum(left[i, axis] * right[axis, j], axis=axis), name="product"
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
    workload = Workload(workload_hash(module), engine, "known_kernel", 2.0 * _SIZE**3, save_module(module))
    return workload, candidate_of(schedule.trace)
