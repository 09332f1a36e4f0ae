"""What MetaSchedule is told to make design spaces by, and to finish schedules with."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tvm.ir import IRModule
from tvm.s_tir import meta_schedule as ms
from tvm.target import Target

from workers.engines.metaschedule.dot_products import (
    DotProduct,
    named_products_of,
    register_dot_products,
)
from workers.engines.metaschedule.workload import only_function

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
    dots = [dot for dot in named_products_of(target) if _multiplies(module, dot)]
    generator: Any = "post-order-apply"
    if dots:
        register_dot_products(target)
        generator = _tensorizing(dots[0])
    return ms.TuneContext(
        mod=module,
        target=target,
        space_generator=generator,
        rand_state=seed,
        # One search per core: the searches of several tasks run side by side.
        num_threads=1,
        **more,
    )


def _multiplies(module: IRModule, dot: DotProduct) -> bool:
    params = only_function(module).params[:-1]
    read = Counter(str(param.ty.dtype) for param in params if hasattr(param.ty, "dtype"))
    return Counter((dot.data, dot.weights)) <= read


def _tensorizing(dot: DotProduct) -> ms.space_generator.PostOrderApply:
    rules = list(ms.schedule_rule.ScheduleRule.create("llvm"))
    tiling = next(
        place for place, rule in enumerate(rules) if isinstance(rule, ms.schedule_rule.MultiLevelTiling)
    )
    rules.insert(
        tiling,
        ms.schedule_rule.MultiLevelTilingWithIntrin(
            dot.name,
            structure=_STRUCTURE,
            max_innermost_factor=_LARGEST,
            reuse_write=ms.schedule_rule.ReuseType(req="may", levels=[1, 2], scope="global"),
        ),
    )
    finishing = list(ms.postproc.Postproc.create("llvm"))
    layout = next(
        place for place, post in enumerate(finishing) if isinstance(post, ms.postproc.RewriteLayout)
    )
    finishing.insert(layout, ms.postproc.RewriteTensorize(vectorize_init_loop=True))
    return ms.space_generator.PostOrderApply(
        sch_rules=rules, postprocs=finishing, mutator_probs=ms.mutator.Mutator.create("llvm")
    )
