"""A design space for kernels that sum over rows and go over them again: softmax, layer norm and their like.

MetaSchedule's rules know a sum, and what follows it element by element. Of a softmax they inline the
exponential into its sum and again into what is divided by it, sum number after number, and go through memory
for each step. Here a core takes row after row and does all of its steps: what is read more than once is kept,
sums are of vectors, and then of what these hold.
"""

from __future__ import annotations

from typing import Any

import tvm
from tvm import DataType, tirx
from tvm.ir import IRModule
from tvm.s_tir import Schedule
from tvm.target import Target

from workers.engines.metaschedule.protected import protected
from workers.engines.metaschedule.targets import vector_bits

__all__ = ["by_rows"]

# Of the numbers that a vector of sums holds, so many are summed side by side.
_LAST = 4
# Sums of vectors are some more to compute; what another order of dimensions asks of other rows is computed
# again for each.
_REPEATED = 2.0


def by_rows(module: IRModule, target: Target) -> Schedule | None:
    """Return a schedule that goes through a kernel row by row; None where that isn't what it does."""
    lanes = vector_bits(target) // 32
    schedule = Schedule(protected(module), debug_mask="none")
    try:
        rows = _Rows(schedule, lanes)
        if not rows.found:
            return None
        rows.schedule()
    except Exception:  # what can't be computed within a row, whatever a primitive says to that
        return None
    flops = tvm.s_tir.analysis.estimate_tir_flops
    return schedule if flops(schedule.mod) <= _REPEATED * flops(module) else None


class _Rows:
    """The blocks of a kernel, by what they are to its rows."""

    def __init__(self, schedule: Schedule, lanes: int) -> None:
        self._schedule, self._lanes = schedule, lanes
        self._blocks = list(schedule.get_child_blocks(schedule.get_sblock("root")))
        self._summing = [block for block in self._blocks if _summed(schedule.get(block))]
        # How many loops count rows.
        self._outer = min((len(_extents(schedule.get(block))) for block in self._summing), default=0)

    @property
    def found(self) -> bool:
        """Whether all of the kernel is rows: sums over whole vectors of them, and what has as many rows.

        A sum of anything else loses the condition that says where its row ends, when TVM moves it.
        """
        if not self._outer or self._blocks[-1] in self._summing:
            return False
        bodies = [self._schedule.get(block) for block in self._blocks]
        if any(not _in_order(body) or not _wide(body) for body in bodies):
            return False
        rows = _extents(bodies[-1])[:-1]
        if len(rows) != self._outer:
            return False
        return all(
            _extents(body)[: len(rows)] == rows
            and len(_extents(body)) <= len(rows) + 1
            and all(extent % self._lanes == 0 for extent in _summed(body))
            and len(_summed(body)) <= 1
            for body in bodies
        )

    def schedule(self) -> None:
        """Have one loop over rows, and all blocks in it."""
        schedule = self._schedule
        *before, last = self._blocks
        sums: list[Any] = []
        kept: list[Any] = []
        for block in before:
            if block in self._summing:
                parts = self._in_parts(block)
                sums += parts
                kept += [*parts, block]
            elif len(schedule.get_consumers(block)) == 1:
                schedule.compute_inline(block)
            else:
                kept.append(block)
        row = schedule.fuse(*schedule.get_loops(last)[: self._outer])
        schedule.parallel(row)
        for block in reversed(kept):
            schedule.compute_at(block, row)
        for block in (*kept, last):
            if block in sums:
                inner, summed = schedule.get_loops(block)[-2:]
                schedule.reorder(summed, inner)
                schedule.vectorize(inner)
                schedule.decompose_reduction(block, summed)
            elif _extents(schedule.get(block))[self._outer :] and not self._rest(block):
                *_, vector = schedule.split(schedule.get_loops(block)[-1], [None, self._lanes])
                schedule.vectorize(vector)

    def _rest(self, block: Any) -> int:
        """Return what no vector of a row holds. LLVM makes vectors of such a loop, and TVM none."""
        return _extents(self._schedule.get(block))[-1] % self._lanes

    def _in_parts(self, block: Any) -> list[Any]:
        """Sum a vector of numbers at a time, and then four of what it holds."""
        parts = []
        for count in (self._lanes, _LAST):
            # The sum's loop is behind those over rows at first, and behind a new one then.
            *_, part = self._schedule.split(self._schedule.get_loops(block)[-1], [None, count])
            parts.append(self._schedule.rfactor(part, factor_axis=self._outer))
            if self._lanes <= _LAST:
                break
        return parts


def _is_sum(iteration: Any) -> bool:
    return bool(int(iteration.iter_type) == tirx.IterVar.CommReduce)


def _extents(body: Any) -> tuple[int, ...]:
    return tuple(int(iteration.dom.extent) for iteration in body.iter_vars if not _is_sum(iteration))


def _summed(body: Any) -> tuple[int, ...]:
    return tuple(int(iteration.dom.extent) for iteration in body.iter_vars if _is_sum(iteration))


def _in_order(body: Any) -> bool:
    """Say whether a block writes one buffer, each number at the place that its loops count."""
    if len(body.writes) != 1:
        return False
    spatial = [iteration.var for iteration in body.iter_vars if not _is_sum(iteration)]
    places = [part.min for part in body.writes[0].region]
    return len(places) == len(spatial) and all(
        place.same_as(var) or (isinstance(place, tirx.IntImm) and int(place) == 0)
        for place, var in zip(places, spatial, strict=True)
    )


def _wide(body: Any) -> bool:
    """Say whether numbers are of 32 bits or fewer, so that a vector of sums holds as many of them."""
    return bool(DataType(str(body.writes[0].source.dtype)).bits <= 32)
