"""Outputs held against a model's file itself, which for that is read and run, and not prepared."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from workers.models._compare import OutputDifference
from workers.models._exact import judge
from workers.models._prepare import fixed
from workers.models._reference import open_session, run_session
from workers.models.rewrites import microsoft

__all__ = ["OriginalCheck", "check_original"]


@dataclass(frozen=True)
class OriginalCheck:
    """What came of a comparison with a model's file.

    Attributes
    ----------
    sha256 : str
        As :class:`workers.messages.PreparedModel` has it.
    difference : OutputDifference or None
        None where that isn't what was given, so that there is nothing to compare.
    """

    sha256: str
    difference: OutputDifference | None


def check_original(
    path: str | os.PathLike[str],
    inputs: Mapping[str, npt.NDArray[Any]],
    outputs: Mapping[str, npt.NDArray[Any]],
    threads: int,
) -> OriginalCheck:
    """Run a file in onnxruntime and compare its outputs with those given.

    Parameters
    ----------
    path : path
    inputs, outputs : mapping of str to ndarray
        The inputs' shapes fix the model's.
    threads : int
        Threads within an operator.

    Raises
    ------
    ModelError, UsageError
        See :func:`workers.models.prepare`.
    """
    read = fixed(Path(path), {name: value.shape for name, value in inputs.items()})
    model, sha256 = read.model, read.sha256
    microsoft.as_onnxruntime_has_it(model)
    names = tuple(value.name for value in model.graph.output)
    if {value.name for value in model.graph.input} != set(inputs) or names != tuple(outputs):
        return OriginalCheck(sha256, None)
    expected = run_session(open_session(model, threads, exact=True), inputs)
    found = judge(model.SerializeToString(), inputs, list(outputs.values()), expected, names)
    return OriginalCheck(sha256, found)
