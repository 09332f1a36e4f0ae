"""What was written, held against the original.

All that follows is compared with this form of a model, so that a fault in it would be seen by nobody before
a library is run beside the file.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from workers.errors import ModelError
from workers.messages import TensorSpec
from workers.models._compare import compare
from workers.models._inputs import random_inputs
from workers.models._reference import open_session, run_session

__all__ = ["difference"]

# Rows of an open number.
_ROWS = 32
# Beyond [-1, 1), which the ends of trees may be.
_SCALES = (1.0, 6.0)


def difference(model: onnx.ModelProto, written: onnx.ModelProto) -> str:
    """Say how far two models' outputs of floats are from each other; empty where they agree.

    So it is where the original doesn't run on what is drawn here: it isn't known what it wants. Labels follow
    from the scores, and may be others where two are equal but for rounding.
    """
    specs = _specs(model)
    try:
        original = open_session(model.SerializeToString(), 1, optimize=False)
        wanted = [run_session(original, draw) for draw in _draws(specs)]
    except ModelError:
        return ""
    try:
        session = open_session(written.SerializeToString(), 1, optimize=False)
        for draw, want in zip(_draws(specs), wanted, strict=True):
            for name, one, other in zip(
                (value.name for value in model.graph.output), run_session(session, draw), want, strict=True
            ):
                if isinstance(other, np.ndarray) and other.dtype.kind == "f":
                    found = compare([one], [other])
                    if not found.ok:
                        return f"output '{name}' {found.reason}"
    except ModelError as error:
        return str(error)
    return ""


def _specs(model: onnx.ModelProto) -> list[TensorSpec]:
    stored = {tensor.name for tensor in model.graph.initializer}
    return [
        TensorSpec(
            value.name,
            tuple(dim.dim_value or _ROWS for dim in value.type.tensor_type.shape.dim),
            helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name,
        )
        for value in model.graph.input
        if value.name not in stored
    ]


def _draws(specs: list[TensorSpec]) -> list[dict[str, npt.NDArray[Any]]]:
    drawn = random_inputs(specs, 0)
    return [
        {name: v * v.dtype.type(scale) if v.dtype.kind == "f" else v for name, v in drawn.items()}
        for scale in _SCALES
    ]
