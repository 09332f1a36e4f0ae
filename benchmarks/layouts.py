"""What blocked layouts make of models: transforms, their causes, what is in blocks, and what ``auto`` takes.

::

    python -m benchmarks.layouts resnet18.onnx yolov8n.onnx
    python -m benchmarks.layouts --folder cov/models            # what the coverage benchmark has exported
    python -m benchmarks.layouts --folder cov/models --target 'llvm -mcpu=skylake-avx512 -num-cores=2'

Nothing is compiled or measured. A convolution is in blocks where its result or its input is; the share is of
the floating-point operations of all convolutions, those of one channel each (depthwise) and transposed ones
among them. Models without any are left out.
"""

from __future__ import annotations

import argparse
import collections
import json
import pathlib
import tempfile
from typing import Any

from workers.engines.metaschedule.layouts import chosen_layout, convolutions, with_layout
from workers.engines.metaschedule.model import in_nchw
from workers.engines.metaschedule.targets import parse_target, resolve_target
from workers.errors import TunefleetError
from workers.models import parse_input_shape, prepare

__all__ = ["looked_at", "main"]

_HEAD = ("model", "convolutions", "GFLOP", "in blocks", "transforms", "MiB", "auto", "causes")


def looked_at(path: pathlib.Path, target: Any, shapes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    """Return what becomes of a model; with ``error`` where it can't be imported."""
    row: dict[str, Any] = {"model": path.stem}
    try:
        with tempfile.TemporaryDirectory(prefix="tunefleet-") as folder:
            module = in_nchw(prepare(path, shapes, folder), target)
    except TunefleetError as error:
        return {**row, "error": str(error)}
    whole = list(convolutions(module))
    row |= {"convolutions": len(whole), "flops": sum(one.flops for one in whole)}
    if not whole:
        return row
    laid = with_layout(module, "blocked", target)
    left = sum(one.flops for one in convolutions(laid.module))
    choice = chosen_layout(module, target)
    causes = collections.Counter(transform.cause.removeprefix("relax.") for transform in laid.transforms)
    return {
        **row,
        "in_blocks": 1 - left / row["flops"],
        "transforms": len(laid.transforms),
        "bytes": sum(transform.bytes for transform in laid.transforms),
        "causes": dict(causes.most_common()),
        "auto": choice.laid.layout,
        "close": choice.alternative,
        "reason": choice.reason,
    }


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    causes = ", ".join(f"{cause} {count}" for cause, count in list(row["causes"].items())[:4])
    return (
        row["model"],
        str(row["convolutions"]),
        f"{row['flops'] / 1e9:.2f}",
        f"{row['in_blocks']:.0%}",
        str(row["transforms"]),
        f"{row['bytes'] / 2**20:.1f}",
        f"{row['auto']} ({row['close']} is close)" if row["close"] else row["auto"],
        causes,
    )


def main() -> None:
    """Print a table, as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("models", nargs="*", type=pathlib.Path)
    parser.add_argument("--folder", type=pathlib.Path, help="all models in it as well")
    parser.add_argument("--target", help="left out, this machine")
    parser.add_argument("--shape", action="append", default=[], help="NAME:SIZE,SIZE,...")
    parser.add_argument("--output", type=pathlib.Path, help="a file for a line of JSON of each model")
    options = parser.parse_args()
    target = parse_target(options.target or resolve_target("auto").target)
    shapes = dict(map(parse_input_shape, options.shape))
    found = [*options.models, *(sorted(options.folder.glob("*.onnx")) if options.folder else ())]
    print(f"| {' | '.join(_HEAD)} |\n|{'---|' * len(_HEAD)}", flush=True)
    lines = []
    for path in found:
        row = looked_at(path, target, shapes)
        lines.append(json.dumps(row))
        if row.get("error"):
            print(f"| {row['model']} | {row['error'].splitlines()[0]} |", flush=True)
        elif row["convolutions"]:
            print(f"| {' | '.join(_cells(row))} |", flush=True)
    if options.output:
        options.output.write_text("".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    main()
