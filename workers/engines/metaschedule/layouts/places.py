"""Kernels that read each channel from a place of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from tvm import te, tirx

from workers.engines.metaschedule.layouts.channels import NONE

__all__ = ["read_at", "table_for"]

# A choice among so many runs of places is written out; else the places are looked up.
_MOST_RUNS = 8


class _Run(NamedTuple):
    start: int
    stop: int
    first: int
    step: int


def read_at(
    sources: Sequence[int], at: Any, read: Callable[[Any], Any], zero: Any, table: te.Tensor | None = None
) -> Any:
    """Return what a kernel writes at a place that is known while it runs.

    Parameters
    ----------
    sources : sequence of int
        The place to read for each place to write, or NONE, for zero.
    at : PrimExpr
        The place to write.
    read : callable
        Returns what is at a place of the source.
    zero : PrimExpr
    table : te.Tensor, optional
        What :func:`table_for` gave.
    """
    last = max((n for n, source in enumerate(sources) if source != NONE), default=NONE) + 1
    found = sources[:last]
    striped = _striped(found, at)
    if table is not None:
        place = table[at].astype("int64")
        made = read(tirx.max(place, 0))
        return made if NONE not in sources else tirx.if_then_else(place >= 0, made, zero)
    if striped is not None:
        made = read(striped)
        return made if last == len(sources) else tirx.if_then_else(at < last, made, zero)
    made = zero
    for run in reversed(_runs(sources)):
        value = zero if run.first == NONE else read(run.first + (at - run.start) * run.step)
        made = value if run.stop == len(sources) else tirx.if_then_else(at < run.stop, value, made)
    return made


def table_for(sources: Sequence[int]) -> np.ndarray | None:
    """Return the places as numbers to be looked up; None where a kernel can do without."""
    found = [*sources]
    while found and found[-1] == NONE:
        found.pop()
    if _striped(found, tirx.IntImm("int64", 0)) is not None or len(_runs(sources)) <= _MOST_RUNS:
        return None
    return np.array(sources, "int32")


def _striped(sources: Sequence[int], at: Any) -> Any:
    """Return where to read, where that is a sum of two strides; None where it isn't."""
    if not sources or NONE in sources:
        return None
    values = np.array(sources)
    count, first = len(values), int(values[0])
    step = int(values[1]) - first if count > 1 else 1
    bent = next((n for n, (a, b) in enumerate(pairwise(values), 1) if b - a != step), count)
    index = np.arange(count)
    stride = int(values[bent]) - first if bent < count else 0
    if np.any(first + index // bent * stride + index % bent * step != values):
        return None
    if bent == count:
        return at * step + first if (step, first) != (1, 0) else at
    return at // bent * stride + at % bent * step + first


def _runs(sources: Sequence[int]) -> list[_Run]:
    """Return the places in runs that are read one after the other, evenly apart; those of none among them."""
    runs: list[_Run] = []
    start = 0
    while start < len(sources):
        stop, first = start + 1, sources[start]
        if first == NONE:
            while stop < len(sources) and sources[stop] == NONE:
                stop += 1
            runs.append(_Run(start, stop, NONE, 0))
        else:
            step = sources[stop] - first if stop < len(sources) and sources[stop] != NONE else 1
            while stop < len(sources) and sources[stop] == first + (stop - start) * step:
                stop += 1
            runs.append(_Run(start, stop, first, step))
        start = stop
    return runs
