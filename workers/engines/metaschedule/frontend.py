"""TVM's ONNX frontend, with weights mapped instead of read into the model first."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import tvm
from tvm.ir import IRModule
from tvm.relax.frontend.onnx.onnx_frontend import ONNXGraphImporter

from workers.enginekit.weights import mapped, place_of

__all__ = ["imported"]


def imported(model: onnx.ModelProto) -> IRModule:
    """Return a model in Relax, weights as constants.

    What ``tvm.relax.frontend.onnx.from_onnx`` does, but for having the checker copy the model once more to
    warn of what preparing it has refused.
    """
    opset = next(one.version for one in model.opset_import if one.domain in ("", "ai.onnx"))
    return _Importer({}, "float32", keep_params_in_input=False).from_onnx(model.graph, opset)


class _Importer(ONNXGraphImporter):  # type: ignore[misc]
    def _parse_array(self, tensor: onnx.TensorProto) -> Any:
        if place_of(tensor) is None:
            return super()._parse_array(tensor)
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
        return tvm.runtime.tensor(np.frombuffer(mapped(tensor), dtype).reshape(tuple(tensor.dims)))
