"""Modules that stay as they are whatever schedule is applied to them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tvm.ir import IRModule
from tvm.s_tir import SBlockRealize
from tvm.tirx import PrimFunc, SeqStmt
from tvm_ffi import Array, Object
from tvm_ffi.dataclasses import field, py_class

__all__ = ["protected"]

_ATTRIBUTE = "tunefleet.held"


@py_class("tunefleet.Held", structural_eq="tree")
class _Held(Object):  # type: ignore[misc]
    """Loops and blocks. Modules that differ in nothing else are equal, and have the same hash."""

    statements: Any = field(structural_eq="ignore")


def protected(module: IRModule) -> IRModule:
    """Return a module of the same functions that no schedule made of it can change.

    A schedule is meant to copy before it writes, but writes in place where nobody else holds what it changes.
    To find out, TVM counts the references to the loops and blocks above the change
    (``ScheduleStateNode::Replace``), and not those to what lies between them: a sequence of loops, the
    realization of a block. One annotation on the root block makes a new root around the old sequence, whose
    loops have one reference each, as if they were the schedule's own. The next change that is not to an
    outermost loop goes into the module that the schedule was made of, and whoever applies a trace to that
    next (a search, or the pass that applies records) finds another kernel.

    Here each of those loops and blocks is held once more, in an attribute of the module, and TVM copies as it
    is meant to. That costs a fraction of a copy, and does what a copy can't: an evolutionary search applies
    all its traces to one copy that it makes itself, which is as open to this as its original, but comes with
    the attribute.
    """
    if module.attrs is not None and _ATTRIBUTE in module.attrs:
        return module
    functions = [func for func in module.functions.values() if isinstance(func, PrimFunc)]
    held = [statement for func in functions for statement in _hidden(func.body)]
    if not held:
        return module
    attrs = {} if module.attrs is None else dict(module.attrs)
    return IRModule(module.functions, attrs={**attrs, _ATTRIBUTE: _Held(Array(held))})


def _hidden(statement: Any) -> Iterator[Any]:
    """Find what the counting doesn't reach: the parts of sequences, and the blocks of realizations."""
    if isinstance(statement, SeqStmt):
        parts = list(statement.seq)
        yield from parts
    elif isinstance(statement, SBlockRealize):
        parts = [statement.block.body]
        yield statement.block
    else:
        names = ("body", "then_case", "else_case")
        parts = [part for name in names if (part := getattr(statement, name, None)) is not None]
    for part in parts:
        yield from _hidden(part)
