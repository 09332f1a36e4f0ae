"""Arrays of numbers as they cross between processes. numpy is imported where they are made, not here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["Array"]

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]
else:
    Array = Any
