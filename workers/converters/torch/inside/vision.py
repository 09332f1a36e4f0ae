"""torchvision made importable where its compiled operators don't load.

Its wheel on the package index is linked with torch for CUDA. Beside torch for CPUs nothing of it is left but
Python, and even its import fails, asking for ``nms``.
"""

from __future__ import annotations

import contextlib
import importlib.util
import re
from pathlib import Path
from typing import Any

import torch

__all__ = ["make_importable"]

_OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width, "
    "int sampling_ratio, bool aligned) -> Tensor",
)
# Its own version has more to it than the wheel's.
_FOR_CUDA = re.compile(r"__version__ = '[^']*\+cu")
_kept: list[Any] = []


def make_importable() -> None:
    """Declare the operators that torchvision asks for, where it can't bring them; classifiers need no more.

    It isn't imported for that: most code needs none of it, and its own operators must come first.
    """
    if _kept or not _is_for_another_torch():
        return
    library = torch.library.Library("torchvision", "FRAGMENT")
    _kept.append(library)
    for declaration in _OPERATORS:
        with contextlib.suppress(RuntimeError):  # it is there
            library.define(declaration)


def _is_for_another_torch() -> bool:
    found = importlib.util.find_spec("torchvision")
    if found is None or not found.submodule_search_locations or torch.version.cuda is not None:
        return False
    version = Path(found.submodule_search_locations[0]) / "version.py"
    return version.is_file() and _FOR_CUDA.search(version.read_text()) is not None
