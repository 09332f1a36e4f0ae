"""Tasks, workloads and configurations: AutoTVM's objects, and the plain data they travel as."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from typing import Any

from workers.engines.autotvm.classic import autotvm, tvm
from workers.messages import Candidate, Record, TrialState, Workload

__all__ = [
    "candidate_of",
    "config_of",
    "fallback_of",
    "known_kernel",
    "make_task",
    "result_of",
    "tvm_workload",
    "why_unfit",
    "workload_hash",
    "workload_of",
]

# What AutoTVM's own log holds for the cost of a failure.
_FAILED_COST = 1e9
_KNOWN = 256


def workload_of(task: autotvm.task.Task, engine: str) -> Workload:
    """Return a task's workload as plain data.

    It is named by the template and its arguments, which hold shapes, types and attributes and no name of any
    model.
    """
    described = json.dumps([task.name, task.args], separators=(",", ":"))
    return Workload(_digest(described), engine, task.name, float(task.flop), described.encode())


def workload_hash(workload: tuple[Any, ...]) -> str:
    """Return the hash of a workload as AutoTVM has it: the template's name, then its arguments."""
    return _digest(json.dumps([workload[0], workload[1:]], separators=(",", ":")))


def tvm_workload(workload: Workload) -> tuple[Any, ...]:
    """Return a workload as AutoTVM has it."""
    name, args = json.loads(workload.module)
    return (name, *_tuples(args))


def make_task(workload: Workload, target: tvm.target.Target) -> autotvm.task.Task:
    """Make the task of a workload, with its space."""
    name, *args = tvm_workload(workload)
    return autotvm.task.create(name, args, target)


def candidate_of(config: Any) -> Candidate:
    """Return the candidate of a configuration: a text as AutoTVM's log has it.

    Its hash covers the choices alone: the index they have depends on the space of one TVM.
    """
    described = config.to_json_dict()
    entity = json.dumps(described["entity"], separators=(",", ":"))
    return Candidate(_digest(entity), json.dumps(described, separators=(",", ":")))


def config_of(candidate: Candidate) -> Any:
    """Return a candidate's configuration."""
    return autotvm.task.space.ConfigEntity.from_json_dict(json.loads(candidate.trace))


def result_of(record: Record) -> Any:
    """Return a record's result as AutoTVM's tuners take it."""
    if record.state is TrialState.OK and record.times:
        return autotvm.MeasureResult(record.times, 0, sum(record.times), 0.0)
    return autotvm.MeasureResult((_FAILED_COST,), autotvm.measure.MeasureErrorNo.UNKNOWN_ERROR, 0.0, 0.0)


def fallback_of(task: autotvm.task.Task) -> Any:
    """Return the configuration TVM takes for a task without records, as the task's space has it.

    None where its template has none, or one that the space doesn't hold.
    """
    fallback = autotvm.task.space.FallbackConfigEntity()
    with autotvm.task.ApplyConfig(fallback), task.target:
        # The template fills it in, where nothing else was chosen.
        task.func(*task.args)
    index, step = 0, 1
    for name, space in task.config_space.space_map.items():
        chosen = fallback._entity_map.get(name)
        position = next((i for i, entity in enumerate(space.entities) if _same(entity, chosen)), None)
        if position is None:
            return None
        index += position * step
        step *= len(space.entities)
    return task.config_space.get(index) if task.config_space.is_index_valid(index) else None


def known_kernel(target: tvm.target.Target, engine: str) -> tuple[Workload, Candidate]:
    """Return a dense layer of 256 by 256, and the configuration that TVM falls back to for it."""
    shape = ("TENSOR", (_KNOWN, _KNOWN), "float32")
    task = autotvm.task.create("dense_nopack.x86", (shape, shape, None, "float32"), target)
    workload = workload_of(task, engine)
    config = fallback_of(task) or task.config_space.get(0)
    return replace(workload, name="known_kernel"), candidate_of(config)


def why_unfit(task: autotvm.task.Task, config: Any) -> str:
    """Say why a configuration is none of a task; nothing where it is one.

    Templates don't look: with 7 of 16 channels in a block they make a kernel that computes 14 of them.
    """
    for name, space in task.config_space.space_map.items():
        chosen = config._entity_map.get(name)
        if chosen is None:
            return f"the configuration has no {name}"
        if any(_same(entity, chosen) for entity in space.entities):
            continue
        # One that another TVM's space holds, say, is one all the same.
        if not hasattr(chosen, "size") or space.product % math.prod(int(n) for n in chosen.size[1:]):
            value = chosen.size if hasattr(chosen, "size") else chosen
            return f"the configuration does not fit the workload: {name}: {value}"
    return ""


def _same(entity: Any, chosen: Any) -> bool:
    if hasattr(entity, "size") and hasattr(chosen, "size"):
        # The outermost factor is what is left, and written as -1 in some.
        return [int(n) for n in entity.size[1:]] == [int(n) for n in chosen.size[1:]]
    return str(entity) == str(chosen)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
