"""Random inputs that any model accepts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from workers.errors import ModelError
from workers.messages import TensorSpec

__all__ = ["random_inputs"]

# Of float32, 8 GiB, which are drawn with twice as many bits.
_MOST_ENTRIES = 2**31


def random_inputs(specs: Sequence[TensorSpec], seed: int) -> dict[str, npt.NDArray[Any]]:
    """Draw values for every input.

    Floats are uniform in [-1, 1), where normalized images and audio lie. Integers are 0 or 1: these are valid
    as token ids of any vocabulary, as masks, and as indices of any axis longer than one, while nothing in a
    model's file tells how far a larger number may go. Where the model takes others alone, its spec says
    which.

    Parameters
    ----------
    specs : sequence of TensorSpec
    seed : int
        The same seed and specs give the same values.

    Returns
    -------
    dict of str to ndarray

    Raises
    ------
    ModelError
        An input is larger than memory is likely to be.
    """
    generator = np.random.default_rng(seed)
    drawn: dict[str, npt.NDArray[Any]] = {}
    for spec in specs:
        dtype = np.dtype(spec.dtype)
        if math.prod(spec.shape) > _MOST_ENTRIES:
            raise ModelError(
                f"input '{spec.name}' has {math.prod(spec.shape):,} entries, too many to be tried"
            )
        least, largest = spec.values
        values: npt.NDArray[Any] = np.asarray(
            generator.uniform(-1.0, 1.0, spec.shape)
            if dtype.kind == "f"
            else generator.integers(least, largest + 1, spec.shape)
        )
        drawn[spec.name] = values.astype(dtype)
    return drawn
