"""What a model was converted from, in the JSON documents of the commands that name it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workers.messages import Origin

__all__ = ["origin_document"]


def origin_document(origin: Origin | None) -> dict[str, Any] | None:
    """What a model was converted from; None where it came as ONNX."""
    return None if origin is None else asdict(origin)
