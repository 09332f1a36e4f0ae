"""Reads a toy model, computes it with numpy, and writes it in two ways.

The lines of a model, all but the first optional::

    toy model
    seed 7             # of its weights
    rows 2             # of its input, or `rows ?`, which leaves them open
    do sleep           # or crash, lie, scribble, nothing, or a code of the contract
"""

from __future__ import annotations

import os
import runpy
import signal
import time
from pathlib import Path
from typing import Any

from workers.converters import contract
from workers.converters.contract import Candidate, ConversionError, ConversionRequest, Converted, Tensor
from workers.converters.serving import main, save_checks

_DRAWS = 2


def convert(request: ConversionRequest) -> Converted:
    """Write ``model-roundabout.onnx`` and ``model-plain.onnx``."""
    text, files = _text(request)
    said = dict(line.split(None, 1) for line in text.splitlines()[1:])
    print(f"toy reads {Path(request.source).name}", flush=True)
    _misbehave(said.get("do", ""), request)
    rows = said.get("rows", "2")
    if rows == "?" and "x" not in request.shapes and "do" in said:
        raise ConversionError(contract.NEEDS_SHAPES, "x has no rows", "--input-shape x:2,3")
    # Here, since a model that is refused needs none of it.
    import numpy as np

    weights = np.random.default_rng(int(said.get("seed", 0))).standard_normal((3, 4)).astype("float32")
    draws = []
    for index in range(_DRAWS):
        number = 2 + index if rows == "?" else int(rows)
        values = np.random.default_rng(request.seed + index).standard_normal((number, 3)).astype("float32")
        draws.append(({"x": values}, {"y": values @ weights}))
    save_checks(request.out, draws)
    if said.get("do") == "lie":
        weights = weights + 1
    size = "n" if rows == "?" else int(rows)
    ways = {"roundabout": _roundabout, "plain": _plain}
    ways = {name: way for name, way in ways.items() if request.exporter in ("", name)}
    for name, way in ways.items():
        nodes, constants = way(weights)
        _write(Path(request.out) / f"model-{name}.onnx", nodes, constants, size)
    return Converted(
        framework="Toy 1.0",
        candidates=tuple(Candidate(f"model-{name}.onnx", f"toy.{name}") for name in ways),
        inputs=(Tensor("x", "float32", (size, 3)),),
        outputs=(Tensor("y", "float32", (size, 4)),),
        notes=("toys are small",),
        files=files,
    )


def _text(request: ConversionRequest) -> tuple[str, tuple[str, ...]]:
    if request.kind != contract.CODE:
        return Path(request.source).read_text(), ()
    file, _, function = request.source.rpartition(":")
    return runpy.run_path(file)[function](), (file,)


def _misbehave(how: str, request: ConversionRequest) -> None:
    if how == "sleep":
        Path(request.source).with_suffix(".pid").write_text(str(os.getpid()))
        time.sleep(600)
    elif how == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif how == "nothing":
        raise ConversionError(contract.FAILED, "nothing comes of it")
    elif how == "scribble":
        Path(request.out, "model-plain.onnx").write_bytes(b"\x08half a mod")
        raise KeyError("shape")
    elif how in contract.CODES:
        raise ConversionError(how, f"this is {how}", "do something else")


def _plain(weights: Any) -> tuple[list[Any], dict[str, Any]]:
    from onnx import helper

    return [helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": weights}


def _roundabout(weights: Any) -> tuple[list[Any], dict[str, Any]]:
    from onnx import helper

    turned = helper.make_node("Transpose", ["x"], ["xt"], perm=[1, 0])
    product = helper.make_node("MatMul", ["wt", "xt"], ["yt"])
    return [turned, product, helper.make_node("Transpose", ["yt"], ["y"], perm=[1, 0])], {
        "wt": weights.T.copy()
    }


def _write(path: Path, nodes: list[Any], constants: dict[str, Any], rows: int | str) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [rows, 4])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)


if __name__ == "__main__":
    main(convert)
