"""Graphs written as ONNX's text."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx.parser

__all__ = ["saved_graph"]


def saved_graph(text: str, folder: Path) -> Path:
    """Save a graph, ``name (inputs) => (outputs) { nodes }``, as a model of opset 17 and return where."""
    path = folder / "model.onnx"
    onnx.save(onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {text}'), path)
    return path
