"""Which operator is rewritten by what: files of :mod:`.operators` fill the table."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from tvm import relax

from workers.engines.metaschedule.layouts.joined import Joined
from workers.engines.metaschedule.layouts.tensors import Blocked, View

if TYPE_CHECKING:
    from workers.engines.metaschedule.layouts.mutator import Blocks

__all__ = ["Made", "Rewrite", "operator", "operator_on_blocks", "operator_on_views", "rewrites_of"]

#: A tensor in blocks, or channels of several, or a view of one; or one as the model has it, made of others in
#: blocks; or several of these, where the operator makes several; or None, where it has to stay as it was.
Made: TypeAlias = "Blocked | Joined | View | relax.Expr | list[Blocked | Joined | relax.Expr] | None"
#: Of the mutator, and a call as the model has it.
Rewrite: TypeAlias = Callable[["Blocks", relax.Call], Made]
_TABLE: dict[str, list[Rewrite]] = {}


def operator(*names: str) -> Callable[[Rewrite], Rewrite]:
    """Enter a function as what rewrites the operators of these names.

    Several may be entered for one name; the first that makes something is taken.
    """

    def enter(function: Rewrite) -> Rewrite:
        for name in names:
            _TABLE.setdefault(name, []).append(function)
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


def operator_on_views(*names: str) -> Callable[[Callable[[Blocks, relax.Call, View], Made]], Any]:
    """Enter a function as what rewrites operators whose first argument is a view; it is the third here."""

    def enter(function: Callable[[Blocks, relax.Call, View], Made]) -> Any:
        def rewrite(blocks: Blocks, call: relax.Call) -> Made:
            view = blocks.view(call.args[0])
            return None if view is None else function(blocks, call, view)

        operator(*names)(rewrite)
        return function

    return enter


def rewrites_of(name: str) -> list[Rewrite]:
    """Return what rewrites an operator, in the order in which it is asked."""
    return _TABLE.get(name, [])
