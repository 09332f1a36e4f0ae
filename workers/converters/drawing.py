"""Inputs that a model accepts, and what the framework makes of them.

Nothing in a source says how far its integers may go, nor, often, which sizes an input may have, nor whether
its floats are pixels. So what is drawn is tried: wide first, and narrower where the framework refuses, until
the outputs tell inputs apart. Numpy and the standard library.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workers.converters.contract import NEEDS_SHAPES, RAISED, ConversionError, Tensor
from workers.converters.shapes import flag, is_open

__all__ = ["SAME", "Drawn", "draw_and_run", "outputs_of", "spread"]

Drawn = list[tuple[dict[str, Any], dict[str, Any]]]
#: Of an output's largest value. Outputs that lie no further apart are the same: less than that two exporters
#: may differ and both be right.
SAME = 1e-3
# Of a size that isn't the first: a short text, small images up to the usual one.
_SIZES = (8, 32, 64, 128, 224)
# Exclusive. Token ids, up to a vocabulary that any text model has; then those that any table has.
_INTEGERS = (100, 10, 2)
# Normalized values; what a model takes that prepares pixels itself, to which normalized ones are one dark
# image; those that a root or a logarithm takes, or that a quantized model calls zero.
_NORMAL, _PIXELS, _POSITIVE = "normal", "pixels", "positive"
_FLOATS = (_NORMAL, _PIXELS, _POSITIVE)
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

    Of those that it takes, the first are returned whose outputs are finite and differ; where none differ, the
    first that are finite.

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
    import numpy as np

    refused: Exception | None = None
    kinds = {np.dtype(tensor.dtype).kind for tensor in inputs}
    floats = _FLOATS if "f" in kinds else _FLOATS[:1]
    for size, integers in _tries(inputs):
        same: Drawn | None = None
        for values in floats:
            if values == _PIXELS and same is None:
                continue
            attempt = _Try(size, integers, values)
            try:
                drawn = [_drawn(inputs, attempt, rows, seed + index) for index, rows in enumerate(_ROWS)]
                draws = [(given, dict(run(given))) for given in drawn]
            except Exception as error:
                # The first says most: later ones are of narrower inputs.
                refused = refused or error
                continue
            if not _finite(draws):
                if values == floats[-1] and same is None:
                    return draws
                continue
            if _differ(draws):
                return draws
            same = same or draws
        if same is not None:
            return same
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


def spread(one: Any, other: Any) -> float:
    """Return how far rows of an output's two draws lie apart, of the largest value."""
    import numpy as np

    if one.ndim == 0 or one.shape[1:] != other.shape[1:]:
        rows = [one, other] if one.shape == other.shape else []
    else:
        rows = [*one, *other]
    if not rows or not rows[0].size:
        return 1.0
    values = np.stack(rows).astype(np.float64)
    most = float(np.abs(values).max())
    return float(np.ptp(values, axis=0).max()) / most if most else 0.0


def _tries(inputs: Sequence[Tensor]) -> Iterator[tuple[int, int]]:
    """Yield what an open size is, and where integers end."""
    import numpy as np

    sizes = _SIZES if any(is_open(size) for tensor in inputs for size in tensor.shape[1:]) else _SIZES[:1]
    kinds = {np.dtype(tensor.dtype) for tensor in inputs}
    integers = _INTEGERS if any(kind.kind in "iu" and kind.itemsize > 1 for kind in kinds) else _INTEGERS[:1]
    yield from itertools.product(sizes, integers)


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
                if attempt.floats == _NORMAL
                else generator.uniform(0.0, 255.0 if attempt.floats == _PIXELS else 1.0, shape)
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


def _differ(draws: Drawn) -> bool:
    (_, first), (_, second) = draws
    return max((spread(value, second[name]) for name, value in first.items()), default=1.0) > SAME


def _finite(draws: Drawn) -> bool:
    import numpy as np

    return all(
        bool(np.isfinite(value).all())
        for _, made in draws
        for value in made.values()
        if np.asarray(value).dtype.kind == "f"
    )
