"""Which layers stay in float32, so that the rest may be integers within an error."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import onnx

from workers.models.precision.layers import Layer

__all__ = ["Within", "find_within"]


class Within(NamedTuple):
    """What was found.

    Attributes
    ----------
    model : onnx.ModelProto or None
        None where no number of layers does.
    error : float
        Of that model; else of the one with the fewest layers quantized.
    kept : tuple of Layer
        Those that are not quantized.
    whole : float
        The error with all layers quantized.
    """

    model: onnx.ModelProto | None
    error: float
    kept: tuple[Layer, ...]
    whole: float


def find_within(
    layers: Sequence[Layer],
    quantized: Callable[[Sequence[str]], onnx.ModelProto],
    error: Callable[[onnx.ModelProto], float],
    alone: Callable[[onnx.ModelProto], float],
    limit: float,
) -> Within:
    """Quantize as many layers as the limit allows.

    Where all are too many, each is quantized alone, and they are kept in float32 in the order of what they
    bring of the error for what they save of the work: one, two, four of them and so on, until the error is
    within the limit, and then the fewest in between by halving. So it takes a short run for each layer, and
    of all that is compared with the limit two for each doubling.

    Parameters
    ----------
    quantized : callable
        Makes a model in which the layers of these names are.
    error, alone : callable
        Of such a model the error that the limit is for, and, of one layer, one that adds up.
    """
    model = quantized([layer.name for layer in layers])
    whole = error(model)
    if whole <= limit:
        return Within(model, whole, (), whole)
    cost = {layer.name: alone(quantized([layer.name])) / max(1, layer.work) for layer in layers}
    order = sorted(layers, key=lambda layer: -cost[layer.name])

    def without(count: int) -> Within:
        kept = order[:count]
        # In the model's order, by which the quantizer names what it adds.
        names = [layer.name for layer in layers if layer not in kept]
        made = quantized(names)
        return Within(made, error(made), tuple(layer for layer in layers if layer in kept), whole)

    too_few, count, found = 0, 1, Within(None, math.inf, tuple(layers), whole)
    most = len(layers) - 1
    while most:
        count = min(count, most)
        found = without(count)
        if found.error <= limit:
            break
        if count == most:
            return found._replace(model=None)
        too_few, count = count, 2 * count
    else:
        return Within(None, whole, (), whole)
    while count - too_few > 1:
        middle = (too_few + count) // 2
        tried = without(middle)
        if tried.error <= limit:
            count, found = middle, tried
        else:
            too_few = middle
    return found
