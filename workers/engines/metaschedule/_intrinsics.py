"""Import of the tensor intrinsics a target needs, in a fraction of a second.

``TuneContext`` imports ``tvm.s_tir.tensor_intrin``, which parses the intrinsics of every backend: 35 to 50
CPU seconds on Python 3.11, nearly all of it in ``inspect.stack()``, whose ``getmodule`` walks ``sys.modules``
for each frame of the import machinery. A search for one target needs one backend's intrinsics only.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import pathlib
import sys
import types
from collections.abc import Iterator
from typing import Any

import tvm

__all__ = ["cheap_frames", "register_intrinsics"]

_PACKAGE = "tvm.s_tir.tensor_intrin"
# Backends by the first key of a target that has intrinsics of its own.
_BACKENDS = {"cpu": "x86", "arm_cpu": "arm_cpu", "cuda": "cuda", "rocm": "rocm", "hexagon": "hexagon"}


def register_intrinsics(target: tvm.target.Target) -> None:
    """Register the tensor intrinsics of `target`'s backend, and let TuneContext find them imported."""
    package = sys.modules.get(_PACKAGE)
    if package is None:
        package = types.ModuleType(_PACKAGE)
        package.__path__ = [str(pathlib.Path(tvm.__file__).parent / "s_tir" / "tensor_intrin")]
        sys.modules[_PACKAGE] = package
    for key in target.keys:
        backend = _BACKENDS.get(str(key))
        if backend is not None and f"{_PACKAGE}.{backend}" not in sys.modules:
            with cheap_frames():
                importlib.import_module(f"{_PACKAGE}.{backend}")


@contextlib.contextmanager
def cheap_frames() -> Iterator[None]:
    """Give ``inspect.stack()`` frames without source context, which is the part that costs."""

    def without_source(frame: Any, context: int = 1) -> list[inspect.FrameInfo]:
        frames = []
        while frame is not None:
            code = frame.f_code
            frames.append(
                inspect.FrameInfo(frame, code.co_filename, frame.f_lineno, code.co_name, None, None)
            )
            frame = frame.f_back
        return frames

    original = inspect.getouterframes
    inspect.getouterframes = without_source
    try:
        yield
    finally:
        inspect.getouterframes = original
