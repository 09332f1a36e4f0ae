"""Paddle's side: an inference model through paddle2onnx, and through Paddle's own predictor."""

from __future__ import annotations

import importlib.metadata
import multiprocessing
import os
import re
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from workers.converters.contract import (
    FAILED,
    NO_ONNX_FORM,
    UNREADABLE,
    Candidate,
    ConversionError,
    ConversionRequest,
    Converted,
    Tensor,
)
from workers.converters.drawing import draw_and_run
from workers.converters.onnx_files import fix_shapes, name_open_sizes, name_outputs, tensors, write
from workers.converters.paddle.recognise import Files, files_of
from workers.converters.serving import main, save_checks
from workers.converters.shapes import with_shapes

__all__ = ["convert"]

# The newest of those that paddle2onnx was written for; above 17 it writes forms that it tests little.
_OPSET = 17
# Its word for an operator that it has no form of, which it doesn't name, and what the program's are called.
_ABORTED = "unsupported operators"
_OPERATOR = re.compile(r'"pd_op\.(\w+)"')
# Of a mapper's C++ class, which is called after the operator.
_MAPPER = re.compile(rb"\d([A-Z]\w*)Mapper")
# Operators whose mappers are called otherwise: those of one kind share one.
_SHARED = {
    *("data", "fetch", "feed", "full", "full_int_array", "combine", "builtin", "shape", "assign", "relu"),
    *(
        "add",
        "subtract",
        "multiply",
        "divide",
        "maximum",
        "minimum",
        "elementwise_pow",
        "mean",
        "sum",
        "max",
        "min",
    ),
    *(
        "sigmoid",
        "tanh",
        "exp",
        "abs",
        "sqrt",
        "log",
        "floor",
        "ceil",
        "softplus",
        "silu",
        "gelu",
        "hardswish",
    ),
    *(
        "depthwise_conv2d",
        "bilinear_interp",
        "nearest_interp",
        "equal",
        "less_than",
        "greater_than",
        "embedding",
    ),
    *("add_", "relu_", "reshape_", "squeeze_", "unsqueeze_", "flatten_", "scale_", "clip_", "softmax_"),
}


def convert(request: ConversionRequest) -> Converted:
    """Export an inference model under its own names."""
    warnings.filterwarnings("ignore")
    os.environ["GLOG_minloglevel"] = "2"  # noqa: SIM112
    files = files_of(request.source)
    if files is None:
        raise ConversionError(UNREADABLE, "it is no inference model any more")
    import paddle

    model = _export(files, request.opset or _OPSET)
    inputs = with_shapes(tensors(model.graph.input), request.shapes)
    fix_shapes(model, inputs)
    name_open_sizes(model, "")
    run, outputs = _predictor(files, inputs)
    # Programs of Paddle 2 are translated first, which calls outputs by their places.
    name_outputs(model, dict(zip([value.name for value in model.graph.output], outputs, strict=True)))
    draws = draw_and_run(inputs, run, request.seed)
    save_checks(request.out, draws)
    return Converted(
        framework=f"PaddlePaddle {paddle.__version__}",
        candidates=(Candidate(write(model, request.out, "paddle2onnx"), _title()),),
        inputs=tensors(model.graph.input),
        outputs=tensors(model.graph.output),
    )


def _export(files: Files, opset: int) -> Any:
    """Return the ONNX model, made in a child process: of what paddle2onnx can't write, it dies."""
    import onnx
    import paddle2onnx

    def child(path: str) -> None:
        content = paddle2onnx.export(
            str(files.program),
            str(files.weights) if files.weights is not None else "",
            None,
            opset_version=opset,
            # It names the program's operators then, and nothing else does.
            verbose=True,
        )
        Path(path).write_bytes(content)

    with tempfile.TemporaryDirectory() as folder:
        made, words = Path(folder) / "model.onnx", Path(folder) / "words"
        process = multiprocessing.get_context("fork").Process(target=_silenced, args=(child, made, words))
        process.start()
        process.join()
        if made.is_file():
            return onnx.load(made)
        said = words.read_text("utf-8", "replace")
    if _ABORTED in said:
        suspects = _suspects(said)
        raise ConversionError(
            NO_ONNX_FORM,
            f"{_title()} has no ONNX form of one of its operators, and doesn't say of which: "
            f"{' or '.join(suspects[:6]) or 'it may be any'}",
            "write that part of the model with other operators, or leave it outside of what is saved",
        )
    last = " ".join(said.split("[ERROR]")[-1].split())[:400]
    raise ConversionError(
        FAILED, f"{_title()} failed: {last or f'it died of signal {-(process.exitcode or 0)}'}"
    )


def _silenced(work: Callable[[str], None], made: Path, words: Path) -> None:
    """Work with both outputs in a file, compiled code's words too."""
    with words.open("wb") as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
        work(str(made))


def _suspects(said: str) -> list[str]:
    """Return the program's operators after which paddle2onnx has called no mapper."""
    import paddle2onnx

    library = next(Path(paddle2onnx.__file__).parent.glob("*.so"))
    known = {name.decode().lower() for name in _MAPPER.findall(library.read_bytes())}
    operators = dict.fromkeys(_OPERATOR.findall(said))
    return [name for name in operators if name not in _SHARED and name.replace("_", "").lower() not in known]


def _title() -> str:
    return f"paddle2onnx {importlib.metadata.version('paddle2onnx')}"


def _predictor(
    files: Files, inputs: Sequence[Tensor]
) -> tuple[Callable[[Mapping[str, Any]], dict[str, Any]], list[str]]:
    """Return what runs the model in Paddle, and the names of its outputs."""
    from paddle import inference

    config = inference.Config(str(files.program), str(files.weights) if files.weights is not None else "")
    config.disable_gpu()
    config.disable_glog_info()
    # As it is written: fused kernels sum in another order, and oneDNN may compute in lower precision.
    config.switch_ir_optim(False)
    config.disable_mkldnn()
    predictor = inference.create_predictor(config)
    outputs = list(predictor.get_output_names())

    def run(given: Mapping[str, Any]) -> dict[str, Any]:
        for tensor in inputs:
            handle = predictor.get_input_handle(tensor.name)
            handle.reshape(given[tensor.name].shape)
            handle.copy_from_cpu(given[tensor.name])
        predictor.run()
        return {name: predictor.get_output_handle(name).copy_to_cpu() for name in outputs}

    return run, outputs


if __name__ == "__main__":
    main(convert)
