"""Inputs that a model accepts, and what the framework makes of them.

Nothing in a source says how far its integers may go, nor, often, which sizes an input may have. So what is
drawn is tried: wide first, and narrower where the framework refuses. Numpy and the standard library.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workers.converters.contract import NEEDS_SHAPES, RAISED, ConversionError, Tensor
from workers.converters.shapes import flag, is_open

__all__ = ["Drawn", "draw_and_run", "outputs_of"]

Drawn = list[tuple[dict[str, Any], dict[str, Any]]]
# Of a size that isn't the first: a short text, small images up to the usual one.
_SIZES = (8, 32, 64, 128, 224)
# Exclusive. Token ids, up to a vocabulary that any text model has; then those that any table has.
_INTEGERS = (100, 10, 2)
# Normalized values; those that a root or a logarithm takes, or that a quantized model calls zero.
_FLOATS = ("normal", "positive")
# Rows of the draws where the batch is open: two sizes, so that a batch that was frozen shows.
_ROWS = (2, 3)


@dataclass(frozen=True)
class _Try:
    size: int
    integers: int
    floats: str


def draw_and_run(
    inputs: Sequence[Tensor],
    run: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    seed: int,
) -> Drawn:
    """Draw inputs twice, and run the framework with them.

    Parameters
    ----------
    inputs : sequence of Tensor
        A size that is no number, or below zero, is chosen here.
    run : callable
        From arrays by name to arrays by name. May raise whatever the framework raises.
    seed : int

    Raises
    ------
    ConversionError
        `NEEDS_SHAPES` where sizes are open and none of those tried was right, `RAISED` where none is.
    """
    refused: Exception | None = None
    for attempt in _tries(inputs):
        try:
            drawn = [_drawn(inputs, attempt, rows, seed + index) for index, rows in enumerate(_ROWS)]
            draws = [(given, dict(run(given))) for given in drawn]
        except Exception as error:
            # The first says most: later ones are of narrower inputs.
            refused = refused or error
            continue
        if attempt.floats != _FLOATS[-1] and not _finite(draws):
            continue
        return draws
    words = "" if refused is None else f": {type(refused).__name__}: {' '.join(str(refused).split())[:300]}"
    if any(is_open(size) for tensor in inputs for size in tensor.shape[1:]):
        raise ConversionError(
            NEEDS_SHAPES,
            f"the model ran with none of the sizes that were tried for its inputs{words}",
            f"give them: {flag(inputs)}",
        ) from refused
    raise ConversionError(RAISED, f"the model doesn't run{words}") from refused


def outputs_of(draws: Drawn) -> tuple[Tensor, ...]:
    """Describe the outputs: a size that two draws have otherwise is open."""
    first, second = draws[0][1], draws[1][1]
    return tuple(
        Tensor(
            name,
            str(value.dtype),
            tuple(
                size if size == other else -1
                for size, other in zip(value.shape, second[name].shape, strict=True)
            ),
        )
        for name, value in first.items()
    )


def _tries(inputs: Sequence[Tensor]) -> Iterator[_Try]:
    import numpy as np

    sizes = _SIZES if any(is_open(size) for tensor in inputs for size in tensor.shape[1:]) else _SIZES[:1]
    kinds = {np.dtype(tensor.dtype) for tensor in inputs}
    integers = _INTEGERS if any(kind.kind in "iu" and kind.itemsize > 1 for kind in kinds) else _INTEGERS[:1]
    for size, most, floats in itertools.product(sizes, integers, _FLOATS):
        yield _Try(size, most, floats)


def _drawn(inputs: Sequence[Tensor], attempt: _Try, rows: int, seed: int) -> dict[str, Any]:
    import numpy as np

    generator = np.random.default_rng(seed)
    drawn: dict[str, Any] = {}
    for tensor in inputs:
        shape = tuple(
            int(size) if not is_open(size) else rows if axis == 0 else attempt.size
            for axis, size in enumerate(tensor.shape)
        )
        kind = np.dtype(tensor.dtype)
        values: Any
        if kind.kind == "f":
            values = (
                generator.standard_normal(shape)
                if attempt.floats == "normal"
                else generator.uniform(0.0, 1.0, shape)
            )
        elif kind.kind == "b":
            values = generator.integers(0, 2, shape)
        elif kind.itemsize == 1:
            # Pixels and quantized values: all of their range.
            values = generator.integers(np.iinfo(kind).min, np.iinfo(kind).max + 1, shape)
        else:
            values = generator.integers(0, attempt.integers, shape)
        drawn[tensor.name] = np.asarray(values).astype(kind)
    return drawn


def _finite(draws: Drawn) -> bool:
    import numpy as np

    return all(
        bool(np.isfinite(value).all())
        for _, made in draws
        for value in made.values()
        if np.asarray(value).dtype.kind == "f"
    )
