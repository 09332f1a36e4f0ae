"""What the insides of all converters share: the request read, the reply written, inputs drawn and kept.

Runs in the converter's own interpreter: the standard library, and numpy where inputs are concerned.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from workers.converters.contract import FAILED, ConversionError, ConversionRequest, Converted

__all__ = ["CHECKS", "answer", "draw", "main", "save_checks"]

#: Name of the file with drawn inputs and the framework's own outputs.
CHECKS = "checks.npz"
_WORDS = 500


def main(convert: Callable[[ConversionRequest], Converted], arguments: Sequence[str] | None = None) -> None:
    """Do what a request's file asks for, and write the reply.

    An error that `convert` didn't foresee is told as `FAILED`, with the type and where it came from.
    """
    request = ConversionRequest.read((sys.argv[1:] if arguments is None else arguments)[0])
    answer(request, convert)


def answer(request: ConversionRequest, convert: Callable[[ConversionRequest], Converted]) -> None:
    """Convert, and write the reply; it appears under its name when it is whole."""
    reply: dict[str, Any]
    try:
        reply = asdict(convert(request))
    except ConversionError as error:
        reply = {"error": {"code": error.code, "message": error.message, "hint": error.hint}}
    except (Exception, SystemExit) as error:
        # All of it goes to what is kept of this process's words.
        traceback.print_exc()
        words = " ".join(str(error).split())[:_WORDS] or "no message"
        reply = {"error": {"code": FAILED, "message": f"{type(error).__name__}: {words}", "hint": ""}}
    fresh = Path(f"{request.reply}.{os.getpid()}")
    fresh.write_text(json.dumps(reply), "utf-8")
    fresh.replace(request.reply)


def draw(shapes: Mapping[str, tuple[str, Sequence[int]]], seed: int) -> dict[str, Any]:
    """Draw inputs by their dtype's name and shape: normal floats, integers 0 and 1, bools.

    Integers are small since they are mostly indices, of tables of unknown length.
    """
    import numpy as np

    generator = np.random.default_rng(seed)
    drawn: dict[str, Any] = {}
    for name, (dtype, shape) in shapes.items():
        kind = np.dtype(dtype)
        if kind.kind == "f":
            drawn[name] = generator.standard_normal(tuple(shape)).astype(kind)
        else:
            drawn[name] = generator.integers(0, 2, tuple(shape)).astype(kind)
    return drawn


def save_checks(folder: str, draws: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> None:
    """Keep inputs and the framework's own outputs for the comparison.

    Parameters
    ----------
    draws : sequence of (inputs, outputs)
        Arrays by name, the names being those of the ONNX files; two draws at least.
    """
    import numpy as np

    arrays: dict[str, Any] = {}
    for index, (given, made) in enumerate(draws):
        arrays |= {f"input:{index}:{name}": np.asarray(value) for name, value in given.items()}
        arrays |= {f"output:{index}:{name}": np.asarray(value) for name, value in made.items()}
    np.savez(Path(folder) / CHECKS, **arrays)
