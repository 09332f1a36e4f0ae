"""Models as onnxruntime's optimizers leave them: operators of com.microsoft among them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.coverage.entry import SCRIPT, Entry

__all__ = ["ENTRIES"]

# Name, entry that is exported first, what is done to it, and arguments.
_MODELS: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("bert", "hf-bert", "transformers", {"kind": "bert"}),
    ("distilbert", "hf-distilbert-fortokenclassification", "transformers", {"kind": "bert"}),
    ("gpt2", "hf-gpt2model", "transformers", {"kind": "gpt2"}),
    ("vit", "hf-vitforimageclassification", "transformers", {"kind": "vit"}),
    ("clip", "hf-clipmodel", "transformers", {"kind": "clip"}),
    ("bart", "hf-bartmodel", "transformers", {"kind": "bart"}),
    ("t5", "hf-t5encodermodel", "transformers", {"kind": "t5"}),
    ("unet", "diffusers-unet-conditioned", "transformers", {"kind": "unet"}),
    ("resnet18-session", "resnet18", "session", {}),
    ("mobilenet_v3_large-session", "mobilenet_v3_large", "session", {}),
    ("bert-session", "hf-bert", "session", {}),
    ("swin-session", "hf-swin2srforimagesuperresolution", "session", {}),
    ("yolov8n-session", "yolov8n", "session", {}),
)


def _entry(name: str, first: str, way: str, more: dict[str, Any]) -> Entry:
    def write(path: Path) -> None:
        from benchmarks.coverage import conversions
        from benchmarks.coverage.catalog import CATALOG

        entry = next(one for one in CATALOG if one.name == first)
        convert = conversions.optimized if way == "transformers" else conversions.session
        convert(path, entry, **more)

    return Entry(f"optimized-{name}", "onnxruntime-optimized", write, f"{SCRIPT}, {way}", 0)


ENTRIES = [_entry(*row) for row in _MODELS]
