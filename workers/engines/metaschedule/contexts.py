"""What MetaSchedule is told to make design spaces by, and to finish schedules with."""

from __future__ import annotations

from typing import Any

import tvm
from tvm.ir import IRModule
from tvm.ir.utils import derived_object
from tvm.s_tir import Schedule
from tvm.s_tir import meta_schedule as ms
from tvm.target import Target

from workers.engines.metaschedule.tensorized import intrinsic_for
from workers.engines.metaschedule.tiles import Tiles, tiles_named

__all__ = ["tune_context"]

# As MetaSchedule tiles on CPUs, and no tile of more than 64.
_STRUCTURE, _LARGEST = "SSRSRS", 64


def tune_context(module: IRModule, target: Target, *, seed: int = 1, **more: Any) -> ms.TuneContext:
    """Return what generates the design spaces of a kernel.

    MetaSchedule's own rules for the target; and where the kernel multiplies integers or bfloat16 that the
    target has an instruction for, that too: TVM's rules know it for bytes and AVX-512 alone.

    Parameters
    ----------
    module : IRModule
        One kernel, :func:`~.protected.protected`.
    more
        As ``TuneContext`` takes it: a strategy, a name.

    Notes
    -----
    :func:`~._intrinsics.register_intrinsics` comes before.
    """
    intrinsic = intrinsic_for(module, target)
    generator: Any = _tensorizing(intrinsic) if intrinsic else "post-order-apply"
    return ms.TuneContext(
        mod=module,
        target=target,
        space_generator=generator,
        rand_state=seed,
        # One search per core: the searches of several tasks run side by side.
        num_threads=1,
        **more,
    )


def _tensorizing(intrinsic: str) -> ms.space_generator.PostOrderApply:
    rules = list(ms.schedule_rule.ScheduleRule.create("llvm"))
    tiling = next(
        place for place, rule in enumerate(rules) if isinstance(rule, ms.schedule_rule.MultiLevelTiling)
    )
    how = {
        "structure": _STRUCTURE,
        "max_innermost_factor": _LARGEST,
        "reuse_write": ms.schedule_rule.ReuseType(req="may", levels=[1, 2], scope="global"),
    }
    tiles = tiles_named(intrinsic)
    rules.insert(
        tiling,
        ms.schedule_rule.MultiLevelTilingWithIntrin(intrinsic, **how)
        if tiles is None
        else _OfTiles(tiles, ms.schedule_rule.MultiLevelTiling(**how)),
    )
    finishing = list(ms.postproc.Postproc.create("llvm"))
    layout = next(
        place for place, post in enumerate(finishing) if isinstance(post, ms.postproc.RewriteLayout)
    )
    # Sums of tiles begin with two loops, of which TVM makes no vectors, and LLVM does.
    finishing.insert(layout, ms.postproc.RewriteTensorize(vectorize_init_loop=tiles is None))
    return ms.space_generator.PostOrderApply(
        sch_rules=rules, postprocs=finishing, mutator_probs=ms.mutator.Mutator.create("llvm")
    )


@derived_object
class _OfTiles(ms.schedule_rule.PyScheduleRule):  # type: ignore[misc]
    """Tile what is outside of an intrinsic.

    As TVM's own rule for one, which wants each of its indices to be a single loop.
    """

    def __init__(self, tiles: Tiles, outside: ms.schedule_rule.ScheduleRule) -> None:
        super().__init__()
        self._tiles, self._outside = tiles, outside

    def _initialize_with_tune_context(self, context: ms.TuneContext) -> None:
        self._outside._initialize_with_tune_context(context)

    def apply(self, schedule: Schedule, block: Any) -> list[Schedule]:
        """Return schedules of a block, itself alone where it is no product."""
        if not self._tiles.multiply(schedule.get(block)):
            return [schedule]
        whole = schedule.blockize(_tiled_for(schedule, block, self._tiles.name, False))
        # What is within is tiled already; the next rule would do it again.
        schedule.annotate(block, "meta_schedule.tiling_structure", _STRUCTURE)
        schedule.annotate(whole, "meta_schedule.auto_tensorize", self._tiles.name)
        return list(self._outside.apply(schedule, whole))

    def clone(self) -> Any:
        """Return another one."""
        return _OfTiles(self._tiles, self._outside.clone())


_tiled_for = tvm.get_global_func("s_tir.schedule.TileWithTensorIntrin")
