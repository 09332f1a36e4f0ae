"""Names in a model that are no text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx

from workers.errors import ModelError

__all__ = ["refuse_names_that_are_no_text"]

_SHOWN = 40


def refuse_names_that_are_no_text(model: onnx.ModelProto, path: Path) -> None:
    """Refuse a model with a name that isn't UTF-8, as ONNX and every tool that reads it want.

    protobuf gives such a name as bytes, and what compares or joins it with others fails somewhere.

    Raises
    ------
    ModelError
    """
    for text in _texts(model):
        if isinstance(text, bytes):
            shown = repr(text[:_SHOWN]).removeprefix("b")
            raise ModelError(
                f"{path} is damaged: a name or a text in it is {shown}, which is not UTF-8; download or "
                "export the model again"
            )


def _texts(message: Any) -> Iterator[str | bytes]:
    """Go over every text of a message, and of those in it."""
    if isinstance(message, onnx.TensorProto):
        # Not over all of its fields: that would copy its data.
        yield message.name
        yield message.doc_string
        for entry in message.external_data:
            yield from _texts(entry)
        return
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for inner in (value,) if hasattr(value, "ListFields") else value:
                yield from _texts(inner)
        elif field.type == field.TYPE_STRING:
            yield from (value,) if isinstance(value, str | bytes) else value
