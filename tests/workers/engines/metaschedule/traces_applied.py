"""Applies traces of every kind of space to one module each, and says what became of the module; as JSON.

By itself, for pytest's own process has no TVM in it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from tvm import te
from tvm.ir import IRModule
from tvm.s_tir import Schedule
from tvm.target import Target

from workers.engines.metaschedule import winograd
from workers.engines.metaschedule.database import RecordDatabase
from workers.engines.metaschedule.records import adapted, candidate_of, replayed, scheduled
from workers.engines.metaschedule.search import MetaScheduleSearch
from workers.engines.metaschedule.workload import (
    canonical_module,
    load_module,
    save_module,
    workload_hash,
)
from workers.messages import Candidate, Record, SearchOptions, Workload

# It has instructions to tensorize with, and vectors of 16 floats.
TARGET = Target({"kind": "llvm", "mcpu": "cascadelake", "num-cores": 2})
Tensors = list[te.Tensor]


def mean(blocks: int = 16) -> IRModule:
    """A global pool over a blocked tensor, as the importer lowers it: a sum, and a division of its own."""
    data = te.placeholder((1, blocks, 7, 7, 16), name="data")
    y, x = te.reduce_axis((0, 7), "y"), te.reduce_axis((0, 7), "x")
    total = te.compute(
        (1, blocks, 1, 1, 16), lambda n, c, h, w, i: te.sum(data[n, c, h + y, w + x, i], axis=[y, x]), "total"
    )
    return module(data, te.compute(total.shape, lambda *at: total(*at) / te.const(49.0, "float32"), "mean"))


def bytes_multiplied() -> IRModule:
    left, right = te.placeholder((16, 32), "uint8", "left"), te.placeholder((64, 32), "int8", "right")
    k = te.reduce_axis((0, 32), "k")
    return module(
        left,
        right,
        te.compute(
            (16, 64),
            lambda i, j: te.sum(left[i, k].astype("int32") * right[j, k].astype("int32"), axis=k),
            "product",
        ),
    )


def windows() -> IRModule:
    data = te.placeholder((1, 1, 6, 6, 16), name="data")
    made = te.create_prim_func([data, winograd.windows(data, [1, 1, 1, 1])])
    return canonical_module(winograd.by_element(winograd.unrolled(made, "windows"), "windows"))


def products() -> IRModule:
    data, weights = te.placeholder((16, 9, 16), name="data"), te.placeholder((16, 16, 16), name="weights")
    return module(data, weights, winograd.products(data, weights))


def module(*tensors: te.Tensor) -> IRModule:
    return canonical_module(te.create_prim_func(list(tensors)))


def workload(name: str, what: IRModule) -> Workload:
    # Little enough to do that the spaces without threads are there.
    return Workload(workload_hash(what), "metaschedule", name, 2e5, save_module(what))


def without_threads() -> Candidate:
    """The schedule by which this was found: nothing parallel, and a loop fused below an outermost one."""
    schedule = Schedule(load_module.__wrapped__(save_module(mean())))
    root = schedule.get_sblock("root")
    schedule.annotate(root, "meta_schedule.vectorize", 64)
    schedule.unannotate(root, "meta_schedule.vectorize")
    total, divided = schedule.get_child_blocks(root)
    schedule.vectorize(schedule.fuse(*schedule.get_loops(divided)[2:]))
    schedule.decompose_reduction(total, schedule.get_loops(total)[5])
    return candidate_of(schedule.trace)


def outcome(work: Workload, candidates: Sequence[Candidate]) -> dict[str, Any]:
    """Apply candidates to one module, one after the other, and see what is left of it."""
    one = load_module.__wrapped__(work.module)
    before = one.script()
    refused = []
    changed = 0
    for candidate in candidates:
        try:
            replayed(one, json.loads(candidate.trace))
        except Exception as error:
            refused.append(str(error).strip().splitlines()[-1])
        changed += one.script() != before
    kinds = [json.loads(candidate.trace)[0] for candidate in candidates]
    return {
        "applied": len(candidates),
        "refused": refused,
        "changed": changed,
        "parallel": sum(any("meta_schedule.parallel" in step[2] for step in steps) for steps in kinds),
        "tensorized": sum(any(step[0] == "Tensorize" for step in steps) for steps in kinds),
        "now": workload_hash(one) == work.hash,
    }


def search(work: Workload, rounds: int = 1) -> tuple[Candidate, ...]:
    opened = MetaScheduleSearch(work, TARGET, SearchOptions(settings={"population": 32}))
    found = [candidate for _ in range(rounds) for candidate in opened.propose(8, None)]
    # What TVM makes of a history it reads from the database.
    opened.learn(tuple(Record(each, (1e-3 * place,)) for place, each in enumerate(found, 1)))
    return (*found, *opened.propose(8, None))


def lent() -> dict[str, Any]:
    lender = workload("mean", mean(blocks=8))
    given = search(lender)
    one = load_module.__wrapped__(save_module(mean()))
    before, fitted = one.script(), 0
    for candidate in (without_threads(), *given):
        try:
            of = workload("mean", mean()) if candidate == without_threads() else lender
            adapted(scheduled(of, candidate).trace, one)
        except Exception:  # it need not fit
            continue
        fitted += 1
    return {"fitted": fitted, "changed": int(one.script() != before)}


def looked_up() -> dict[str, Any]:
    """Ask the database, which replays its record's trace, in all the ways that TVM does."""
    database = RecordDatabase(lambda *_: [Record(without_threads(), (1e-6,))], TARGET, "")
    one = load_module.__wrapped__(save_module(mean()))
    before, found = one.script(), 0
    for query in (database.query_tuning_record, database.query_schedule, database.query_ir_module) * 2:
        found += query(one, TARGET, "main") is not None
    return {"found": found, "changed": int(one.script() != before)}


if __name__ == "__main__":
    found = {
        "without threads": outcome(workload("mean", mean()), [without_threads()] * 3),
        "lent": lent(),
        "database": looked_up(),
    }
    for name, made in (
        ("mean", mean()),
        ("bytes", bytes_multiplied()),
        ("windows", windows()),
        ("products", products()),
    ):
        work = workload(name, made)
        found[name] = outcome(work, search(work, rounds=2 if name == "mean" else 1))
    json.dump(found, sys.stdout)
