"""Keras models as ONNX, by tf2onnx or by Keras itself. Runs in the environment for Keras."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["export"]


def export(path: Path, make: Callable[[], Any], *, own: bool, opset: int) -> None:
    """Write a model with a batch of one."""
    import keras
    import tensorflow

    keras.utils.set_random_seed(1)
    model = make()
    inputs = [
        tensorflow.TensorSpec((1, *one.shape[1:]), one.dtype, name=f"input_{place}")
        for place, one in enumerate(model.inputs)
    ]
    if own:
        model.export(str(path), format="onnx", verbose=False, input_signature=inputs, opset_version=opset)
        return
    import tf2onnx

    traced = tensorflow.function(
        lambda *values: model(list(values) if len(values) > 1 else values[0], training=False),
        input_signature=inputs,
    )
    tf2onnx.convert.from_function(traced, input_signature=inputs, opset=opset, output_path=str(path))
