"""Writes models of the catalog, each in a fork of a process that has torch. Runs in the environment."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from benchmarks.coverage.catalog import CATALOG
from benchmarks.coverage.entry import Entry
from benchmarks.coverage.serving import serve
from benchmarks.coverage.variables import VARIABLES

__all__ = ["export"]

_ENTRIES = {entry.name: entry for entry in CATALOG}
#: What takes long to import and starts no threads, by the first word of a family.
_WARM = {
    "": ("torchvision", "torch.onnx", "torch.export", "onnxscript", "onnx"),
    "timm": ("timm",),
    "hf": ("transformers.modeling_utils",),
    "diffusers": ("diffusers",),
    "yolo": ("ultralytics",),
    "classical": ("skl2onnx", "onnxmltools"),
    "float16": ("transformers.modeling_utils", "timm", "onnxconverter_common", "onnxruntime"),
    "quantized": ("transformers.modeling_utils", "timm", "onnxruntime.quantization"),
    "onnxruntime": ("transformers.modeling_utils", "onnxruntime.transformers.optimizer"),
    "keras": ("tensorflow", "keras", "tf2onnx"),
}


def _ready() -> None:
    """Make torchvision importable, in an environment that has it."""
    with contextlib.suppress(ImportError):
        from benchmarks.coverage import torchvision_ops

        torchvision_ops.define()


def _warm(entry: Entry) -> None:
    """Import what the forks need, once for all of them."""
    for word in ("", entry.family.partition("-")[0]):
        for module in _WARM.get(word, ()):
            with contextlib.suppress(ImportError):
                importlib.import_module(module)


def export(question: dict[str, Any]) -> dict[str, Any]:
    """Write the model that is named; in a fork, which may crash."""
    _warm(_ENTRIES[question["name"]])
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder) / "said"
        child = os.fork()
        if child == 0:
            os._exit(_exported(question["name"], Path(question["path"]), said))
        _, status = os.waitpid(child, 0)
        message = said.read_text() if said.exists() else f"the exporter died, status {status}"
    return {"ok": status == 0, "message": message if status else "", "seconds": time.monotonic() - begin}


def _exported(name: str, path: Path, said: Path) -> int:
    part = path.with_name(f"{path.stem}.part.onnx")
    try:
        _ENTRIES[name].write(part)
        os.replace(part, path)
    except BaseException as error:
        lines = [line for line in str(error).strip().splitlines() if line.strip()]
        cause = error.__cause__
        while cause is not None:
            lines.append(f"because {type(cause).__name__}: {(str(cause).strip().splitlines() or [''])[0]}")
            cause = cause.__cause__
        said.write_text(f"{type(error).__name__}: {' / '.join(lines[:1] + lines[-1:])}"[:1000])
        traceback.print_exc()
        with contextlib.suppress(OSError):
            part.unlink()
        return 1
    return 0


if __name__ == "__main__":
    os.environ.update(VARIABLES)
    sys.setrecursionlimit(10_000)
    _ready()
    serve(export)
