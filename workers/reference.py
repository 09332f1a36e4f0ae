"""Preparing models and running the reference, as an engine process of its own.

ONNX libraries and onnxruntime crash and leak too, and onnxruntime's thread pool must not live in a process
that forks TVM. So they are called like an engine; see :mod:`workers.process.host`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workers.messages import ModelTiming, PreparedModel, TensorSpec

__all__ = ["ENGINE", "Reference"]


class Reference:
    """onnxruntime and the model preparation behind plain calls."""

    name = "reference"

    def warm(self, role: str) -> None:
        """Import what the forks need."""
        from workers import models  # noqa: F401

    def prepare(self, path: str, shapes: Mapping[str, tuple[int, ...]]) -> PreparedModel:
        """See :func:`workers.models.prepare`."""
        from workers.models import prepare

        return prepare(path, shapes)

    def draw(self, inputs: Sequence[TensorSpec], seed: int) -> dict[str, Any]:
        """See :func:`workers.models.random_inputs`."""
        from workers.models import random_inputs

        return random_inputs(inputs, seed)

    def evaluate(self, onnx: bytes, inputs: Mapping[str, Any], threads: int) -> list[Any]:
        """See :func:`workers.models.run_reference`."""
        from workers.models import run_reference

        return run_reference(onnx, inputs, threads)

    def time(self, onnx: bytes, inputs: Mapping[str, Any], threads: int, repeats: int) -> ModelTiming:
        """See :func:`workers.models.time_reference`."""
        from workers.models import time_reference

        return time_reference(onnx, inputs, threads, repeats)

    def judge(
        self,
        onnx: bytes,
        inputs: Mapping[str, Any],
        outputs: Sequence[Any],
        reference: Sequence[Any],
        names: Sequence[str],
    ) -> Any:
        """See :func:`workers.models.judge`."""
        from workers.models import judge

        return judge(onnx, inputs, outputs, reference, names)

    def versions(self) -> dict[str, str]:
        """Return the versions of the libraries."""
        import onnx
        import onnxruntime

        return {"onnx": str(onnx.__version__), "onnxruntime": str(onnxruntime.__version__)}


ENGINE = Reference()
