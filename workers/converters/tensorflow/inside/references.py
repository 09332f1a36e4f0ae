"""Reference variables, which TensorFlow 1 made where it wasn't asked for resources.

TensorFlow looks their values up in the function that it freezes, by names that they have in the signature
alone: a function that calls the signature can't be frozen. So the signature's graph is put into that function
instead, around variables that are resources.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["without_references"]

_REFERENCE = "VariableV2"


def without_references(signature: Any, inputs: Sequence[str]) -> Callable[..., dict[str, Any]] | None:
    """Return a signature of TensorFlow 1 with variables as today's are; None where it has none of old.

    Parameters
    ----------
    signature : WrappedFunction
    inputs : sequence of str
        Names of its inputs, in the order in which the result takes tensors.
    """
    import tensorflow

    graph = signature.graph
    definition = graph.as_graph_def()
    old = [f"{node.name}:0" for node in definition.node if node.op == _REFERENCE]
    if not old:
        return None
    with graph.as_default():
        read = [tensorflow.identity(graph.get_tensor_by_name(name)).name for name in old]
    values = signature.prune([], read)()
    variables = {name: tensorflow.Variable(value) for name, value in zip(old, values, strict=True)}
    captured = {inside.name: outside for outside, inside in graph.captures}
    # By place, which the loader of version 1 gives them by their names.
    fed = [tensor.name for tensor in signature.inputs if tensor.name not in captured]
    replaced = {name.split(":")[0] for name in (*variables, *captured, *fed)}
    nodes = [node for node in definition.node if node.name not in replaced]
    for node in nodes:
        # Beside which node it lies, and what it waits for: those that are replaced do nothing.
        node.attr.pop("_class", None)
        kept = [name for name in node.input if name.removeprefix("^") not in replaced or name[0] != "^"]
        node.input[:] = kept
    del definition.node[:]
    definition.node.extend(nodes)
    results = [tensor.name for tensor in signature.structured_outputs.values()]
    # What isn't read can't be replaced.
    used = {f"{name}:0" for node in nodes for name in node.input} | set(results)

    def call(*given: Any) -> dict[str, Any]:
        named = dict(zip(inputs, given, strict=True))
        traced = tensorflow.compat.v1.get_default_graph()
        for variable in graph.variables:
            traced.watch_variable(variable)
        replacements = {
            **dict(zip(fed, [named[name] for name in sorted(named)], strict=True)),
            **{name: variable.read_value() for name, variable in variables.items()},
            **{name: traced.capture(outside) for name, outside in captured.items()},
        }
        made = tensorflow.graph_util.import_graph_def(
            definition,
            {name: value for name, value in replacements.items() if name in used},
            results,
            name="",
        )
        return dict(zip(signature.structured_outputs, made, strict=True))

    return call
