"""Parts of a model that are in blocks, and which of them had better not be.

A part is what hangs together in blocks: its convolutions, and the transforms at its edges. Where these take
longer than the convolutions gain, the part is left in NCHW.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tvm import relax
from tvm.ir import IRModule
from tvm.target import Target

from workers.engines.metaschedule.layouts.costs import Convolution, Rates, convolutions_by_name
from workers.engines.metaschedule.layouts.mutator import Blocks
from workers.engines.metaschedule.layouts.transforms import PutIn, Transform

__all__ = ["losing"]


@dataclass
class _Part:
    convolutions: dict[relax.Var, Convolution] = field(default_factory=dict)
    transforms: list[Transform] = field(default_factory=list)


def losing(
    module: IRModule, rewrite: Blocks, transforms: Iterable[PutIn], target: Target
) -> frozenset[relax.Var]:
    """Return the convolutions of the parts that take longer in blocks than they would in NCHW.

    Parameters
    ----------
    module : IRModule
        What was rewritten.
    rewrite : Blocks
        That did it.
    transforms : iterable of PutIn
        That are needed.
    """
    rates = Rates(target)

    def loses(part: _Part) -> bool:
        blocked = [rewrite.as_computed(var, one) for var, one in part.convolutions.items()]
        gain = rates.convolving_s(part.convolutions.values(), "nchw") - rates.convolving_s(blocked, "blocked")
        return rates.moving_s(part.transforms) > gain

    return frozenset(
        var for part in _parts(module, rewrite, transforms) if loses(part) for var in part.convolutions
    )


def _parts(module: IRModule, rewrite: Blocks, transforms: Iterable[PutIn]) -> Iterable[_Part]:
    known = dict(convolutions_by_name(module))
    joined: dict[relax.Var, relax.Var] = {}
    member_of: dict[relax.Expr, relax.Var] = {}

    def first(var: relax.Var) -> relax.Var:
        while joined[var] != var:
            joined[var] = var = joined[joined[var]]
        return var

    for block in module["main"].body.blocks:
        for binding in block.bindings:
            made = rewrite.made_of(binding.var)
            read = [var for var in relax.analysis.free_vars(binding.value) if var in joined]
            # A convolution that makes a plain tensor of one in blocks is of the part that it reads.
            if not made and not (read and binding.var in known):
                continue
            joined[binding.var] = binding.var
            for var in read:
                joined[first(var)] = first(binding.var)
            member_of |= dict.fromkeys(made, binding.var)
    parts: dict[relax.Var, _Part] = {}
    for var, convolution in known.items():
        if var in joined:
            parts.setdefault(first(var), _Part()).convolutions[var] = convolution
    for transform, _, of, reader in transforms:
        var = member_of.get(of, reader)
        if var in joined:
            parts.setdefault(first(var), _Part()).transforms.append(transform)
    return parts.values()
