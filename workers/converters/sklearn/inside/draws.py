"""Rows that tell whether two implementations agree.

Trees are steps. A row on a step's edge falls on one side in double and on the other in single precision, and
both are right. So rows are drawn where the estimator was fitted, and those are kept at which it says the same
when each value is a hundred-thousandth more or less, and at which no two classes are level.
"""

from __future__ import annotations

from typing import Any

from workers.converters.sklearn.inside.ranges import features
from workers.converters.sklearn.inside.reference import Reference

__all__ = ["draw_rows"]

_NUDGE = 1e-5
_MOVED = 1e-3
_DRAWN = 512
# Two batches of other sizes, where the batch is open.
_ROWS = (16, 5)


def draw_rows(estimator: Any, reference: Reference, rows: int | None, width: int, seed: int) -> list[Any]:
    """Draw two inputs of float32, `rows` (or as many as are liked) by `width`."""
    import numpy as np

    generator = np.random.default_rng(seed)
    drawn = np.stack([feature.draw(generator, _DRAWN) for feature in features(estimator, width)], axis=1)
    drawn = drawn.astype(np.float32)
    firm = drawn[_firm(reference, drawn)]
    if not len(firm):
        firm = drawn
    wanted = [rows or count for count in _ROWS]
    # Repeated where a batch of thousands was asked for.
    picked = np.resize(np.arange(len(firm)), sum(wanted))
    return [firm[picked[: wanted[0]]], firm[picked[wanted[0] :]]]


def _firm(reference: Reference, rows: Any) -> Any:
    """Say for each row whether the estimator stays with what it says of it."""
    import numpy as np

    said = reference.run(rows)
    firm = np.ones(len(rows), bool)
    for factor in (1 - _NUDGE, 1 + _NUDGE):
        nudged = reference.run((rows * np.float32(factor)).astype(np.float32))
        for name, value in said.items():
            moved = np.abs(nudged[name].astype(np.float64) - value.astype(np.float64))
            most = np.abs(value.astype(np.float64)).max(initial=1e-6) * _MOVED
            firm &= (moved <= most).reshape(len(rows), -1).all(axis=1)
    probabilities = said.get("probabilities")
    if probabilities is not None and probabilities.ndim == 2 and probabilities.shape[1] > 1:
        ordered = np.sort(probabilities, axis=1)
        firm &= ordered[:, -1] - ordered[:, -2] > _MOVED
    return firm
