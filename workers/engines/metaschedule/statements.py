"""Statements of a kernel, in the order in which they are run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tvm.s_tir import SBlockRealize
from tvm.tirx import SeqStmt

__all__ = ["statements"]


def statements(statement: Any) -> Iterator[Any]:
    """Yield a statement of a kernel, and what is within it."""
    yield statement
    parts = list(statement.seq) if isinstance(statement, SeqStmt) else []
    if isinstance(statement, SBlockRealize):
        parts.append(statement.block.body)
    parts += [getattr(statement, name, None) for name in ("body", "then_case", "else_case")]
    for part in parts:
        if part is not None:
            yield from statements(part)
