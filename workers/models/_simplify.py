"""Folding what depends on no input, so that every shape is known before the model is compiled."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import onnx
import onnxruntime

from workers.models import _graphs, _mapped
from workers.models._reference import with_weights
from workers.models._slim import slim

__all__ = ["SIMPLIFIERS", "Simplifier"]


def _with_onnxruntime(model: onnx.ModelProto, store: _mapped.Store) -> onnx.ModelProto:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 4
    kept = with_weights(options, model)
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "model.onnx"
        options.optimized_model_filepath = str(saved)
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        del kept
        simplified = onnx.load(saved)
    _mapped.put_outside(simplified, store)
    foreign = sorted({n.domain for n in _graphs.nodes(simplified)} - set(_graphs.STANDARD_DOMAINS))
    if foreign:
        raise ValueError(f"onnxruntime wrote operators of {', '.join(foreign)}")
    return simplified


Simplifier = tuple[str, Callable[[onnx.ModelProto, _mapped.Store], onnx.ModelProto]]

# Tried in this order; the next only where the one before fails or changes the outputs.
#
# onnxslim (MIT, released monthly) first: it keeps float16 and the standard's larger operators as they are.
# onnxruntime's offline optimization writes what its own CPU kernels need: float16 becomes float32 between
# casts, and GroupNormalization is taken apart, which would be tuned so. onnxsim leaves an If with a constant
# condition in place (its issue 275), and wrote an invalid model for a voice detector that has one.
SIMPLIFIERS: tuple[Simplifier, ...] = (
    ("onnxslim", slim),
    ("onnxruntime", _with_onnxruntime),
)
