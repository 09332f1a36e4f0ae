"""onnxslim, with a model's large tensors left where they are.

What ``onnxslim.slim`` does, in its order, by its own parts. It works on a graph whose constants are loaded
when somebody asks for their values: here those of large tensors are mapped, and what is made of them is
written to the store at once, so that no message ever holds a weight.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import onnxslim.third_party.onnx_graphsurgeon as gs
from onnx import helper
from onnxslim.core import freeze, shape_infer
from onnxslim.core.optimization import (
    OptimizationSettings,
    dead_node_elimination,
    graph_fusion,
    subexpression_elimination,
    tie_weights,
)
from onnxslim.core.pattern.registry import get_fusion_patterns
from onnxslim.third_party.onnx_graphsurgeon.exporters.onnx_exporter import OnnxExporter
from onnxslim.third_party.onnx_graphsurgeon.ir.tensor import LazyValues
from onnxslim.utils import TensorInfo, update_outputs_dims

from workers.models import _mapped

__all__ = ["slim"]

# As onnxslim's own. Beyond them it goes on for as long as that makes the graph smaller: where each block of a
# network pads by what the block before it comes to, a round gets one block further.
_ROUNDS = 10
# What onnxslim doesn't fold: what is quantized is to stay so.
_KEPT = {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "SequenceEmpty"}
_SILENT = 4


def slim(model: onnx.ModelProto, store: _mapped.Store) -> onnx.ModelProto:
    """Fold and merge what ``onnxslim.slim`` does; `model` is left as it is."""
    slimmed = onnx.ModelProto()
    slimmed.CopyFrom(model)
    freeze(slimmed)
    declared = {TensorInfo(value).name: TensorInfo(value).shape for value in slimmed.graph.output}
    OptimizationSettings.reset(None)
    before = gs.import_onnx(slimmed)
    for number in itertools.count(1):
        slimmed = _inferred(_optimized(slimmed, store))
        after = gs.import_onnx(slimmed)
        if after == before or (number >= _ROUNDS and len(after.nodes) >= len(before.nodes)):
            break
        before = after
    return update_outputs_dims(slimmed, output_dims=declared)


def _optimized(model: onnx.ModelProto, store: _mapped.Store) -> onnx.ModelProto:
    graph = gs.import_onnx(model).toposort()
    weights = _Weights(graph, model, store)
    weights.leave()
    weights.fold()
    graph_fusion(graph, get_fusion_patterns(None))
    dead_node_elimination(graph)
    graph.cleanup(remove_unused_graph_inputs=True).toposort()
    subexpression_elimination(graph)
    graph.cleanup(remove_unused_graph_inputs=True).toposort()
    tie_weights(graph)
    weights.put_away()
    return gs.export_onnx(graph)


def _inferred(model: onnx.ModelProto) -> onnx.ModelProto:
    """Infer shapes; the tool looks at the values of some constants, none of them large."""
    inferred = shape_infer(_mapped.with_weights_as_inputs(model))
    if inferred is not None:
        _mapped.with_weights_back(inferred, model)
    return inferred


class _Mapped(LazyValues):  # type: ignore[misc]
    """The values of a tensor that names its place."""

    def __init__(self, tensor: onnx.TensorProto, loaded: Callable[[_Mapped, Any], None]) -> None:
        super().__init__(tensor)
        self._loaded = loaded

    def load(self) -> npt.NDArray[Any]:
        """Map them."""
        values = _mapped.array(self.tensor)
        self._loaded(self, values)
        return values


class _Weights:
    """The large constants of a graph that onnxslim works on."""

    def __init__(self, graph: Any, model: onnx.ModelProto, store: _mapped.Store) -> None:
        self._graph, self._store = graph, store
        self._opset = list(model.opset_import)
        # By the identity of the array, which is kept with it.
        self._loaded: dict[int, tuple[npt.NDArray[Any], _Mapped]] = {}

    def _remember(self, lazy: _Mapped, values: npt.NDArray[Any]) -> None:
        self._loaded[id(values)] = (values, lazy)

    def _constants(self) -> Iterator[Any]:
        for graph in (self._graph, *self._graph.subgraphs(recursive=True)):
            for tensor in graph.tensors().values():
                if isinstance(tensor, gs.Constant):
                    yield tensor

    def leave(self) -> None:
        """Have those that name their place mapped by who asks for their values."""
        for tensor in self._constants():
            values = tensor._values
            if isinstance(values, LazyValues) and _names_place(values.tensor):
                tensor._values = _Mapped(values.tensor, self._remember)
                tensor.data_location = None
        # A graph inside a node is folded with all that it reads.
        for inner in self._graph.subgraphs(recursive=True):
            for tensor in inner._foreign_tensors().values():
                if isinstance(tensor, gs.Constant):
                    tensor.values  # noqa: B018

    def put_away(self) -> None:
        """Write down what was made of them, and let go of what was only looked at."""
        for tensor in self._constants():
            values = tensor._values
            if isinstance(values, LazyValues):
                continue
            known = self._loaded.get(id(values))
            if known is not None:
                tensor._values = known[1]
            elif tensor.export_dtype == values.dtype and _is_large(values):
                tensor._values = _Mapped(self._store.put(values, tensor.name), self._remember)
                tensor.data_location = None

    def fold(self) -> None:
        """Compute what depends on no input: of large constants node by node, the rest as onnxslim does."""
        folded = True
        while folded:
            self._fold_large()
            self._graph.fold_constants(should_exclude_node=_reads_large).cleanup().toposort()
            # What was computed now may have been all that a node with a large input waited for.
            folded = self._fold_large()

    def _fold_large(self) -> bool:
        folded = False
        for node in list(self._graph.nodes):
            if node.op in _KEPT or not node.outputs or list(node.subgraphs()) or not _reads_large(node):
                continue
            inputs = [tensor for tensor in node.inputs if not tensor.is_empty()]
            if not all(isinstance(tensor, gs.Constant) and not _is_tied(tensor) for tensor in inputs):
                continue
            read = [tensor for tensor in node.outputs if tensor.outputs]
            if not read or any(isinstance(value, gs.Node.AttributeRef) for value in node.attrs.values()):
                continue
            computed = self._computed(node)
            for tensor in read:
                values = computed[tensor.name]
                tensor.to_constant(
                    _Mapped(self._store.put(values, tensor.name), self._remember)
                    if _is_large(values)
                    else values
                )
                tensor.inputs.clear()
            folded = True
        if folded:
            self._graph.cleanup().toposort()
        return folded

    def _computed(self, node: Any) -> dict[str, npt.NDArray[Any]]:
        """Run one node whose inputs are all known."""
        feeds = {tensor.name: tensor.values for tensor in node.inputs if not tensor.is_empty()}
        names = [tensor.name for tensor in node.outputs if not tensor.is_empty()]
        graph = helper.make_graph(
            [OnnxExporter.export_node(node)],
            "one",
            [
                helper.make_tensor_value_info(
                    name, helper.np_dtype_to_tensor_dtype(values.dtype), values.shape
                )
                for name, values in feeds.items()
            ],
            [helper.make_empty_tensor_value_info(name) for name in names],
        )
        model = helper.make_model(graph, opset_imports=self._opset, ir_version=8)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _SILENT
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return dict(zip(names, session.run(names, feeds), strict=True))


def _names_place(tensor: Any) -> bool:
    return isinstance(tensor, onnx.TensorProto) and _mapped.place_of(tensor) is not None


def _is_large(values: npt.NDArray[Any]) -> bool:
    kind = helper.np_dtype_to_tensor_dtype(values.dtype)
    return _mapped.is_large(kind, values.shape)


def _reads_large(node: Any) -> bool:
    """Say whether an input of a node is mapped, or was and has been loaded."""
    return any(
        isinstance(tensor, gs.Constant)
        and (
            isinstance(tensor._values, _Mapped)
            or (isinstance(tensor._values, np.ndarray) and _is_large(tensor._values))
        )
        for tensor in node.inputs
    )


def _is_tied(tensor: Any) -> bool:
    """Say whether a table is looked up and, transposed, multiplied with: onnxslim keeps it one."""
    gathered = any(node.op == "Gather" and node.inputs.index(tensor) == 0 for node in tensor.outputs)
    return gathered and len(tensor.outputs) == 2 and any(node.op == "Transpose" for node in tensor.outputs)
