"""Operators that ONNX defines as functions of others, put in the place of their names."""

from __future__ import annotations

from collections import Counter

import onnx
import onnx.inliner
from onnx import helper

from workers.errors import ModelError
from workers.models import _graphs

__all__ = ["inline_functions"]

# Those that TVM 0.27 has no converter for, or one of another meaning: its Attention is that of
# com.microsoft (apache/tvm 18541).
_INLINED = {
    "Attention",
    "Celu",
    "CenterCropPad",
    "LinearAttention",
    "NegativeLogLikelihoodLoss",
    "RotaryEmbedding",
    "SequenceMap",
    "SoftmaxCrossEntropyLoss",
    "SwiGLU",
    "Swish",
    "BlackmanWindow",
    "HammingWindow",
    "HannWindow",
}
# Up to opset 20 its scale is one of each group, which TVM takes for one of each channel.
_GROUPS_CHANGED = 21


def inline_functions(model: onnx.ModelProto) -> tuple[onnx.ModelProto, list[str]]:
    """Return a model without functions of its own, and without those of ONNX that TVM doesn't read.

    Returns
    -------
    tuple of (onnx.ModelProto, list of str)
        The model, which is the one that was given where nothing was to be done, and one sentence for each
        kind of function.
    """
    changes = []
    if model.functions:
        changes.append(f"inlined {len(model.functions)} functions that the model defines")
        try:
            model = onnx.inliner.inline_local_functions(model, convert_version=True)
        except RuntimeError as error:  # functions of each other, another number of inputs
            raise ModelError(
                f"the functions that the model defines can't be inlined: {str(error).splitlines()[0]}"
            ) from None
    version = _graphs.opset(model)
    wanted = _INLINED | ({"GroupNormalization"} if version < _GROUPS_CHANGED else set())
    counts = Counter(
        node.op_type
        for node in _graphs.nodes(model)
        if node.op_type in wanted and node.domain in _graphs.STANDARD_DOMAINS
    )
    if not counts:
        return model, changes
    names = [("", name) for name in sorted(counts)]
    # Some of them are other operators for other types of their inputs.
    typed = _with_constants_typed(_graphs.infer_shapes(model))
    inlined = onnx.inliner.inline_selected_functions(
        typed, names, exclude=False, inline_schema_functions=True
    )
    left = Counter(node.op_type for node in _graphs.nodes(inlined))
    for name, count in sorted(counts.items()):
        if left[name] < count:
            changes.append(f"wrote {count - left[name]} {name} as the function that it is in ONNX")
    return inlined, changes


def _with_constants_typed(model: onnx.ModelProto) -> onnx.ModelProto:
    """Say of every constant which type it has: the inliner looks at no initializer."""
    for graph in _graphs.graphs(model):
        known = {value.name for value in (*graph.value_info, *graph.input)}
        graph.value_info.extend(
            helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
            for tensor in graph.initializer
            if tensor.name not in known
        )
    return model
