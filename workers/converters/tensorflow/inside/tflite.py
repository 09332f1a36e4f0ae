"""A TFLite file, whose own interpreter says what it computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from workers.converters import tensorflow_graphs as graphs
from workers.converters.contract import (
    NEEDS_ARGUMENTS,
    UNREADABLE,
    ConversionError,
    ConversionRequest,
    Converted,
    Tensor,
)
from workers.converters.drawing import draw_and_run, outputs_of
from workers.converters.onnx_files import fix_shapes, name_inputs, name_outputs
from workers.converters.serving import save_checks
from workers.converters.shapes import refuse_strings, with_shapes

__all__ = ["convert"]

_USUAL = "serving_default"


def convert(request: ConversionRequest) -> Converted:
    """Export a TFLite file under its signature's names, or its tensors' where it has none."""
    interpreter = _open(request.source)
    named_in, named_out = _names(interpreter, request.signature)
    details_in = {one["name"]: one for one in interpreter.get_input_details()}
    inputs = [_tensor(named_in[name], one) for name, one in details_in.items()]
    refuse_strings(inputs)
    inputs = with_shapes(inputs, request.shapes)
    run = _runner(interpreter, inputs, list(details_in.values()), named_out)

    def export() -> Any:
        return _export(request, inputs, list(details_in), named_out)

    candidates, notes = graphs.finish(request, {"tf2onnx": (graphs.exporter(), export)}, first="")
    draws = draw_and_run(inputs, run, request.seed)
    save_checks(request.out, draws)
    return Converted(
        framework=f"TensorFlow Lite of TensorFlow {graphs.version('tensorflow')}",
        candidates=tuple(candidates),
        inputs=tuple(inputs),
        outputs=outputs_of(draws),
        notes=tuple(notes),
    )


def _open(source: str) -> Any:
    import tensorflow

    try:
        interpreter = tensorflow.lite.Interpreter(
            source,
            num_threads=1,
            # Without its delegate for CPUs, which rounds quantized values otherwise than the reference does.
            experimental_op_resolver_type=tensorflow.lite.experimental.OpResolverType.BUILTIN_REF,
        )
        interpreter.allocate_tensors()
    except Exception as error:
        words = " ".join(str(error).split())[:300]
        raise ConversionError(
            UNREADABLE, f"TensorFlow Lite can't load it: {words}", "copy or convert the file again"
        ) from error
    return interpreter


def _names(interpreter: Any, asked: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the names of inputs and outputs by those of their tensors."""
    given = {one["name"]: _plain(one["name"]) for one in interpreter.get_input_details()}
    made = {one["name"]: _plain(one["name"]) for one in interpreter.get_output_details()}
    signatures = interpreter.get_signature_list()
    if asked and asked not in signatures:
        raise ConversionError(
            NEEDS_ARGUMENTS,
            f"there is no signature {asked!r}; there are: {', '.join(signatures) or 'none'}",
            "correct --signature",
        )
    if len(signatures) > 1 and not asked and _USUAL not in signatures:
        raise ConversionError(
            NEEDS_ARGUMENTS,
            f"the file has the signatures {', '.join(signatures)}, and none is called {_USUAL}",
            f"name one: --signature {next(iter(signatures))}",
        )
    if signatures:
        name = asked or (_USUAL if _USUAL in signatures else next(iter(signatures)))
        runner = interpreter.get_signature_runner(name)
        given |= {one["name"]: key for key, one in runner.get_input_details().items()}
        made |= {one["name"]: key for key, one in runner.get_output_details().items()}
    return given, made


def _plain(name: str) -> str:
    """Leave out the number of an operator's output, which `--input-shape` would take for a shape."""
    return name.split(":")[0]


def _tensor(name: str, details: Mapping[str, Any]) -> Tensor:
    import numpy as np

    kind = details["dtype"]
    dtype = "string" if kind in (np.bytes_, np.str_, np.object_) else np.dtype(kind).name
    # The signature has -1 where the file leaves a size open; old files have none.
    shape = details.get("shape_signature", details["shape"])
    return Tensor(name, dtype, tuple(int(size) for size in (shape if len(shape) else details["shape"])))


def _runner(
    interpreter: Any,
    inputs: Sequence[Tensor],
    details: Sequence[Mapping[str, Any]],
    named_out: Mapping[str, str],
) -> Callable[[Mapping[str, Any]], Mapping[str, Any]]:
    def run(given: Mapping[str, Any]) -> dict[str, Any]:
        for tensor, one in zip(inputs, details, strict=True):
            interpreter.resize_tensor_input(one["index"], given[tensor.name].shape)
        interpreter.allocate_tensors()
        for tensor, one in zip(inputs, details, strict=True):
            interpreter.set_tensor(one["index"], given[tensor.name])
        interpreter.invoke()
        return {
            named_out[one["name"]]: interpreter.get_tensor(one["index"]).copy()
            for one in interpreter.get_output_details()
        }

    return run


def _export(
    request: ConversionRequest, inputs: Sequence[Tensor], names: Sequence[str], named_out: Mapping[str, str]
) -> Any:
    from tf2onnx import convert as tf2onnx

    with graphs.complaints() as said:
        model, _ = tf2onnx.from_tflite(request.source, opset=request.opset or graphs.OPSET)
    graphs.refuse_foreign(model, said)
    name_inputs(model, dict(zip(names, [tensor.name for tensor in inputs], strict=True)))
    name_outputs(model, dict(named_out))
    fix_shapes(model, inputs)
    return model
