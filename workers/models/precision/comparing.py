"""What a converted model is held against: what the model of float32 makes of samples."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy.typing as npt
import onnx

from workers.errors import ModelError
from workers.messages import Metric, Precision, PrecisionRequest
from workers.models._reference import open_session, run_session
from workers.models._shapes import shape_text
from workers.models.precision.errors import error_of, require_answers
from workers.models.precision.samples import Samples

__all__ = ["Compared", "Feeds", "all_threads", "compared_with", "divided", "spread"]

Feeds = dict[str, npt.NDArray[Any]]

# From so many samples on, some are held back from the calibration: every so manieth.
_HELD_BACK = 10
# More tell no more of the error, and each is a run without onnxruntime's optimizations.
_MOST_COMPARED = 16
# Of an output's largest value.
_SAME = 1e-3


class Compared(NamedTuple):
    """What a model is held against."""

    feeds: list[Feeds]
    reference: list[list[npt.NDArray[Any]]]

    def outputs(self, model: onnx.ModelProto, most: int | None = None) -> list[list[npt.NDArray[Any]]]:
        """Return what a converted model makes of the samples, computed as it is written."""
        session = open_session(model, all_threads(), exact=True)
        return [run_session(session, one) for one in self.feeds[:most]]

    def error(self, request: PrecisionRequest, model: onnx.ModelProto, precision: Precision) -> float:
        """Return how far a converted model is off.

        Raises
        ------
        ModelError
            An output is of another size, for which no difference stands.
        """
        made = self.outputs(model)
        for one, other in zip(made, self.reference, strict=True):
            for value, got, want in zip(model.graph.output, one, other, strict=True):
                if got.shape != want.shape:
                    raise ModelError(
                        f"{request.path}: output '{value.name}' is {shape_text(want.shape)} in float32 and "
                        f"{shape_text(got.shape)} in {precision.value}: its size depends on values, so that "
                        "the two can't be compared; export the model without what chooses among its results, "
                        "such as NonMaxSuppression, or take --precision float32"
                    )
        return error_of(request.metric, made, self.reference)

    @property
    def says_little(self) -> bool:
        """Whether outputs are the same whatever goes in, as with weights that were never trained."""
        first, *others = self.reference
        return bool(others) and all(error_of(Metric.MAX, [one], [first]) < _SAME for one in others)


def divided(samples: Samples) -> tuple[list[Feeds], list[Feeds], bool]:
    """Return the samples to calibrate with, those to compare on, and whether these are others."""
    every = range(len(samples))
    held_back = [place for place in every if place % _HELD_BACK == _HELD_BACK - 1]
    if not held_back:
        return samples.some(every), samples.some(spread(every)), False
    rest = [place for place in every if place not in set(held_back)]
    return samples.some(rest), samples.some(spread(held_back)), True


def spread(places: Sequence[int]) -> list[int]:
    """Return some of them, evenly."""
    count = min(len(places), _MOST_COMPARED)
    return [places[one * len(places) // count] for one in range(count)]


def compared_with(model: onnx.ModelProto, feeds: list[Feeds], metric: Metric) -> Compared:
    """Run a model of float32 on samples, to hold what it is converted to against what it makes of them.

    Raises
    ------
    UsageError
        The metric can't be told of its outputs.
    """
    session = open_session(model, all_threads(), exact=True)
    reference = [run_session(session, one) for one in feeds]
    require_answers(metric, reference[0], [value.name for value in model.graph.output])
    return Compared(feeds, reference)


def all_threads() -> int:
    """Return as many threads as there are cores for this process."""
    return len(os.sched_getaffinity(0))
