"""Why a frontend of TVM refused a model: at which node, and in which words."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["last_words", "refused_at"]

_MOST_NAMED = 5


def refused_at(error: Exception, model: Any) -> str:
    """Say which node a frontend stumbled over.

    Parameters
    ----------
    error : Exception
        As it was caught.
    model : onnx.ModelProto
    """
    # Both frontends convert node by node in one function, whose frame is in the traceback.
    traceback, node = error.__traceback__, None
    while traceback is not None:
        if traceback.tb_frame.f_code.co_name == "_construct_nodes":
            node = traceback.tb_frame.f_locals.get("node", node)
        traceback = traceback.tb_next
    if node is not None:
        return f"operator {node.op_type}, {_node_name(node)}"
    # What it has no converter for it lists before it starts, by type only.
    named = set(re.findall(r"\w+", str(error).rpartition(":")[2]))
    nodes = [node for node in model.graph.node if node.op_type in named]
    if type(error).__name__ == "OpNotImplemented" and nodes:
        return "; ".join(f"operator {node.op_type}, {_node_name(node)}" for node in nodes[:_MOST_NAMED])
    return "an operator it does not name"


def _node_name(node: Any) -> str:
    return f"node {node.name!r}" if node.name else f"the node that makes {node.output[0]!r}"


def last_words(error: Exception) -> str:
    """Return the last line of an error that says anything."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else "no message"
