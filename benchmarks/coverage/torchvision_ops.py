"""torchvision's operators in Python, where its compiled ones don't load. Runs in the environment.

Its wheel on the package index is linked with torch for CUDA. Beside torch for CPUs nothing of it is left but
Python, and even its import fails, asking for ``nms``. Exporters replace these calls by ONNX's operators.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import pathlib
import sys
from typing import Any

import torch

__all__ = ["define"]

_NMS = "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_ROI_ALIGN = (
    "roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width, "
    "int sampling_ratio, bool aligned) -> Tensor"
)
_kept: list[Any] = []


def define() -> None:
    """Make ``import torchvision`` work, and its detectors run; nothing where its own operators load."""
    if _kept or _load_compiled():
        return
    library = torch.library.Library("torchvision", "FRAGMENT")
    _kept.append(library)
    library.define(_NMS)
    library.define(_NMS.replace("nms", "qnms"))
    library.define(_ROI_ALIGN)
    library.impl("nms", _nms, "CPU")
    library.impl("roi_align", _roi_align, "CPU")
    extension = importlib.import_module("torchvision.extension")
    # The function of that name hides the module, which has a name of its own for the question.
    for module in (extension, sys.modules["torchvision.ops.roi_align"]):
        module._has_ops = _has_ops  # type: ignore[attr-defined]
    torch.library.register_fake("torchvision::roi_align", _fake_roi_align, lib=library)


def _load_compiled() -> bool:
    """Load torchvision's own operators, as its import does; after others of their names it aborts."""
    found = importlib.util.find_spec("torchvision")
    for folder in (found.submodule_search_locations or []) if found is not None else []:
        with contextlib.suppress(OSError):  # linked with another torch
            torch.ops.load_library(str(pathlib.Path(folder) / "_C.so"))
            return True
    return False


def _has_ops() -> bool:
    # No lambda: torchvision has it compiled by TorchScript where it is traced.
    return True


def _nms(boxes: Any, scores: Any, threshold: float) -> Any:
    order, kept = scores.argsort(descending=True), []
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    while order.numel():
        first, order = order[0], order[1:]
        kept.append(first)
        low = torch.maximum(boxes[first, :2], boxes[order, :2])
        high = torch.minimum(boxes[first, 2:], boxes[order, 2:])
        shared = (high - low).clamp(min=0).prod(dim=1)
        order = order[shared / (area[first] + area[order] - shared) <= threshold]
    return torch.stack(kept) if kept else torch.empty(0, dtype=torch.int64)


def _roi_align(
    features: Any, rois: Any, scale: float, height: int, width: int, ratio: int, aligned: bool
) -> Any:
    from torchvision.ops.roi_align import _roi_align as compiled

    # As it is written: compiling it takes a minute.
    in_python = getattr(compiled, "__wrapped__", compiled)
    return in_python(features, rois, scale, height, width, ratio, aligned)


def _fake_roi_align(
    features: Any, rois: Any, scale: float, height: int, width: int, ratio: int, aligned: bool
) -> Any:
    del scale, ratio, aligned
    return features.new_empty((rois.shape[0], features.shape[1], height, width))
