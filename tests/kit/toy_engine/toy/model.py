"""Chains of matrix products with constant weights, each with a bias or without: `x @ w1 @ w2`."""

from __future__ import annotations

import io
import pathlib
import tempfile
import time
from collections.abc import Mapping
from ctypes import CDLL, POINTER, c_float, c_void_p
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper

from workers.enginekit.alternating import Alternating
from workers.enginekit.settling import settled_times
from workers.enginekit.weights import fill
from workers.errors import EngineError, ModelError
from workers.messages import (
    Array,
    Baton,
    CompiledModel,
    Endpoint,
    Extraction,
    ModelRun,
    PreparedModel,
    RecordChoice,
    TaskSpec,
)
from workers.process.host import stage

from .build import compiled
from .products import Blocks, Product, compute
from .toolchain import VERSION

__all__ = ["ToyModel"]

_UNTUNED = Blocks(1, 1, 1)


@dataclass(frozen=True)
class _Layer:
    product: Product
    weights: Array
    bias: Array


class ToyModel:
    """See :class:`workers.enginekit.roles.Model`."""

    def extract(self, model: PreparedModel, target: str) -> Extraction:
        """Return one task for each shape."""
        del target
        tasks: dict[str, TaskSpec] = {}
        for layer in _layers(model):
            product, workload = layer.product, layer.product.workload()
            weight = tasks[workload.hash].weight + 1 if workload.hash in tasks else 1
            name = f"product {product.rows}x{product.depth}x{product.columns}"
            tasks[workload.hash] = TaskSpec(name, weight, workload)
        return Extraction(tuple(tasks.values()), VERSION)

    def compile(
        self, model: PreparedModel, target: str, choice: RecordChoice, params_beside: bool = False
    ) -> CompiledModel:
        """Compile a chain: a function for each product, and one that calls them in turn."""
        del target
        layers = _layers(model)
        keys = [layer.product.workload().hash for layer in layers]
        source, calls, previous = "", "", "x"
        for number, (layer, key) in enumerate(zip(layers, keys, strict=True)):
            record = choice.records.get(key)
            blocks = _UNTUNED if record is None else Blocks.of(record.candidate)
            source += compute(f"product{number}", layer.product, blocks)
            source += f"static float out{number}[{layer.product.rows * layer.product.columns}];\n"
            calls += f"  product{number}({previous}, params[{2 * number}], out{number});\n"
            calls += (
                f"  for (int i = 0; i < {layer.product.rows}; i++)\n"
                f"    for (int j = 0; j < {layer.product.columns}; j++)\n"
                f"      out{number}[i * {layer.product.columns} + j] += params[{2 * number + 1}][j];\n"
            )
            previous = f"out{number}"
        source += f"const float *run(const float *x, const float *const *params) {{\n{calls}"
        source += f"  return {previous};\n}}\n"
        params = [array for layer in layers for array in (layer.weights, layer.bias)]
        if not params_beside:
            source += _embedded(params)
        tuned = {key for key in keys if key in choice.records}
        return CompiledModel(
            compiled(source),
            _archive(params) if params_beside else None,
            tuple(sorted(tuned)),
            tuple(sorted(set(keys) - tuned)),
        )

    def run(
        self,
        compiled: CompiledModel,
        inputs: Mapping[str, Array],
        target: str,
        repeats: int = 0,
        number: int = 1,
        endpoint: Endpoint | None = None,
        settle_s: float = 0.0,
        least_s: float = 0.0,
        baton: Baton | None = None,
    ) -> ModelRun:
        """Run a library on this machine."""
        with Alternating(baton) as turns:
            if endpoint is not None:
                raise EngineError("the toy engine runs models on its own machine alone")
            stage("loading the library")
            with tempfile.TemporaryDirectory(prefix="tunefleet-") as folder:
                path = pathlib.Path(folder, "model.so")
                path.write_bytes(compiled.library)
                library = CDLL(str(path))
            (given,) = inputs.values()
            x = np.ascontiguousarray(given, "float32")
            library.run.restype = POINTER(c_float)
            kept: list[Array] = []
            if compiled.params is None:
                params = (c_void_p * _count(library)).in_dll(library, "embedded")
            else:
                with np.load(io.BytesIO(compiled.params)) as archive:
                    kept = [archive[f"p{index}"] for index in range(len(archive.files))]
                params = (c_void_p * len(kept))(*(array.ctypes.data for array in kept))
            stage("running the model")
            rows, columns = x.shape[0], len(kept[-1]) if kept else _columns(library)
            result = library.run(c_void_p(x.ctypes.data), params)
            outputs = np.ctypeslib.as_array(result, (rows, columns)).copy()
            if not repeats:
                return ModelRun((outputs,), ())

            def timed(count: int, number: int) -> list[float]:
                times = []
                for _ in range(count):
                    started = time.perf_counter()
                    for _ in range(number):
                        library.run(c_void_p(x.ctypes.data), params)
                    times.append((time.perf_counter() - started) / number)
                return times

            times, warm_up = settled_times(
                turns.timed(timed), 0.0, repeats=repeats, number=number, settle_s=settle_s, least_s=least_s
            )
            return ModelRun((outputs,), times, 0.0, warm_up)


def _count(library: CDLL) -> int:
    return int(c_void_p.in_dll(library, "embedded_count").value or 0)


def _columns(library: CDLL) -> int:
    return int(c_void_p.in_dll(library, "embedded_columns").value or 0)


def _embedded(params: list[Array]) -> str:
    """Return the C of weights that stand in the library."""
    source = ""
    for index, array in enumerate(params):
        values = ",".join(float(value).hex() + "f" for value in array.ravel())
        source += f"static const float p{index}[] = {{{values}}};\n"
    names = ", ".join(f"p{index}" for index in range(len(params)))
    source += f"const float *const embedded[] = {{{names}}};\n"
    source += f"const long embedded_count = {len(params)}, embedded_columns = {params[-1].size};\n"
    return source


def _archive(params: list[Array]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **{f"p{index}": array for index, array in enumerate(params)})  # type: ignore[arg-type]
    return buffer.getvalue()


def _layers(model: PreparedModel) -> list[_Layer]:
    """Read the chain.

    Raises
    ------
    ModelError
        A node is something else: which, and why.
    """
    stage("reading the model")
    graph = onnx.load_from_string(model.onnx).graph
    fill(graph.initializer)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    if len(model.inputs) != 1 or len(model.outputs) != 1 or len(model.inputs[0].shape) != 2:
        raise ModelError(f"the toy engine takes models of one matrix and one result; {model.name} has others")
    layers: list[_Layer] = []
    rows, depth = model.inputs[0].shape
    previous = model.inputs[0].name
    for node in graph.node:
        attributes = {attr.name: onnx.helper.get_attribute_value(attr) for attr in node.attribute}
        weights = constants.get(node.input[1]) if len(node.input) > 1 else None
        plain = attributes.get("alpha", 1) == attributes.get("beta", 1) == 1 and not attributes.get("transA")
        if (
            node.op_type not in ("MatMul", "Gemm")
            or node.input[0] != previous
            or weights is None
            or weights.ndim != 2
            or str(weights.dtype) != "float32"
            or not plain
        ):
            raise ModelError(
                f"the toy engine can't import {model.name}: node {node.name or node.output[0]!r} "
                f"({node.op_type}) is no product of the result before it with a constant matrix"
            )
        if attributes.get("transB"):
            weights = weights.T
        columns = weights.shape[1]
        bias = constants.get(node.input[2]) if len(node.input) > 2 else np.zeros(columns, "float32")
        if bias is None or bias.size not in (1, columns):
            raise ModelError(f"the toy engine can't import {model.name}: the bias of {node.output[0]!r}")
        bias = np.broadcast_to(bias.ravel(), (columns,))
        layers.append(
            _Layer(
                Product(rows, depth, columns),
                np.ascontiguousarray(weights, "float32"),
                np.ascontiguousarray(bias, "float32"),
            )
        )
        previous, depth = node.output[0], columns
    return layers
