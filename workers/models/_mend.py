"""What onnxruntime takes and the tools here don't: nodes out of order, sparse constants."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from workers.errors import ModelError
from workers.models import _graphs

__all__ = ["mend", "one_standard_domain"]

# Of float32, 2 GiB: more than a model can hold.
_MOST_ENTRIES = 2**29


def mend(model: onnx.ModelProto) -> list[str]:
    """Put nodes in the order of their use and write sparse constants out, in place.

    Converters to float16 leave nodes behind those that read them (apache/tvm 19907); onnxruntime sorts them.

    Returns
    -------
    list of str
        One sentence for each kind of thing that was mended.
    """
    changes = []
    if sum(_sorted(graph) for graph in _graphs.graphs(model)):
        changes.append("put its nodes in the order of their use")
    padded = sum(_without_negative_pads(graph) for graph in _graphs.graphs(model))
    if padded:
        changes.append(f"cut the inputs of {padded} convolutions with negative pads")
    dense = sum(_written_out(graph) for graph in _graphs.graphs(model))
    if dense:
        changes.append(f"wrote out {dense} sparse constants")
    return changes


def one_standard_domain(model: onnx.ModelProto) -> None:
    """Call the domain of ONNX's own operators by one of its two names, in place."""
    holders = [*_graphs.nodes(model), *model.opset_import, *model.functions]
    for function in model.functions:
        holders += [*function.node, *function.opset_import]
        holders += [node for outer in function.node for node in _graphs.nodes_within(outer)]
    for holder in holders:
        if holder.domain == _graphs.STANDARD_DOMAINS[1]:
            holder.domain = _graphs.STANDARD_DOMAINS[0]


def _sorted(graph: Any) -> bool:
    made = {name for node in graph.node for name in node.output if name}
    waiting, order, ready = list(graph.node), [], set[str]()
    while waiting:
        later = []
        for node in waiting:
            # Names of an outer graph are none of this graph's business.
            needs = {name for name in _graphs.reads(node) if name in made}
            if needs <= ready:
                order.append(node)
                ready.update(node.output)
            else:
                later.append(node)
        if len(later) == len(waiting):
            return False  # a circle, which the checker names
        waiting = later
    if all(one is other for one, other in zip(order, graph.node, strict=True)):
        return False
    _graphs.replace_nodes(graph, order)
    return True


def _without_negative_pads(graph: Any) -> int:
    """Cut inputs where pads are below zero: onnxruntime refuses these, TVM reads beyond the ends."""
    count, nodes = 0, []
    for node in graph.node:
        pads = list(_graphs.attribute(node, "pads") or [])
        if node.op_type == "Conv" and pads and min(pads) < 0:
            count, rank = count + 1, len(pads) // 2
            below = [min(pad, 0) for pad in pads]
            name, part = f"{node.output[0]}/pads", f"{node.output[0]}/part"
            cut = np.asarray([0, 0, *below[:rank], 0, 0, *below[rank:]], np.int64)
            graph.initializer.append(numpy_helper.from_array(cut, name))
            nodes.append(helper.make_node("Pad", [node.input[0], name], [part], name=part))
            node.input[0] = part
            for attribute in node.attribute:
                if attribute.name == "pads":
                    attribute.ints[:] = [max(pad, 0) for pad in pads]
        nodes.append(node)
    if count:
        _graphs.replace_nodes(graph, nodes)
    return count


def _require_sound(sparse: Any) -> None:
    name, entries = sparse.values.name, math.prod(sparse.dims)
    if entries > _MOST_ENTRIES:
        raise ModelError(f"sparse constant '{name}' has {entries:,} entries, too many to be written out")
    try:
        onnx.checker.check_sparse_tensor(sparse)
    except onnx.checker.ValidationError as error:
        raise ModelError(f"sparse constant '{name}' is not valid: {str(error).splitlines()[0]}") from None


def _written_out(graph: Any) -> int:
    count = len(graph.sparse_initializer)
    for sparse in graph.sparse_initializer:
        _require_sound(sparse)
        values = numpy_helper.to_array(sparse.values)
        places = numpy_helper.to_array(sparse.indices)
        shape = tuple(sparse.dims)
        dense = np.zeros(shape, values.dtype)
        if places.ndim == 1:
            dense.ravel()[places] = values
        else:
            dense[tuple(places.T)] = values
        graph.initializer.append(numpy_helper.from_array(dense, sparse.values.name))
    del graph.sparse_initializer[:]
    return count
