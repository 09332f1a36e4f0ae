"""The way of a function of tensors to its ONNX model, checks and reply, which folders and graphs share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from workers.converters import tensorflow_graphs as graphs
from workers.converters.contract import NO_ONNX_FORM, ConversionError, ConversionRequest, Converted, Tensor
from workers.converters.drawing import draw_and_run, outputs_of
from workers.converters.serving import save_checks
from workers.converters.tensorflow.recognise import FILES

__all__ = ["convert_function", "refuse_files"]


def convert_function(
    request: ConversionRequest,
    call: Callable[..., Mapping[str, Any]],
    inputs: Sequence[Tensor],
    outputs: Sequence[str],
    owner: Any,
    notes: Sequence[str] = (),
    traced: Callable[..., Mapping[str, Any]] | None = None,
) -> Converted:
    """Trace, export, and run a function.

    Parameters
    ----------
    call : callable
        From tensors in the order of `inputs` to tensors by name.
    owner : object
        What keeps its variables and tables alive.
    traced : callable or None
        The same function in a form that can be exported, where `call`, with whose outputs the model is
        compared, can't be.
    """
    # Exported before it is run: what can't be written is refused before it has done anything.
    export = graphs.trace(traced or call, inputs, outputs, owner)
    candidates, more = graphs.finish(
        request, {"tf2onnx": (graphs.exporter(), lambda: export(request.opset))}, first=""
    )
    draws = draw_and_run(inputs, graphs.checked(call, inputs, outputs), request.seed)
    save_checks(request.out, draws)
    return Converted(
        framework=f"TensorFlow {graphs.version('tensorflow')}",
        candidates=tuple(candidates),
        inputs=tuple(inputs),
        outputs=outputs_of(draws),
        notes=(*notes, *more),
    )


def refuse_files(graph: Any) -> None:
    """Refuse a GraphDef that reads or writes files or calls Python: exporters would leave that out silently.

    Raises
    ------
    ConversionError
        `NO_ONNX_FORM`
    """
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    for node in nodes:
        if node.op in FILES:
            raise ConversionError(
                NO_ONNX_FORM, f"{node.op} (node {node.name!r}) reaches beyond the graph and has no ONNX form"
            )
