"""A float32 model as one of float16, by onnxruntime's converter."""

from __future__ import annotations

import warnings

import onnx

from workers.models.precision.integers import quietly

__all__ = ["in_halves"]


def in_halves(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model that computes in float16, and takes and returns what it did before."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    with quietly(), warnings.catch_warnings():
        # Of weights that float16 has no place for: the comparison shows what becomes of it.
        warnings.simplefilter("ignore")
        made: onnx.ModelProto = convert_float_to_float16(model, keep_io_types=True)
    return made
