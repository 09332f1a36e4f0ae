"""ultralytics: YOLO of several years and tasks, one with its selection of boxes."""

from __future__ import annotations

from typing import Any

from benchmarks.coverage.entry import DYNAMO, SCRIPT, Entry, of_torch

__all__ = ["ENTRIES"]

# Name of the configuration, exporter, opset, side of the image.
_MODELS: tuple[tuple[str, str, int, int], ...] = (
    ("yolov3-tiny", SCRIPT, 9, 64),
    ("yolov5nu", SCRIPT, 11, 96),
    ("yolov8n", SCRIPT, 12, 96),
    ("yolov8n-seg", SCRIPT, 17, 96),
    ("yolov8n-pose", DYNAMO, 18, 96),
    ("yolov8n-obb", SCRIPT, 16, 96),
    ("yolov8n-cls", SCRIPT, 13, 64),
    ("yolov9t", DYNAMO, 20, 64),
    ("yolov10n", SCRIPT, 13, 96),
    ("yolo11n", DYNAMO, 18, 96),
    ("yolo11n-seg", SCRIPT, 14, 96),
    ("yolo12n", SCRIPT, 17, 64),
    ("rtdetr-l", SCRIPT, 16, 64),
)


def _make(name: str, side: int) -> tuple[Any, tuple[Any, ...]]:
    import torch
    from ultralytics import RTDETR, YOLO

    from benchmarks.coverage.networks.yolo import exported

    kind = RTDETR if name.startswith("rtdetr") else YOLO
    file = "yolov5n.yaml" if name == "yolov5nu" else f"{name}.yaml"
    return exported(kind(file).model, side), (torch.rand(1, 3, side, side),)


def _selected() -> tuple[Any, tuple[Any, ...]]:
    from benchmarks.coverage.networks.yolo import Selected

    module, inputs = _make("yolov8n", 96)
    return Selected(module), inputs


ENTRIES: list[Entry] = [
    *(
        of_torch(
            "yolo",
            name,
            lambda n=name, s=side: _make(n, s),  # type: ignore[misc]
            exporter,
            opset,
            ("images",),
        )
        for name, exporter, opset, side in _MODELS
    ),
    of_torch("yolo", "yolov8n-nms", _selected, SCRIPT, 17, ("images",)),
]
