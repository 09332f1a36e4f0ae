"""Inputs for the comparison, and what PyTorch makes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from workers.converters.torch.inside.loaded import Loaded
from workers.converters.user_code import raised

__all__ = ["drawn"]

_Draw = tuple[dict[str, Any], dict[str, Any]]


def drawn(loaded: Loaded, seed: int) -> list[_Draw]:
    """Run the examples, and such values in another order; in other sizes, where those are open.

    The examples' own values are what the model takes, whatever they mean: indices stay within their table.
    Floats are turned over within their range, so that sums and signs are others, and branches that depend on
    them.

    Raises
    ------
    ConversionError
        The module doesn't run.
    """
    generator = torch.Generator().manual_seed(seed)
    try:
        first = _run(loaded, loaded.examples)
    except Exception as error:
        raise raised(error, "running the model with its example inputs") from error
    mixed = [_mixed(value, generator) for value in loaded.examples]
    turned = [_turned(value) for value in mixed]
    for inputs in (_larger(loaded, turned), _larger(loaded, mixed), turned, mixed):
        try:
            second = _run(loaded, inputs)
        except Exception:
            # Sizes may hang together in ways that nothing tells.
            continue
        if _finite(second) or not _finite(first):
            return [first, second]
    return [first, first]


def _run(loaded: Loaded, inputs: list[Any]) -> _Draw:
    # A module may write into what it is given.
    outputs = loaded.run([value.clone() for value in inputs])
    named = zip(loaded.names, inputs, strict=True)
    return (
        {name: value.detach().cpu().numpy() for name, value in named},
        {name: value.detach().cpu().contiguous().numpy() for name, value in outputs.items()},
    )


def _mixed(value: Any, generator: Any) -> Any:
    order = torch.randperm(value.numel(), generator=generator)
    return value.reshape(-1)[order].reshape(value.shape)


def _turned(value: Any) -> Any:
    if not value.is_floating_point() or not value.numel():
        return value
    return value.max() + value.min() - value


def _finite(draw: _Draw) -> bool:
    return all(np.isfinite(value).all() for value in draw[1].values() if value.dtype.kind == "f")


def _larger(loaded: Loaded, inputs: list[Any]) -> list[Any]:
    """Repeat inputs where their sizes are open."""
    made = []
    for name, value in zip(loaded.names, inputs, strict=True):
        for axis in loaded.open_sizes.get(name, {}):
            value = torch.cat([value, value], dim=axis)
        made.append(value)
    return made
