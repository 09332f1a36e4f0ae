"""How many rows and features go in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workers.converters.contract import NEEDS_SHAPES, ConversionError

__all__ = ["INPUT", "input_shape"]

#: What scikit-learn calls it.
INPUT = "X"


def input_shape(estimator: Any, shapes: Mapping[str, Sequence[int]]) -> tuple[int | None, int]:
    """Return the number of rows, None where it is open, and of features.

    Raises
    ------
    ConversionError
        `NEEDS_SHAPES`: the estimator doesn't tell, or was told what it contradicts.
    """
    width = _width(estimator)
    wrong = [name for name in shapes if name != INPUT]
    if wrong:
        raise ConversionError(
            NEEDS_SHAPES,
            f"there is no input {wrong[0]!r}: all features are one input, {INPUT!r}",
            f"--input-shape {INPUT}:1,{width or 10}",
        )
    given = tuple(shapes.get(INPUT, ()))
    if not given:
        if width is None:
            raise ConversionError(
                NEEDS_SHAPES,
                f"{type(estimator).__name__} doesn't say how many features it was fitted to",
                f"say it: --input-shape {INPUT}:1,10",
            )
        return None, width
    if len(given) != 2 or (width is not None and given[1] != width):
        raise ConversionError(
            NEEDS_SHAPES,
            f"{INPUT!r} has rows and features, and was given {'x'.join(map(str, given))}"
            + (f"; the estimator was fitted to {width} features" if width is not None else ""),
            f"--input-shape {INPUT}:1,{width or given[-1]}",
        )
    return given[0], given[1]


def _width(estimator: Any) -> int | None:
    from lightgbm import Booster

    if isinstance(estimator, Booster):
        return int(estimator.num_feature())
    for place in (estimator, getattr(estimator, "steps", [(None, None)])[0][1]):
        try:
            return int(place.n_features_in_)
        except (AttributeError, TypeError):
            continue
    return None
