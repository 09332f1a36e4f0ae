"""Sums of several tensors, as additions."""

from __future__ import annotations

import onnx
from onnx import helper

from workers.models import _graphs

__all__ = ["split_sums"]


def split_sums(model: onnx.ModelProto) -> list[str]:
    """Turn every Sum into Adds, in place, and say how many there were.

    TVM's frontend stacks the inputs of a Sum and reduces the stack, in a kernel of its own; an Add becomes
    part of the kernel that makes one of its inputs.
    """
    count = 0
    for graph in _graphs.graphs(model):
        nodes = []
        for node in graph.node:
            if node.op_type != "Sum" or len(node.input) < 2:
                nodes.append(node)
                continue
            count += 1
            result = node.input[0]
            for index, other in enumerate(node.input[1:], 1):
                last = index == len(node.input) - 1
                made = node.output[0] if last else f"{node.output[0]}_sum{index}"
                nodes.append(
                    helper.make_node(
                        "Add", [result, other], [made], name=f"{node.name}_{index}" if node.name else ""
                    )
                )
                result = made
        del graph.node[:]
        graph.node.extend(nodes)
    return [f"wrote {count} Sum as additions"] if count else []
