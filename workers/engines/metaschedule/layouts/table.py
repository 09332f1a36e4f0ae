"""Which operator is rewritten by what: files of :mod:`.operators` fill the table."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from tvm import relax

from workers.engines.metaschedule.layouts.tensors import Blocked

if TYPE_CHECKING:
    from workers.engines.metaschedule.layouts.mutator import Blocks

__all__ = ["Made", "Rewrite", "operator", "operator_on_blocks", "rewrite_of"]

#: A tensor in blocks; or one as the model has it, made of others in blocks; or None, where the operator has
#: to stay as it was.
Made: TypeAlias = Blocked | relax.Expr | None
#: Of the mutator, and a call as the model has it.
Rewrite: TypeAlias = Callable[["Blocks", relax.Call], Made]
_TABLE: dict[str, Rewrite] = {}


def operator(*names: str) -> Callable[[Rewrite], Rewrite]:
    """Enter a function as what rewrites the operators of these names."""

    def enter(function: Rewrite) -> Rewrite:
        for name in names:
            if name in _TABLE:
                raise ValueError(f"two functions rewrite {name}")
            _TABLE[name] = function
        return function

    return enter


def operator_on_blocks(*names: str) -> Callable[[Callable[[Blocks, relax.Call, Blocked], Made]], Any]:
    """Enter a function as what rewrites operators whose first argument is in blocks; it is the third here."""

    def enter(function: Callable[[Blocks, relax.Call, Blocked], Made]) -> Any:
        def rewrite(blocks: Blocks, call: relax.Call) -> Made:
            data = blocks.of(call.args[0])
            return None if data is None else function(blocks, call, data)

        operator(*names)(rewrite)
        return function

    return enter


def rewrite_of(name: str) -> Rewrite | None:
    """Return what rewrites an operator, if anything does."""
    return _TABLE.get(name)
