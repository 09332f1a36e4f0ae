"""The prepared model against the original, both in onnxruntime."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from workers.errors import ModelError
from workers.messages import TensorSpec
from workers.models import _graphs
from workers.models._compare import OutputDifference, compare, tolerance
from workers.models._exact import judge
from workers.models._inputs import random_inputs
from workers.models._loops import loops
from workers.models._reference import OutOfTimeError, open_session, run_session
from workers.models._steps import output_steps, rounds

__all__ = ["Expectation", "taken_inputs"]

_SEED = 0
_MAX_PROBES = 4
# Integers that a model may insist on, most of them first: a table of one row, a divisor.
_INTEGERS = ((0, 1), (0, 0), (1, 1))
_MOST_MIXED = 3
# Of one run of a model that has loops: what the inputs are decides when they end, if they do.
_LOOP_SECONDS = 20.0


_Case = tuple[dict[str, npt.NDArray[Any]], list[npt.NDArray[Any]]]


def taken_inputs(
    session: Any, inputs: Sequence[TensorSpec], path: Path, limit_s: float | None
) -> tuple[tuple[TensorSpec, ...], _Case]:
    """Return the inputs with integers that the model takes, and what it makes of them."""
    free = [spec.name for spec in inputs if np.dtype(spec.dtype).kind in "iu"]
    # All alike first; then, where there are few, each by itself.
    choices = [dict.fromkeys(free, values) for values in (_INTEGERS if free else _INTEGERS[:1])]
    if 1 < len(free) <= _MOST_MIXED:
        choices += [
            dict(zip(free, mixed, strict=True))
            for mixed in itertools.product(_INTEGERS, repeat=len(free))
            if len(set(mixed)) > 1
        ]
    refusal: ModelError | None = None
    for choice in choices:
        specs = tuple(replace(spec, values=choice.get(spec.name, spec.values)) for spec in inputs)
        drawn = random_inputs(specs, _SEED)
        # One draw may miss the number that isn't taken.
        largest = {
            spec.name: np.full(spec.shape, spec.values[1], spec.dtype) for spec in specs if spec.name in free
        }
        try:
            outputs = run_session(session, drawn, limit_s)
            if free:
                run_session(session, {**drawn, **largest}, limit_s)
        except ModelError as error:
            refusal = refusal or error
        else:
            return specs, (drawn, outputs)
    raise ModelError(f"{path}: the model as given doesn't work with these input shapes: {refusal}") from None


def _compared_constants(model: onnx.ModelProto) -> list[int]:
    """Single integers that the model compares something with: a sampling rate that chooses a branch."""
    constants: dict[str, Any] = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and _graphs.attribute(node, "value") is not None:
            constants[node.output[0]] = _graphs.attribute(node, "value")
    found: list[int] = []
    for node in model.graph.node:
        for name in node.input if node.op_type == "Equal" else ():
            if name in constants and math.prod(constants[name].dims) == 1:
                values = numpy_helper.to_array(constants[name])
                if values.dtype.kind in "iu":
                    found.append(int(values.item()))
    return list(dict.fromkeys(found))[:_MAX_PROBES]


def _draws(model: onnx.ModelProto, inputs: Sequence[TensorSpec]) -> list[dict[str, npt.NDArray[Any]]]:
    """Random inputs with each single integer set to what the model compares it with.

    A model may choose its branch by such an input, and random values would only ever see one of them.
    """
    draws = []
    single = [s for s in inputs if np.dtype(s.dtype).kind in "iu" and int(np.prod(s.shape)) == 1]
    for value in _compared_constants(model) if single else ():
        special = {s.name: np.full(s.shape, value, s.dtype) for s in single if value <= np.iinfo(s.dtype).max}
        draws.append({**random_inputs(inputs, _SEED), **special})
    return draws


class Expectation:
    """What the original computes, taken before anything is changed.

    Parameters
    ----------
    model : onnx.ModelProto
        The original, its input shapes fixed.
    inputs : sequence of TensorSpec
    path : Path
        For messages.

    Attributes
    ----------
    inputs : tuple of TensorSpec
        The same, with the integers that the model takes.

    Raises
    ------
    ModelError
        onnxruntime can't run the original.
    """

    def __init__(self, model: onnx.ModelProto, inputs: Sequence[TensorSpec], path: Path) -> None:
        self._names = [value.name for value in model.graph.output]
        self._rtol, self._steps = tolerance(model), output_steps(model)
        try:
            # As written: an optimizing session would share its rewrites with the simplifier under test.
            session = open_session(model, 1, optimize=False, exact=True)
        except ModelError as error:
            raise ModelError(
                f"{path}: the model as given doesn't work with these input shapes: {error}"
            ) from None
        endless = [_graphs.title(node) for node in loops(model)]
        limit_s = _LOOP_SECONDS if endless else None
        try:
            self.inputs, first = taken_inputs(session, inputs, path, limit_s)
            self._cases = [first]
            for draw in _draws(model, self.inputs):
                # A branch that can't be taken with these shapes is none that has to be right.
                with contextlib.suppress(ModelError):
                    self._cases.append((draw, run_session(session, draw, limit_s)))
        except OutOfTimeError:
            raise ModelError(
                f"{path}: Loop (node {' or '.join(endless)}) did not end within {_LOOP_SECONDS:.0f} s in "
                "onnxruntime; bound how often it goes round"
            ) from None

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the outputs in the first run."""
        return [tuple(output.shape) for output in self._cases[0][1]]

    def _difference(
        self,
        prepared: onnx.ModelProto,
        draw: dict[str, npt.NDArray[Any]],
        got: list[npt.NDArray[Any]],
        want: list[npt.NDArray[Any]],
    ) -> OutputDifference:
        found = compare(got, want, names=self._names, rtol=self._rtol, steps=self._steps)
        if found.ok or not rounds(prepared):
            return found
        # Where a deep model rounds otherwise once, it does so more and more often: double precision tells
        # that from a model that computes something else.
        return judge(prepared.SerializeToString(), draw, got, want, self._names)

    def difference(self, prepared: onnx.ModelProto) -> OutputDifference:
        """How far a prepared model is from the original: the worst of all draws.

        Raises
        ------
        ModelError
            onnxruntime can't run the prepared model.
        """
        session = open_session(prepared, 1, optimize=False, exact=True)
        found = [self._difference(prepared, draw, run_session(session, draw), want)
                 for draw, want in self._cases]  # fmt: skip
        return max(found, key=lambda one: (not one.ok, one.max_rel))
