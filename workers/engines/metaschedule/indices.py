"""What an index of a buffer is made of."""

from __future__ import annotations

from typing import Any

from tvm import tirx

__all__ = ["moves"]


def moves(index: Any) -> dict[str, float] | None:
    """Return by how much an index grows with each variable; None where it is no sum of them.

    A variable may be divided by a number, as a channel's place among blocks is, or be what remains of that.
    """
    match index:
        case tirx.Var():
            return {index.name: 1.0}
        case tirx.IntImm():
            return {}
        case tirx.Add():
            one, other = moves(index.a), moves(index.b)
            if one is None or other is None or set(one) & set(other):
                return None
            return one | other
        case tirx.Mul() | tirx.FloorDiv() if isinstance(index.b, tirx.IntImm):
            by = int(index.b) if isinstance(index, tirx.Mul) else 1 / int(index.b)
            inner = moves(index.a)
            return None if inner is None else {name: by * each for name, each in inner.items()}
        case tirx.FloorMod() | tirx.Min() if isinstance(index.b, tirx.IntImm):
            return moves(index.a)  # no farther than its dimension reaches
    return None
