"""Attributes that are not what their operator's schema says, found before anything works with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
from onnx import AttributeProto, defs

from workers.errors import ModelError
from workers.models import _graphs

__all__ = ["refuse_attributes"]


def refuse_attributes(model: onnx.ModelProto, path: Path) -> None:
    """Refuse attributes of another type than the standard says, and those of a function outside of one.

    ONNX's checker and onnxruntime refuse them too. What comes before these reads attributes already.

    Raises
    ------
    ModelError
        With the node and its attribute.
    """
    # A newer one than there is means the newest, as everywhere; a damaged one is no 32-bit integer.
    version = max(0, min(_graphs.opset(model), defs.onnx_opset_version()))
    schemas: dict[str, Any] = {}
    for node in _graphs.nodes(model):
        standard = node.domain in _graphs.STANDARD_DOMAINS
        if standard and node.op_type not in schemas:
            schemas[node.op_type] = _types(node.op_type, version)
        for attribute in node.attribute:
            where = f"{path}: attribute '{attribute.name}' of {node.op_type} (node {_graphs.title(node)})"
            if attribute.ref_attr_name:
                raise ModelError(
                    f"{where} is '{attribute.ref_attr_name}' of a function, and the node is in none"
                )
            wanted = schemas[node.op_type].get(attribute.name) if standard else None
            if wanted is not None and attribute.type != wanted:
                raise ModelError(f"{where} is {_named(attribute.type)}; the operator takes {_named(wanted)}")


def _types(operator: str, version: int) -> dict[str, int]:
    """Return the type of each attribute of an operator, as ``onnx.AttributeProto`` numbers them."""
    try:
        schema = defs.get_schema(operator, version, "")
    except defs.SchemaError:  # which the checker names
        return {}
    return {name: int(attribute.type.value) for name, attribute in schema.attributes.items()}


def _named(kind: int) -> str:
    values = AttributeProto.AttributeType
    return values.Name(kind).lower() if kind in values.values() else f"of an unknown type, {kind}"
