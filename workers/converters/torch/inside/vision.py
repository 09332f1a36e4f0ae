"""torchvision imported where its compiled operators don't load.

Its wheel on the package index is linked with torch for CUDA. Beside torch for CPUs nothing of it is left but
Python, and even its import fails, asking for ``nms``.
"""

from __future__ import annotations

import contextlib
import importlib.util
from typing import Any

import torch

__all__ = ["make_importable"]

_OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width, "
    "int sampling_ratio, bool aligned) -> Tensor",
)
_kept: list[Any] = []


def make_importable() -> None:
    """Declare the operators that torchvision asks for, which then can be imported; classifiers need no more.

    Declared before it is imported, they would be in the way of compiled ones: those are looked for first.
    """
    if _kept or importlib.util.find_spec("torchvision") is None:
        return
    with contextlib.suppress(Exception):
        importlib.import_module("torchvision")
        return
    library = torch.library.Library("torchvision", "FRAGMENT")
    _kept.append(library)
    for declaration in _OPERATORS:
        with contextlib.suppress(RuntimeError):  # it is there
            library.define(declaration)
