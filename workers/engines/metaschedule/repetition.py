"""Kernels in which the same numbers would be computed again and again.

What a kernel computes element by element is inlined into what reads it, once for each place where it is
read. So a chain of functions that read a number three times each computes the first of them 3, 9, 27 times:
LLVM finds most of that out again, and takes minutes for it. Where it grows too large, the kernel ends there,
and the next begins with what it has written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import tvm
from tvm import relax
from tvm.ir import IRModule
from tvm.ir.expr import TensorLoad
from tvm.tirx import BufferStore, PrimFunc

from workers.engines.metaschedule.fusing import INJECTIVE, JOINED_BY_ELEMENTS, pattern_of
from workers.engines.metaschedule.layouts.tensors import is_call, values_of
from workers.engines.metaschedule.statements import statements

__all__ = ["without_repetition"]

# Operations and elements read that one number of a kernel is made of, at most.
_MOST = 1200


def without_repetition(module: IRModule) -> IRModule:
    """Return a module of kernels in which none is to be joined so that a number takes too many operations.

    Parameters
    ----------
    module : IRModule
        A model whose operators are kernels with patterns, not joined yet.
    """
    apart = _too_large(module)
    if not apart:
        return module
    rewrite = _Apart(module, apart)
    rewrite.builder_.update_func(module.get_global_var("main"), rewrite.visit_expr(module["main"]))
    return rewrite.builder_.finalize()


def _too_large(module: IRModule) -> set[Any]:
    """Return the calls that kernels end before."""
    values = values_of(module)
    inlined = {var: value for var, value in values.items() if _is_inlined(value, module)}
    # What something else reads too is written, and read from there.
    others = [value for var, value in values.items() if var not in inlined]
    written = {var for value in others for var in relax.analysis.free_vars(value)}
    found: set[Any] = set()
    texts: dict[str, _Text] = {}
    sizes: dict[Any, float] = {}
    for var, call in inlined.items():
        kernel, parts = call.args[0].name_hint, list(call.args[1])
        text = texts.get(kernel)
        if text is None:
            text = texts[kernel] = _Text.of(module[kernel])
        sizes[var] = text.size([sizes.get(part, 1) for part in parts])
        if sizes[var] > _MOST and any(sizes.get(part, 1) > 1 for part in parts):
            found.add(call)
            sizes[var] = text.size([1] * len(parts))
        if var in written:
            sizes[var] = 1
    return found


def _is_inlined(value: Any, module: IRModule) -> bool:
    """Say whether a kernel computes each number by itself, or moves it."""
    return is_call(value, "relax.call_tir") and 0 <= pattern_of(module[value.args[0]]) <= INJECTIVE


class _Text:
    """How often one number of a kernel reads each of its arguments, and what it computes besides."""

    def __init__(self, operations: float, reads: list[float]) -> None:
        self._operations, self._reads = operations, reads

    @classmethod
    def of(cls, func: PrimFunc) -> _Text:
        """Look at the kernel of one operator, whose blocks may read one another."""
        *read, written = func.params
        made: dict[Any, Counter[Any]] = {}
        for store in statements(func.body):
            if isinstance(store, BufferStore):
                made[store.buffer] = _tally(store.value, made)
        result = made.get(written, Counter())
        return cls(result[None], [result[buffer] for buffer in read])

    def size(self, parts: list[float]) -> float:
        """Say what one number is made of, from what those of its arguments are."""
        return self._operations + sum(r * size for r, size in zip(self._reads, parts, strict=False))


def _tally(expr: Any, made: Mapping[Any, Counter[Any]]) -> Counter[Any]:
    """Count what an expression reads of each buffer, and its operations, as None; all that recurs too."""
    if isinstance(expr, TensorLoad):
        return made.get(expr.source, Counter({expr.source: 1}))
    counted: Counter[Any] = Counter()
    for name in ("a", "b", "value", "body", "condition", "true_value", "false_value", "args"):
        part = getattr(expr, name, None)
        for one in part if name == "args" and part is not None else [part]:
            if isinstance(one, tvm.ir.Expr):
                counted.update(_tally(one, made))
                counted[None] += 1
    return counted


@relax.expr_functor.mutator
class _Apart(relax.expr_functor.PyExprMutator):  # type: ignore[misc]
    def __init__(self, module: IRModule, apart: set[Any]) -> None:
        super().__init__(module)
        self._module, self._apart = module, apart

    def visit_call_(self, call: relax.Call) -> relax.Expr:
        begins = call in self._apart
        call = super().visit_call_(call)
        if not begins:
            return call
        kernel = self._module[call.args[0]].with_attr("op_pattern", JOINED_BY_ELEMENTS)
        name = self.builder_.add_func(kernel, call.args[0].name_hint)
        return relax.Call(call.op, [name, *call.args[1:]], call.attrs, call.ty_args)
