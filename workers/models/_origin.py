"""What a model was converted from, in the file itself: it stays true wherever that is copied to."""

from __future__ import annotations

import onnx
from onnx import helper

from workers.messages import Origin

__all__ = ["put_origin", "take_origin"]

_PREFIX = "tunefleet."
_NAMES = ("source", "framework", "exporter")


def put_origin(model: onnx.ModelProto, origin: Origin) -> None:
    """Write it into a model's metadata."""
    take_origin(model)
    known = {entry.key: entry.value for entry in model.metadata_props}
    helper.set_model_props(model, known | {_PREFIX + name: getattr(origin, name) for name in _NAMES})


def take_origin(model: onnx.ModelProto) -> Origin | None:
    """Return what a model's metadata say, and take it out of there: no engine needs to know."""
    known = {entry.key: entry.value for entry in model.metadata_props}
    found = [known.pop(_PREFIX + name, "") for name in _NAMES]
    if not found[0]:
        return None
    helper.set_model_props(model, known)
    return Origin(*found)
