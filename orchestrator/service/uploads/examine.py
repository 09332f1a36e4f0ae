"""Look into an upload, in a process of its own: a hostile file may cost that one its life or its memory.

::

    python -m orchestrator.service.uploads.examine FILE

Writes ``{"inputs": [...]}`` or ``{"error": "..."}`` to stdout.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator.errors import ModelError

__all__ = ["examine", "main"]

_LIMIT_SECONDS = 120
# onnx and its libraries map about 2 GB by themselves.
_BASE_BYTES = 4 * 2**30
_TIMES_THE_FILE = 6


def examine(path: Path) -> list[dict[str, Any]]:
    """Return the inputs of an ONNX file: name, shape (None where a dimension is open) and type of each.

    Raises
    ------
    ModelError
        It is none, or has its weights in another file.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", __name__, str(path)],
            capture_output=True,
            timeout=_LIMIT_SECONDS,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ModelError(f"reading this file took more than {_LIMIT_SECONDS} s; it was given up") from None
    try:
        found = json.loads(done.stdout)
    except ValueError:
        raise ModelError("this is no ONNX file: reading it ended in a crash") from None
    if "error" in found:
        raise ModelError(str(found["error"]))
    inputs: list[dict[str, Any]] = found["inputs"]
    return inputs


def main(path: str) -> None:
    """Read the file and write what was found."""
    most = _BASE_BYTES + _TIMES_THE_FILE * os.path.getsize(path)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    try:
        json.dump({"inputs": _inputs(path)}, sys.stdout)
    except ModelError as error:
        json.dump({"error": str(error)}, sys.stdout)
    except MemoryError:
        json.dump({"error": "this is no ONNX file: reading it takes more memory than any would"}, sys.stdout)


def _inputs(path: str) -> list[dict[str, Any]]:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, load_external_data=False)
    except (DecodeError, ValueError):
        raise ModelError(
            "this is no ONNX file, or one that was cut off; other frameworks' models are converted first, by "
            "`tunefleet convert`"
        ) from None
    graph = model.graph
    if not model.ir_version or not (graph.node or graph.output):
        raise ModelError("this is no ONNX file: there is no graph in it")
    given = {tensor.name for tensor in graph.initializer}
    outside = [
        name
        for part in (graph, *model.functions)
        for name, tensor in _tensors(part)
        if tensor.data_location == tensor.EXTERNAL
    ]
    if outside:
        raise ModelError(
            f"{len(outside)} of its weights are in another file ({outside[0][:80]!r} first); save the model "
            "as one file: onnx.save(onnx.load('model.onnx'), 'whole.onnx')"
        )
    return [
        {
            "name": one.name,
            "shape": [
                dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None
                for dim in one.type.tensor_type.shape.dim
            ],
            "dtype": onnx.TensorProto.DataType.Name(one.type.tensor_type.elem_type).lower(),
        }
        for one in graph.input
        if one.name not in given
    ]


def _tensors(part: Any) -> Iterator[tuple[str, Any]]:
    """Return the tensors of a graph or a function and what they are called, those inside its nodes too."""
    for tensor in getattr(part, "initializer", ()):
        yield tensor.name, tensor
    for sparse in getattr(part, "sparse_initializer", ()):
        yield from _of_sparse(sparse.values.name, sparse)
    for node in part.node:
        called = next(iter(node.output), node.name)
        for one in node.attribute:
            for tensor in (one.t, *one.tensors):
                yield tensor.name or called, tensor
            for sparse in (one.sparse_tensor, *one.sparse_tensors):
                yield from _of_sparse(called, sparse)
            for graph in (one.g, *one.graphs):
                yield from _tensors(graph)


def _of_sparse(called: str, sparse: Any) -> Iterator[tuple[str, Any]]:
    yield called, sparse.values
    yield called, sparse.indices


if __name__ == "__main__":
    main(sys.argv[1])
