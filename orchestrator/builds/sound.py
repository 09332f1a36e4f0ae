"""Builds that no single record can fail: one that can't be used is set aside, and the next best is taken."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from orchestrator.builds.coverage import Coverage, Unusable, coverage_of
from orchestrator.errors import EngineError, EngineLostError, TunefleetError
from orchestrator.models.extraction import ExtractedModel
from orchestrator.storage import Storage, toolchain_key
from orchestrator.toolbox import Toolbox
from workers.messages import Candidate, Workload

__all__ = ["with_sound_records"]

_Made = TypeVar("_Made")


def with_sound_records(
    store: Storage,
    tools: Toolbox,
    model: ExtractedModel,
    make: Callable[[Coverage], _Made],
    *,
    allowed: Sequence[str] = (),
    stale: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[Coverage, _Made]:
    """Make something of a model's records, and once more without the unusable ones where that fails.

    What fails is a whole model, whose error seldom says by which kernel. So only then each record's kernel is
    built by itself, as a candidate is, and where that fails too, the next best of the workload.

    Parameters
    ----------
    make : callable
        Takes a coverage and compiles with its records.
    allowed, stale : sequence of str and bool, optional
        See :func:`.coverage.coverage_of`.

    Raises
    ------
    TunefleetError
        What `make` raised, where it isn't a record's fault.
    """
    toolchain = toolchain_key(tools.toolchain_of(model.device))
    covered = functools.partial(coverage_of, store, model, allowed, toolchain=toolchain, stale=stale)
    coverage = covered()
    try:
        return coverage, make(coverage)
    except EngineError as error:
        # Without a stage no engine was at work: it was stopped, or could not start.
        if not error.stage or not coverage.records or not _builds_anything(tools, model.device.target):
            raise
        sound = _without_unusable(tools, model, coverage, covered, say)
        if sound.key == coverage.key:
            raise
    return sound, make(sound)


def _builds_anything(tools: Toolbox, target: str) -> bool:
    """Say whether a kernel that always could be built still can: else it is no record's fault."""
    workload, candidate = tools.known_kernel(target)
    return not _fault(tools, target, workload, candidate)


def _without_unusable(
    tools: Toolbox,
    model: ExtractedModel,
    coverage: Coverage,
    covered: Callable[..., Coverage],
    say: Callable[[str], None],
) -> Coverage:
    workloads = {task.workload.hash: task.workload for task in model.tasks}
    unusable: Unusable = {}
    usable: set[tuple[str, str]] = set()
    with ThreadPoolExecutor(model.device.cores or 1) as pool:
        while True:
            open_ = [
                (workloads[key], record.candidate)
                for key, record in coverage.records.items()
                if (key, record.candidate.hash) not in usable
            ]
            if not open_:
                return coverage
            say(f"building {len(open_)} kernels of {model.prepared.name} one by one, to find what fails")
            reasons = pool.map(lambda pair: _fault(tools, model.device.target, *pair), open_)
            for (workload, candidate), reason in zip(open_, reasons, strict=True):
                if reason:
                    unusable[workload.hash, candidate.hash] = reason
                else:
                    usable.add((workload.hash, candidate.hash))
            coverage = covered(unusable)


def _fault(tools: Toolbox, target: str, workload: Workload, candidate: Candidate) -> str:
    """Say why a kernel can't be built; nothing where it can."""
    try:
        tools.build(workload, target, candidate)
    except EngineLostError as error:
        if not error.stage:
            raise
        return _last_line(error)
    except EngineError as error:
        return _last_line(error)
    return ""


def _last_line(error: TunefleetError) -> str:
    """Return what happened; TVM puts where it happened before it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return lines[0] if len(lines) == 1 else f"{lines[0]} {lines[-1]}"
