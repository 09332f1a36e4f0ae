"""A model cut in two, before operators whose outputs' sizes depend on values.

TVM tunes kernels for sizes that are known. Post-processing is full of others: NonMaxSuppression, NonZero,
Unique. What comes before them is tuned; they and all that reads what they make are the rest, which
onnxruntime runs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from workers.errors import ModelError
from workers.messages import Rest, TensorSpec
from workers.models import _graphs, _mapped
from workers.models._reference import open_session, run_session
from workers.models.rewrites import microsoft

__all__ = ["CutError", "Parts", "cut"]

# Which inputs of an operator say what size its outputs have.
_SIZED_BY: Mapping[str, tuple[int, ...]] = {
    "CenterCropPad": (1,),
    "Compress": (1,),
    "ConstantOfShape": (0,),
    "Expand": (1,),
    "NonMaxSuppression": (0, 1, 2, 3, 4),
    "NonZero": (0,),
    "OneHot": (1,),
    "Pad": (1,),
    "Range": (0, 1, 2),
    "Reshape": (1,),
    "Resize": (2, 3),
    "SplitToSequence": (1,),
    "Split": (1,),
    "StringSplit": (0,),
    "Tile": (1,),
    "TopK": (1,),
    "Unique": (0,),
    "Upsample": (1,),
}
# The work that a library is for.
_HEAVY = {
    "Attention",
    "Conv",
    "ConvInteger",
    "ConvTranspose",
    "DeformConv",
    "Einsum",
    "FusedConv",
    "FusedGemm",
    "FusedMatMul",
    "Gemm",
    "GemmFastGelu",
    "GroupQueryAttention",
    "GRU",
    "LSTM",
    "MatMul",
    "MatMulInteger",
    "MultiHeadAttention",
    "NhwcConv",
    "QLinearConv",
    "QLinearMatMul",
    "RNN",
}
_READ_SIZES = {"Shape", "Size"}
# Nothing is computed by them.
_SMALL = {
    "Cast",
    "Concat",
    "Constant",
    "Gather",
    "Identity",
    "Shape",
    "Slice",
    "Squeeze",
    "Unsqueeze",
    "ZipMap",
}
_LISTED = 3


class CutError(ModelError):
    """What can't be tuned, and could be cut off.

    Parameters
    ----------
    outputs : collection of str
        Of the nodes at fault.
    """

    def __init__(self, text: str, outputs: Collection[str]) -> None:
        super().__init__(text)
        self.outputs = frozenset(outputs)


@dataclass(frozen=True)
class Parts:
    """A model in two.

    Attributes
    ----------
    before : onnx.ModelProto
        What is tuned. Its outputs are what the rest reads, and outputs of the whole.
    after : onnx.ModelProto or None
        The rest; None where nothing has to be cut.
    cut_at : tuple of str
    outputs : tuple of str
        Of the whole model.
    why : str
        What is wrong with the first operator that is cut off.
    """

    before: onnx.ModelProto
    after: onnx.ModelProto | None = None
    cut_at: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    why: str = ""

    @property
    def sentence(self) -> str:
        """Where the model is cut, and why, for people."""
        others = "".join(f", and before {one}" for one in self.cut_at[1:_LISTED])
        if len(self.cut_at) > _LISTED:
            others += f", and {len(self.cut_at) - _LISTED} more"
        return (
            f"cut before {self.cut_at[0]}, which {self.why}{others}: what is cut off stays ONNX, for "
            "onnxruntime to run"
        )

    def rest(self, made: Mapping[str, tuple[int, ...]]) -> Rest | None:
        """Return the rest with fixed input shapes; None where there is none.

        Parameters
        ----------
        made : mapping of str to tuple of int
            Shapes of the outputs of `before`.
        """
        if self.after is None:
            return None
        model = onnx.ModelProto()
        model.CopyFrom(self.after)
        microsoft.as_onnxruntime_has_it(model)
        specs = []
        for value in model.graph.input:
            tensor = value.type.tensor_type
            shape = made.get(value.name, tuple(dim.dim_value for dim in tensor.shape.dim))
            value.CopyFrom(helper.make_tensor_value_info(value.name, tensor.elem_type, shape))
            specs.append(
                TensorSpec(value.name, shape, helper.tensor_dtype_to_np_dtype(tensor.elem_type).name)
            )
        _mapped.fill(model.graph.initializer)
        data = model.SerializeToString(deterministic=True)
        return Rest(data, tuple(specs), self.outputs, self.cut_at)


def cut(model: onnx.ModelProto, path: Path, also: Collection[str] = ()) -> Parts:
    """Cut a model before the first operators whose outputs' sizes depend on what it is fed.

    Parameters
    ----------
    also : collection of str
        Values whose makers are to be cut off as well.

    Raises
    ------
    ModelError
        Nothing is left before the cut that would be worth tuning; it names the operator.
    """
    outputs = tuple(value.name for value in model.graph.output)
    faults, values = _faults(model, also)
    if not faults:
        return Parts(model)
    behind = _behind(model, faults)
    first = model.graph.node[min(faults)]
    before = [node for place, node in enumerate(model.graph.node) if place not in behind]
    after = [node for place, node in enumerate(model.graph.node) if place in behind]
    if _worth(before) <= _worth(after):
        how = "less comes before it than after" if before else "nothing comes before it"
        raise ModelError(
            f"{path}: {first.op_type} (node {_graphs.title(first)}) {faults[min(faults)]}, and {how}, so "
            "that nothing is left that is worth tuning; make that a constant, or export the model without it"
        )
    nodes = [model.graph.node[place] for place in sorted(faults)]
    listed = tuple(f"{node.op_type} (node {_graphs.title(node)})" for node in nodes)
    return replace(_split(model, before, after, listed, outputs, values), why=faults[min(faults)])


def _faults(model: onnx.ModelProto, also: Collection[str]) -> tuple[dict[int, str], set[str]]:
    """Find the nodes to cut at, by their place, with the reason; and all that depends on values."""
    graph = model.graph
    stored = {tensor.name for tensor in graph.initializer}
    strings = {tensor.name for tensor in graph.initializer if tensor.data_type == TensorProto.STRING}
    # Depending on inputs' values, which sizes of values that don't sit behind a fault never do.
    values = {value.name for value in graph.input} - stored
    odd = _not_numbers(model)
    faults: dict[int, str] = {}
    lost: set[str] = set()
    for place, node in enumerate(graph.node):
        read = _graphs.reads(node)
        if read & lost:
            lost.update(node.output)
            continue
        why = _fault(node, values)
        if any(name in also for name in node.output):
            why = why or "can't be tuned"
        if set(node.output) & odd or read & strings:
            why = why or "makes something that is no tensor of numbers"
        if why:
            faults[place] = why
            lost.update(node.output)
        elif node.op_type not in _READ_SIZES and read & values:
            values.update(name for name in node.output if name)
    return faults, values


def _fault(node: Any, values: set[str]) -> str:
    """Say why the sizes of a node's outputs depend on values; empty where they don't."""
    if node.domain not in _graphs.STANDARD_DOMAINS:
        return "is outside the ONNX standard" if node.domain == "ai.onnx.ml" else ""
    for place in _SIZED_BY.get(node.op_type, ()):
        if len(node.input) > place and node.input[place] in values:
            return f"gives its output a size that depends on the values of '{node.input[place]}'"
    inner = list(_graphs.graphs_of(node))
    if inner and _graphs.reads(node) & values:
        for graph in (g for outer in inner for g in _graphs.nested(outer)):
            for one in graph.node:
                if one.op_type in ("NonMaxSuppression", "NonZero", "Unique"):
                    return f"holds a {one.op_type}, whose output's size depends on values"
    return ""


def _not_numbers(model: onnx.ModelProto) -> set[str]:
    """Return the values that are strings, maps or sequences and leave the model, or are made of text."""
    found = {
        value.name
        for value in model.graph.output
        if value.type.WhichOneof("value") not in ("tensor_type", None)
        or value.type.tensor_type.elem_type == TensorProto.STRING
    }
    for node in model.graph.node:
        if node.op_type == "Cast" and _graphs.attribute(node, "to") == TensorProto.STRING:
            found.update(node.output)
    return found


def _behind(model: onnx.ModelProto, faults: Collection[int]) -> set[int]:
    behind, names = set(faults), {n for place in faults for n in model.graph.node[place].output if n}
    for place, node in enumerate(model.graph.node):
        if place not in behind and _graphs.reads(node) & names:
            behind.add(place)
        if place in behind:
            names.update(name for name in node.output if name)
    return behind


def _worth(nodes: Sequence[Any]) -> tuple[int, int]:
    """Return what two parts of a model are compared by: products and convolutions, then operators at all."""
    return sum(_is_heavy(node) for node in nodes), sum(node.op_type not in _SMALL for node in nodes)


def _is_heavy(node: Any) -> bool:
    inner = (
        one for outer in _graphs.graphs_of(node) for graph in _graphs.nested(outer) for one in graph.node
    )
    return node.op_type in _HEAVY or any(one.op_type in _HEAVY for one in inner)


def _split(
    model: onnx.ModelProto,
    before: Sequence[Any],
    after: Sequence[Any],
    cut_at: tuple[str, ...],
    outputs: tuple[str, ...],
    values: Collection[str],
) -> Parts:
    fed = {value.name for value in model.graph.input}
    made = {name for node in before for name in node.output if name}
    read = {name for node in after for name in _graphs.reads(node)}
    crossing = [name for node in before for name in node.output if name in read or name in outputs]
    # Sizes of what comes before: they are known.
    constant = [name for name in crossing if name not in values and name not in outputs]
    crossing = [name for name in crossing if name not in constant]
    types = _types(model, before, crossing)
    first = _part(model, before, [types[name] for name in crossing], model.graph.input)
    taken = [types[name] for name in crossing] + list(model.graph.input)
    ends = [value for value in model.graph.output if value.name not in made | fed]
    second = _part(model, after, ends, taken)
    second.graph.initializer.extend(_constants(model, before, constant))
    return Parts(first, second, cut_at, outputs)


def _part(
    model: onnx.ModelProto, nodes: Sequence[Any], outputs: Sequence[Any], inputs: Sequence[Any]
) -> onnx.ModelProto:
    part = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    part.graph.name = model.graph.name
    part.graph.node.extend(nodes)
    part.graph.output.extend(outputs)
    _drop_unread(part)
    read = {name for node in part.graph.node for name in _graphs.reads(node)} | {
        value.name for value in outputs
    }
    part.graph.input.extend(value for value in inputs if value.name in read)
    part.graph.initializer.extend(tensor for tensor in model.graph.initializer if tensor.name in read)
    return part


def _drop_unread(part: onnx.ModelProto) -> None:
    wanted = {value.name for value in part.graph.output}
    kept: list[Any] = []
    for node in reversed(part.graph.node):
        if wanted & set(node.output):
            kept.append(node)
            wanted |= _graphs.reads(node)
    _graphs.replace_nodes(part.graph, kept[::-1])


def _types(model: onnx.ModelProto, nodes: Sequence[Any], names: Sequence[str]) -> dict[str, Any]:
    """Return the values' element types, as declared values without a shape."""
    untyped = [onnx.ValueInfoProto(name=name) for name in names]
    part = _part(model, nodes, untyped, model.graph.input)
    found = {
        value.name: value.type.tensor_type.elem_type for value in _graphs.infer_shapes(part).graph.output
    }
    if not all(found.values()):
        # onnxruntime knows operators that are none of ONNX's.
        microsoft.as_onnxruntime_has_it(part)
        session = open_session(part.SerializeToString(), 1, optimize=False)
        kinds = {
            value.name: value.type.removeprefix("tensor(").rstrip(")") for value in session.get_outputs()
        }
        named = {"float": "FLOAT", "float16": "FLOAT16", "double": "DOUBLE"}
        found = {
            name: TensorProto.DataType.Value(named.get(kinds[name], kinds[name].upper())) for name in names
        }
    return {name: helper.make_tensor_value_info(name, kind, None) for name, kind in found.items()}


def _constants(model: onnx.ModelProto, nodes: Sequence[Any], names: Sequence[str]) -> Iterator[Any]:
    """Compute what no input's values have a say in."""
    if not names:
        return
    part = _part(model, nodes, [onnx.ValueInfoProto(name=name) for name in names], model.graph.input)
    microsoft.as_onnxruntime_has_it(part)
    session = open_session(part.SerializeToString(), 1, optimize=False)
    zeros = {
        value.name: np.zeros(
            [dim.dim_value for dim in value.type.tensor_type.shape.dim],
            helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type),
        )
        for value in part.graph.input
    }
    for name, value in zip(names, run_session(session, zeros), strict=True):
        yield numpy_helper.from_array(value, name)
