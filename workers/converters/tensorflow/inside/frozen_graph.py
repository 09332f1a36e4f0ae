"""A frozen graph: its inputs and outputs are found, since nothing in the file says which they are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workers.converters import tensorflow_graphs as graphs
from workers.converters.contract import (
    NEEDS_SHAPES,
    NO_ONNX_FORM,
    NOT_A_MODEL,
    UNREADABLE,
    ConversionError,
    ConversionRequest,
    Converted,
    Tensor,
)
from workers.converters.shapes import refuse_strings, with_shapes
from workers.converters.tensorflow.inside.traced import convert_function, refuse_files

__all__ = ["convert"]

_PLACEHOLDERS = ("Placeholder", "PlaceholderV2", "PlaceholderWithDefault")
_VARIABLES = ("Variable", "VariableV2", "VarHandleOp")
# Leaves that compute nothing.
_EMPTY = ("NoOp", "Assert", "Const", "Print", "PrintV2", "SaveV2", "RestoreV2", "CheckNumerics")
# What graphs of TensorFlow 1 are fed beside their inputs: 0.5 in training, 1 at inference.
_KEEP = re.compile(r"keep_?prob", re.IGNORECASE)
# How a dropout compares that with random numbers, before and since TensorFlow 1.13, and how far above.
_MASKS, _MASK_DEPTH = ("Floor", "GreaterEqual"), 4
# What turns a file's bytes into pixels: the graph is entered behind it.
_DECODERS = ("DecodeJpeg", "DecodePng", "DecodeBmp", "DecodeGif", "DecodeImage", "DecodeAndCropJpeg")


def convert(request: ConversionRequest) -> Converted:
    """Export a graph from its placeholders to its leaves."""
    import tensorflow

    graph = _read(request.source)
    _check(graph)
    notes = _settle_switches(graph)
    notes += _enter_behind_decoders(graph)
    inputs = [_input(node, request) for node in graph.node if node.op in _PLACEHOLDERS]
    refuse_strings(inputs)
    inputs = with_shapes(inputs, request.shapes)
    _say_shapes(graph, inputs)
    imported = _import(graph)
    feeds = [imported.graph.get_tensor_by_name(f"{tensor.name}:0") for tensor in inputs]
    fetches = _leaves(graph, imported.graph)
    if not inputs or not fetches:
        raise ConversionError(
            NOT_A_MODEL,
            f"it is a graph without {'an input' if not inputs else 'an output'}",
            "freeze the graph that is used for predictions",
        )
    pruned = imported.prune(feeds, list(fetches.values()))

    def call(*given: Any) -> dict[str, Any]:
        made = pruned(*[tensorflow.cast(value, feed.dtype) for value, feed in zip(given, feeds, strict=True)])
        return dict(zip(fetches, made, strict=True))

    notes.append(
        f"inputs are the graph's placeholders: {', '.join(tensor.name for tensor in inputs)}; "
        f"outputs its leaves: {', '.join(fetches)}"
    )
    try:
        return convert_function(request, call, inputs, list(fetches), imported, notes)
    except Exception as error:
        single = [tensor.name for tensor in inputs if not tensor.shape]
        if not single:
            raise
        words = " ".join(str(error).split())[-200:]
        raise ConversionError(
            NEEDS_SHAPES,
            f"the graph says of its input {single[0]!r} that it is one number, and doesn't run: {words}",
            f"give its sizes: --input-shape {single[0]}:1,224,224,3",
        ) from error


def _read(source: str) -> Any:
    from google.protobuf import text_format
    from tensorflow.core.framework import graph_pb2

    content = Path(source).read_bytes()
    graph = graph_pb2.GraphDef()
    try:
        if content.lstrip().startswith(b"node {"):
            text_format.Parse(content.decode("utf-8"), graph)
        else:
            graph.ParseFromString(content)
    except Exception as error:
        words = " ".join(str(error).split())[:200]
        raise ConversionError(
            UNREADABLE,
            f"it is a damaged graph: {words or 'it ends too early'}",
            "copy or freeze it again",
        ) from error
    return graph


def _check(graph: Any) -> None:
    variables = [node.name for node in graph.node if node.op in _VARIABLES]
    if variables:
        raise ConversionError(
            NOT_A_MODEL,
            f"it is a graph without its weights: {len(variables)} variables, first {variables[0]!r}",
            "freeze it: tf.graph_util.convert_variables_to_constants(session, graph, outputs)",
        )
    refuse_files(graph)


def _settle_switches(graph: Any) -> list[str]:
    """Fix placeholders that tell training from inference: a bool, and what of a layer dropout keeps."""
    import tensorflow

    kept = tensorflow.float32.as_datatype_enum
    settled: dict[int, tuple[Any, str]] = {
        tensorflow.bool.as_datatype_enum: (
            False,
            "a switch between training and inference, is fixed to False",
        ),
        kept: (1.0, "what dropout keeps, is fixed to 1, as at inference"),
    }
    notes = []
    for node in graph.node:
        # To ask a node for an attribute gives it one.
        if node.op not in _PLACEHOLDERS:
            continue
        kind = node.attr["dtype"].type
        if kind not in settled or node.attr["shape"].shape.dim:
            continue
        if kind == kept and not _KEEP.search(node.name):
            continue
        value, what = settled[kind]
        for key in list(node.attr):
            del node.attr[key]
        del node.input[:]
        node.op = "Const"
        node.attr["dtype"].type = kind
        node.attr["value"].tensor.CopyFrom(tensorflow.make_tensor_proto(value))
        notes.append(f"{node.name}, {what}")
        if kind == kept:
            _keep_all(graph, node.name)
        else:
            _take_branches(graph, node.name)
    return notes


def _keep_all(graph: Any, keep: str) -> None:
    """Draw no random numbers for a dropout that keeps everything: with zeros for them it does."""
    import tensorflow

    nodes = {node.name: node for node in graph.node}
    zero = f"{keep}/zero"
    drawing: dict[str, Any] = {}
    for mask in graph.node:
        if mask.op in _MASKS:
            above = {name for name in _above(mask, nodes) if name in nodes}
            if keep in above:
                drawing |= {name: nodes[name] for name in above if nodes[name].op == "RandomUniform"}
    for node in drawing.values():
        for key in list(node.attr):
            del node.attr[key]
        node.op = "Fill"
        node.input.append(zero)
        node.attr["T"].type = tensorflow.float32.as_datatype_enum
        node.attr["index_type"].type = tensorflow.int32.as_datatype_enum
    if drawing:
        made = graph.node.add(op="Const", name=zero)
        made.attr["dtype"].type = tensorflow.float32.as_datatype_enum
        made.attr["value"].tensor.CopyFrom(tensorflow.make_tensor_proto(0.0))


def _above(node: Any, nodes: Any) -> set[str]:
    """Return the names of what a dropout's mask is made of: what it keeps, and random numbers."""
    found: set[str] = set()
    reached = [node]
    for _ in range(_MASK_DEPTH):
        names = {name.split(":")[0].lstrip("^") for one in reached for name in one.input} - found
        found |= names
        reached = [nodes[name] for name in names if name in nodes and nodes[name].op != "RandomUniform"]
    return found


def _take_branches(graph: Any, switch: str) -> None:
    """Put in the place of each branch that a switch chooses, the one that it chooses when it is off.

    tf2onnx writes both, and moves transposes across them that it may not move.
    """
    off, on = {switch}, set[str]()
    # Nodes may stand behind those that read them.
    for _ in graph.node:
        before = len(off) + len(on)
        for node in graph.node:
            if node.op == "Identity" and node.input[0] in off | on:
                (off if node.input[0] in off else on).add(node.name)
            elif node.op == "LogicalNot" and node.input[0] in off | on:
                (on if node.input[0] in off else off).add(node.name)
        if len(off) + len(on) == before:
            break
    for node in graph.node:
        if node.op in ("If", "StatelessIf") and node.input[0] in off | on:
            branch = node.attr["else_branch" if node.input[0] in off else "then_branch"].func
            types = {key: node.attr[key].SerializeToString() for key in ("Tin", "Tout")}
            name = branch.SerializeToString()
            for key in list(node.attr):
                del node.attr[key]
            node.op = "StatefulPartitionedCall"
            node.attr["f"].func.ParseFromString(name)
            for key, content in types.items():
                node.attr[key].ParseFromString(content)
            del node.input[0]


def _enter_behind_decoders(graph: Any) -> list[str]:
    """Make what decodes an image file the input, as TVM's own frontend did."""
    import tensorflow

    notes = []
    entered: set[str] = set()
    for node in graph.node:
        if node.op in _DECODERS:
            entered.update(name.split(":")[0] for name in node.input)
            notes.append(
                f"the graph is entered behind {node.op}: {node.name} takes pixels, uint8, and no file"
            )
            channels = node.attr["channels"].i
            for key in list(node.attr):
                del node.attr[key]
            del node.input[:]
            node.op = "Placeholder"
            node.attr["dtype"].type = tensorflow.uint8.as_datatype_enum
            for size in (-1, -1, channels or 3):
                node.attr["shape"].shape.dim.add().size = size
    if entered:
        used = {name.split(":")[0].lstrip("^") for node in graph.node for name in node.input}
        kept = [node for node in graph.node if node.name not in entered or node.name in used]
        del graph.node[:]
        graph.node.extend(kept)
    return notes


def _input(node: Any, request: ConversionRequest) -> Tensor:
    import tensorflow

    shape = node.attr["shape"].shape
    given = request.shapes.get(node.name)
    # TensorFlow 1 wrote no shape for "unknown", and the shape of a scalar in the same way.
    unknown = shape.unknown_rank or ("shape" not in node.attr and not shape.dim)
    if unknown and given is None:
        raise ConversionError(
            NEEDS_SHAPES,
            f"the graph doesn't say how many sizes its input {node.name!r} has",
            f"give them: --input-shape {node.name}:1,224,224,3",
        )
    # Before 1.5 the two looked alike.
    unknown = unknown or not shape.dim
    sizes = given if unknown and given is not None else [size.size for size in shape.dim]
    return Tensor(node.name, tensorflow.as_dtype(node.attr["dtype"].type).name, tuple(sizes))


def _say_shapes(graph: Any, inputs: Sequence[Tensor]) -> None:
    """Write shapes into the placeholders, so that TensorFlow infers the others from them."""
    shapes = {tensor.name: tensor.shape for tensor in inputs}
    for node in graph.node:
        if node.name in shapes:
            node.op = "Placeholder"
            del node.input[:]
            node.attr["shape"].shape.Clear()
            for size in shapes[node.name]:
                node.attr["shape"].shape.dim.add().size = int(size)
        # Shapes that another tool inferred, and may contradict those.
        if "_output_shapes" in node.attr:
            del node.attr["_output_shapes"]


def _import(graph: Any) -> Any:
    import tensorflow

    try:
        return tensorflow.compat.v1.wrap_function(
            lambda: tensorflow.compat.v1.import_graph_def(graph, name=""), []
        )
    except Exception as error:
        words = " ".join(str(error).split())[:300]
        if "Op type not registered" in words:
            raise ConversionError(NO_ONNX_FORM, f"it has an operator of its own: {words}") from error
        raise ConversionError(
            UNREADABLE,
            f"TensorFlow {graphs.version('tensorflow')} can't import it: {words}",
            "freeze it with that version of TensorFlow, or with an earlier one",
        ) from error


def _leaves(graph: Any, imported: Any) -> dict[str, Any]:
    """Return the tensors that nothing reads, by their nodes' names."""
    read = {name.split(":")[0].lstrip("^") for node in graph.node for name in node.input}
    leaves: dict[str, Any] = {}
    for node in graph.node:
        if node.name in read or node.op in _EMPTY or node.op in _PLACEHOLDERS or node.op.endswith("Summary"):
            continue
        made = imported.get_operation_by_name(node.name).outputs
        for place, tensor in enumerate(made):
            leaves[node.name if len(made) == 1 else f"{node.name}_{place}"] = tensor
    return leaves
