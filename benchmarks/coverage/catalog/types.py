"""Other types than float32: halves by several converters; and quantised ones, which are counted apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.coverage.entry import SCRIPT, Entry

__all__ = ["ENTRIES"]

# Name, entry that is exported first, what is done to it, and arguments.
_HALVES: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("resnet18", "resnet18", "common", {"keep_io_types": False}),
    ("mobilenet_v2", "mobilenet_v2", "common", {"keep_io_types": True}),
    ("efficientnet_b0", "efficientnet_b0", "common", {"keep_io_types": False}),
    ("vision_transformer", "vision_transformer", "common", {"keep_io_types": True}),
    ("bert", "hf-bert", "common", {"keep_io_types": True}),
    ("gpt2", "hf-gpt2model", "common", {"keep_io_types": False}),
    ("t5-encoder", "hf-t5encodermodel", "onnxruntime", {"keep_io_types": True}),
    ("yolov8n", "yolov8n", "onnxruntime", {"keep_io_types": False}),
    ("unet", "diffusers-unet", "onnxruntime", {"keep_io_types": False}),
    ("convnext", "timm-convnextv2_atto", "halved", {}),
    ("vit", "timm-vit_tiny_patch16_224", "halved", {}),
    ("whisper-encoder", "hf-whispermodel-encoder", "halved", {}),
)
_QUANTIZED: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("resnet18-qdq", "resnet18", "static", {}),
    ("mobilenet_v2-qdq", "mobilenet_v2", "static", {"per_channel": True}),
    ("resnet18-qoperator", "resnet18", "static", {"operators": True}),
    ("bert-qdq", "hf-bert", "static", {}),
    ("bert-dynamic", "hf-bert", "dynamic", {}),
    ("gpt2-dynamic", "hf-gpt2model", "dynamic", {"per_channel": True}),
    ("lstm-dynamic", "lstm-bidirectional", "dynamic", {}),
    ("vit-dynamic", "timm-vit_tiny_patch16_224", "dynamic", {}),
)


def _entry(family: str, name: str, first: str, way: str, more: dict[str, Any]) -> Entry:
    def write(path: Path) -> None:
        from benchmarks.coverage import conversions
        from benchmarks.coverage.catalog import CATALOG

        entry = next(one for one in CATALOG if one.name == first)
        convert: Callable[..., None] = getattr(conversions, way)
        convert(path, entry, **more)

    prefix = "float16" if family == "float16" else "quantized"
    return Entry(f"{prefix}-{name}", family, write, f"{SCRIPT}, {way}", 0, counted=family != "quantized")


ENTRIES = [
    *(_entry("float16", *row) for row in _HALVES),
    *(_entry("quantized", *row) for row in _QUANTIZED),
]
