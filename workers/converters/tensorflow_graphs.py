"""TensorFlow functions as ONNX, through tf2onnx: what the converters of Keras and TensorFlow share.

Runs in a converter's own interpreter. The framework is imported in functions alone, so that
:func:`quiet` comes first.
"""

from __future__ import annotations

import importlib.metadata
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from workers.converters.contract import (
    NO_ONNX_FORM,
    Candidate,
    ConversionError,
    ConversionRequest,
    Tensor,
)
from workers.converters.onnx_files import (
    foreign_operators,
    name_inputs,
    name_open_sizes,
    name_outputs,
    write,
)

__all__ = [
    "OPSET",
    "checked",
    "complaints",
    "exporter",
    "finish",
    "quiet",
    "refuse_foreign",
    "specs_of",
    "trace",
    "version",
]

#: tf2onnx's newest. Its own choice is 15, in which a LayerNormalization is nine operators.
OPSET = 18
# What names an operator that tf2onnx met and couldn't write.
_COMPLAINT = re.compile(r"(?:Failed to convert node|Tensorflow op \[)[^\n]*")
# Put before the names of what a function of ours calls.
_CALL = re.compile(r"^(?:(?:Stateful)?PartitionedCall(?:_\d+)?/)+")
# What TensorFlow says of a graph that one message can't hold.
_TOO_LARGE = re.compile("2GB|string too long|larger than 2")


def quiet() -> None:
    """Have TensorFlow say errors alone, use no GPU, and compute as ONNX does; before it is imported."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    # oneDNN sums in another order; the comparison is about the model.
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    os.environ["KERAS_BACKEND"] = "tensorflow"


def version(distribution: str) -> str:
    """Return the version of what is installed, under the first of its names that is."""
    for name in (distribution, f"{distribution}-cpu"):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "of unknown version"


def exporter() -> str:
    """Name tf2onnx with its version."""
    return f"tf2onnx {version('tf2onnx')}"


def specs_of(inputs: Sequence[Tensor]) -> list[Any]:
    """Return TensorFlow's specs of inputs."""
    import tensorflow

    return [
        tensorflow.TensorSpec(
            [size if isinstance(size, int) and size >= 0 else None for size in tensor.shape],
            tensor.dtype,
            name=f"input_{place}",
        )
        for place, tensor in enumerate(inputs)
    ]


def trace(
    call: Callable[..., Mapping[str, Any]],
    inputs: Sequence[Tensor],
    outputs: Sequence[str],
    owner: Any,
    layers: Sequence[str] = (),
    *,
    autograph: bool = False,
) -> Callable[[int | None], Any]:
    """Trace a function, and return what exports it to an ONNX model.

    Parameters
    ----------
    call : callable
        From tensors, one for each input, to tensors by name.
    inputs : sequence of Tensor
    outputs : sequence of str
        Names that `call` returns, in the model's order.
    owner : object
        What keeps the function's variables and tables alive.
    layers : sequence of str
        Names of layers, by which an operator's place is told.
    autograph : bool
        Whether Python's own branches and loops may depend on tensors, as in a person's code.
    """
    import tensorflow

    def flat(*given: Any) -> list[Any]:
        made = call(*given)
        # An output that is an input, or another output, would be one value with two names.
        return [tensorflow.identity(made[name], name=f"output_{place}") for place, name in enumerate(outputs)]

    traced = tensorflow.function(flat, input_signature=specs_of(inputs), autograph=autograph)
    concrete = traced.get_concrete_function()

    def export(opset: int | None) -> Any:
        with complaints() as said:
            try:
                model, names_in, names_out = _export(concrete, owner, opset or OPSET, large=False)
            except ValueError as error:
                if not _TOO_LARGE.search(str(error)):
                    raise
                model, names_in, names_out = _export(concrete, owner, opset or OPSET, large=True)
        refuse_foreign(model, said, layers)
        name_inputs(model, dict(zip(names_in, [tensor.name for tensor in inputs], strict=True)))
        name_outputs(model, dict(zip(names_out, outputs, strict=True)))
        return model

    return export


def _export(concrete: Any, owner: Any, opset: int, *, large: bool) -> tuple[Any, list[str], list[str]]:
    """Return a function's ONNX model, and the names of its inputs and outputs there."""
    import tensorflow
    from tf2onnx import convert, tf_loader

    _teach()
    # tf2onnx's own from_function takes constants that the function captured for inputs of the model.
    captured = {tensor.name for tensor in concrete.graph.function_captures.by_val_internal.values()}
    names_in = [tensor.name for tensor in concrete.inputs if tensor.name not in captured]
    names_out = [tensor.name for tensor in concrete.outputs]
    with tensorflow.device("/cpu:0"):
        graph, tables = tf_loader.from_trackable(owner, concrete, list(names_in), list(names_out), large)
        model, storage = convert._convert_common(
            graph,
            name="model",
            continue_on_error=True,
            opset=opset,
            input_names=list(names_in),
            output_names=list(names_out),
            initialized_tables=tables,
            tensors_to_rename={},
            large_model=large,
        )
    if storage is not None:
        _fill(model.graph, storage.name_to_tensor_data)
    return model, names_in, names_out


def _teach() -> None:
    """Teach tf2onnx Erfc, which Keras 3 and TensorFlow write for a GELU, and it has no form of."""
    import numpy as np
    from tf2onnx import utils
    from tf2onnx.handler import tf_op

    class Complement:
        @classmethod
        def version_9(cls, ctx: Any, node: Any, **_: Any) -> None:
            shapes, dtypes = [ctx.get_shape(node.output[0])], [ctx.get_dtype(node.output[0])]
            one = np.ones((), utils.map_onnx_to_numpy_type(dtypes[0]))
            erf = ctx.make_node("Erf", [node.input[0]], shapes=shapes, dtypes=dtypes)
            ctx.remove_node(node.name)
            ctx.make_node(
                "Sub",
                [ctx.make_const(utils.make_name("one"), one).output[0], erf.output[0]],
                outputs=node.output,
                name=node.name,
                shapes=shapes,
                dtypes=dtypes,
            )

    tf_op("Erfc")(Complement)


def _fill(graph: Any, contents: Mapping[str, bytes]) -> None:
    """Put back what tf2onnx keeps beside a large model: in memory there is no limit."""
    for tensor in graph.initializer:
        if tensor.external_data:
            tensor.raw_data = contents[tensor.external_data[0].value]
            del tensor.external_data[:]
            tensor.ClearField("data_location")
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _fill(attribute.g, contents)


@contextmanager
def complaints() -> Iterator[list[str]]:
    """Collect what tf2onnx says of operators that it can't write."""
    said: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    collector = Collector(logging.WARNING)
    root = logging.getLogger("tf2onnx")
    root.addHandler(collector)
    try:
        yield said
    finally:
        root.removeHandler(collector)


def refuse_foreign(model: Any, said: Sequence[str] = (), layers: Sequence[str] = ()) -> None:
    """Refuse a model in which operators of TensorFlow are left.

    Parameters
    ----------
    said : sequence of str
        What tf2onnx said meanwhile.
    layers : sequence of str
        Names of layers, one of which may be part of a node's name.

    Raises
    ------
    ConversionError
        `NO_ONNX_FORM`
    """
    places: dict[str, list[str]] = {}
    for operator, node in foreign_operators(model):
        node = _CALL.sub("", node)
        layer = next((part for part in node.split("/") if part in layers), "")
        places.setdefault(operator, []).append(f"layer {layer!r}" if layer else f"node {node!r}")
    if not places:
        return
    parts = [
        f"{operator} ({names[0]}{f' and {len(names) - 1} more' * (len(names) > 1)})"
        for operator, names in places.items()
    ]
    why = next((match.group() for text in said if (match := _COMPLAINT.search(text))), "")
    raise ConversionError(
        NO_ONNX_FORM,
        f"{exporter()} has no ONNX form of {', '.join(parts[:4])}{f': {why}' * bool(why)}"[:600],
        "write that part with other operators, or leave it outside of the model that is saved",
    )


def finish(
    request: ConversionRequest, made: Mapping[str, tuple[str, Callable[[], Any]]], first: str
) -> tuple[list[Candidate], list[str]]:
    """Write the model of the first exporter that works, or of the one that was asked for.

    The others are there for what the first fails at: where both work, tf2onnx's and Keras' graphs are equal,
    operator by operator, and the second would take as long again.

    Parameters
    ----------
    made : mapping of str to (str, callable)
        By the exporter's short name: its name with versions, and what returns its ONNX model.
    first : str
        Name of the first size of inputs, where it is open.

    Returns
    -------
    candidates : list of Candidate
    notes : list of str
        Which exporter failed before one worked.

    Raises
    ------
    ConversionError
        None worked: the first one's error.
    """
    candidates: list[Candidate] = []
    errors: list[tuple[str, Exception]] = []
    for name, (title, export) in made.items():
        if request.exporter not in ("", name) or candidates:
            continue
        try:
            model = export()
        except Exception as error:
            errors.append((title, error))
            continue
        name_open_sizes(model, first)
        candidates.append(Candidate(write(model, request.out, name), title))
    if not candidates:
        raise errors[0][1]
    return candidates, [f"{title} failed: {_short(error)}" for title, error in errors]


def checked(
    call: Callable[..., Mapping[str, Any]], inputs: Sequence[Tensor], outputs: Sequence[str]
) -> Callable[..., Any]:
    """Make a function of arrays by name out of one of tensors."""
    import tensorflow

    def run(given: Mapping[str, Any]) -> dict[str, Any]:
        made = call(*[tensorflow.constant(given[tensor.name], tensor.dtype) for tensor in inputs])
        return {name: made[name].numpy() for name in outputs}

    return run


def _short(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
