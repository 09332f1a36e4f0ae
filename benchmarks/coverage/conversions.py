"""What is done to an exported file: halves, quantization, optimization. Runs in the environment."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from benchmarks.coverage.entry import Entry

__all__ = ["common", "dynamic", "halved", "onnxruntime", "optimized", "session", "static"]


@contextmanager
def _exported(entry: Entry) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "first.onnx"
        entry.write(path)
        yield path


def common(path: Path, entry: Entry, *, keep_io_types: bool) -> None:
    """Convert to float16 with onnxconverter-common."""
    from onnxconverter_common import float16

    with _exported(entry) as first:
        converted = float16.convert_float_to_float16(onnx.load(first), keep_io_types=keep_io_types)
    onnx.save(converted, path)


def onnxruntime(path: Path, entry: Entry, *, keep_io_types: bool) -> None:
    """Convert to float16 with the converter that onnxruntime ships for transformers."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    with _exported(entry) as first:
        converted = convert_float_to_float16(onnx.load(first), keep_io_types=keep_io_types)
    onnx.save(converted, path)


def halved(path: Path, entry: Entry) -> None:
    """Export the module after its own ``half()``."""
    from benchmarks.coverage import torch_export

    original = torch_export.export

    def of_halves(target: Path, module: Any, inputs: Any, **more: Any) -> None:
        halves = [value.half() if value.is_floating_point() else value for value in inputs]
        original(target, torch_export.lively(module).half(), halves, **more)

    # The process is a fork that ends after this model.
    torch_export.export = of_halves  # type: ignore[assignment]
    entry.write(path)


class _Draws:
    """A few draws of a model's inputs, for its ranges."""

    def __init__(self, path: Path, count: int = 4) -> None:
        generator = np.random.default_rng(0)
        model = onnx.load(path)
        stored = {tensor.name for tensor in model.graph.initializer}
        inputs = [value for value in model.graph.input if value.name not in stored]
        self.draws = iter(
            [
                {value.name: _drawn(value.type.tensor_type, generator) for value in inputs}
                for _ in range(count)
            ]
        )

    def get_next(self) -> Any:
        """Return the next, as onnxruntime's readers do."""
        return next(self.draws, None)


def _drawn(tensor: Any, generator: np.random.Generator) -> Any:
    shape = [dim.dim_value for dim in tensor.shape.dim]
    kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    if kind.kind == "f":
        return generator.uniform(-1, 1, shape).astype(kind)
    return generator.integers(0, 2, shape).astype(kind)


def static(path: Path, entry: Entry, *, per_channel: bool = False, operators: bool = False) -> None:
    """Quantize by ranges that were seen."""
    from onnxruntime.quantization import QuantFormat, quant_pre_process, quantize_static

    with _exported(entry) as first:
        ready = first.with_name("ready.onnx")
        quant_pre_process(str(first), str(ready), skip_symbolic_shape=True)
        form = QuantFormat.QOperator if operators else QuantFormat.QDQ
        quantize_static(str(ready), str(path), _Draws(ready), quant_format=form, per_channel=per_channel)


def dynamic(path: Path, entry: Entry, *, per_channel: bool = False) -> None:
    """Quantize weights, and activations as they come."""
    from onnxruntime.quantization import quantize_dynamic

    with _exported(entry) as first:
        quantize_dynamic(str(first), str(path), per_channel=per_channel)


def optimized(path: Path, entry: Entry, *, kind: str) -> None:
    """Fuse what onnxruntime's tool for transformers knows."""
    from onnxruntime.transformers.optimizer import optimize_model

    with _exported(entry) as first:
        made = optimize_model(str(first), model_type=kind, num_heads=4, hidden_size=64, opt_level=0)
        made.save_model_to_file(str(path))


def session(path: Path, entry: Entry) -> None:
    """Keep what a session at the extended level made of it."""
    import onnxruntime as runtime

    with _exported(entry) as first:
        options = runtime.SessionOptions()
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(path)
        runtime.InferenceSession(str(first), options, providers=["CPUExecutionProvider"])
