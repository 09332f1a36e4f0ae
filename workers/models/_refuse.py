"""What no engine can take, said before any work is done."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import onnx

from workers.errors import ModelError
from workers.models import _graphs, _mapped
from workers.models._reference import loads
from workers.models.rewrites import microsoft

__all__ = ["check_valid", "refuse_unsupported"]

_RANDOM = {
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
}

# What numpy holds without help, so that it can be drawn, fed to onnxruntime and compared.
_ELEMENT_TYPES = {
    onnx.TensorProto.FLOAT16,
    onnx.TensorProto.FLOAT,
    onnx.TensorProto.DOUBLE,
    onnx.TensorProto.INT8,
    onnx.TensorProto.INT16,
    onnx.TensorProto.INT32,
    onnx.TensorProto.INT64,
    onnx.TensorProto.UINT8,
    onnx.TensorProto.UINT16,
    onnx.TensorProto.UINT32,
    onnx.TensorProto.UINT64,
    onnx.TensorProto.BOOL,
}

_LISTED = 3

# What to do about operators outside the standard, by their domains.
_ADVICE = (
    (
        "com.microsoft.nchwc",
        "onnxruntime's layout optimization wrote them for one kind of CPU; "
        "save the model with ORT_ENABLE_EXTENDED instead of ORT_ENABLE_ALL",
    ),
    (
        "com.ms.internal.nhwc",
        "onnxruntime wrote them for one kind of device; "
        "save the model with ORT_ENABLE_BASIC, or for CPUExecutionProvider",
    ),
)
_QUANTIZED = re.compile(r"^Q|Quant|^DequantizeLinear$|NBits|Bnb4|FpQ4|Integer|Float8|BFP|FP[48]|WithOrder")
_FUSED_QUANTIZED = (
    "they are of a quantized model; quantize it in the QDQ format (QuantFormat.QDQ), "
    "and save it with ORT_ENABLE_BASIC where onnxruntime saves it"
)


def _type_name(value: Any) -> str:
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        return (kind or "nothing").removesuffix("_type").replace("_", " ")
    number = value.type.tensor_type.elem_type
    if number not in onnx.TensorProto.DataType.values():
        return f"tensor of an unknown type, {number}"
    return str(onnx.TensorProto.DataType.Name(number)).lower() + " tensor"


def _refuse_types(role: str, values: Iterable[Any], path: Path) -> None:
    for value in values:
        tensor = value.type.WhichOneof("value") == "tensor_type"
        if not tensor or value.type.tensor_type.elem_type not in _ELEMENT_TYPES:
            raise ModelError(
                f"{path}: {role} '{value.name}' is a {_type_name(value)}; only tensors of numbers or bool "
                "can be tuned; cut the model so that this part stays outside"
            )


def _advice(node: Any) -> str:
    for domain, advice in _ADVICE:
        if node.domain == domain:
            return advice
    if node.domain == "com.microsoft" and _QUANTIZED.search(node.op_type):
        return _FUSED_QUANTIZED
    return "export the model without them"


def _refuse_operators(model: onnx.ModelProto, path: Path) -> None:
    foreign = [
        node
        for node in _graphs.nodes(model)
        if node.domain not in _graphs.STANDARD_DOMAINS and not microsoft.known(node)
    ]
    if foreign:
        listed = "; ".join(
            f"{node.op_type} of domain '{node.domain}' (node {_graphs.title(node)})"
            for node in foreign[:_LISTED]
        )
        more = f"; and {len(foreign) - _LISTED} more" if len(foreign) > _LISTED else ""
        raise ModelError(
            f"{path}: operators outside the ONNX standard can't be imported: {listed}{more}; "
            f"{_advice(foreign[0])}"
        )


def refuse_inputs(model: onnx.ModelProto, path: Path) -> None:
    """Refuse inputs that can't be drawn, and operators that draw numbers themselves.

    Raises
    ------
    ModelError
    """
    stored = {tensor.name for tensor in model.graph.initializer}
    _refuse_types("input", (value for value in model.graph.input if value.name not in stored), path)
    for node in _graphs.nodes(model):
        if node.op_type in _RANDOM:
            raise ModelError(
                f"{path}: operator {node.op_type} (node {_graphs.title(node)}) draws random numbers, so that "
                "no output can be checked; make what it draws an input of the model"
            )


def _refuse_references(model: onnx.ModelProto, path: Path) -> None:
    """Refuse attributes that name one of a function, where there is no function around them any more."""
    for node in _graphs.nodes(model):
        for attribute in node.attribute:
            if attribute.ref_attr_name:
                raise ModelError(
                    f"{path}: attribute '{attribute.name}' of {node.op_type} (node {_graphs.title(node)}) is "
                    f"'{attribute.ref_attr_name}' of a function, and the node is in none"
                )


def refuse_unsupported(model: onnx.ModelProto, path: Path) -> None:
    """Refuse outputs and operators that can't be tuned.

    Raises
    ------
    ModelError
    """
    _refuse_types("output", model.graph.output, path)
    _refuse_operators(model, path)
    _refuse_references(model, path)


def check_valid(model: onnx.ModelProto, path: Path) -> list[str]:
    """Refuse what ``onnx.checker`` refuses and onnxruntime does too.

    The checker is stricter than what runs models: it wants a shape of every output, and knows no operator
    that the model's version calls deprecated.

    Returns
    -------
    list of str
        One sentence where the two are of different opinions.

    Raises
    ------
    ModelError
        With the checker's first line; the rest of its text repeats the graph.
    """
    if not model.graph.node:
        raise ModelError(f"{path} holds no operators; it may be cut off")
    try:
        onnx.checker.check_model(_mapped.with_weights_as_inputs(model))
    except onnx.checker.ValidationError as error:
        reason = str(error).strip().splitlines()[0]
        original = onnx.ModelProto()
        original.CopyFrom(model)
        microsoft.as_onnxruntime_has_it(original)
        if not loads(original):
            raise ModelError(f"{path} is not a valid ONNX model: {reason}") from None
        return [f"taken as onnxruntime takes it, though the ONNX checker says: {reason}"]
    return []
