"""Inputs for the comparison, and what PyTorch makes of them."""

from __future__ import annotations

from typing import Any

import torch

from workers.converters.torch.inside.loaded import Loaded
from workers.converters.user_code import raised

__all__ = ["drawn"]

_Draw = tuple[dict[str, Any], dict[str, Any]]


def drawn(loaded: Loaded, seed: int) -> list[_Draw]:
    """Run the examples, and the same values in another order; in other sizes, where those are open.

    The examples' own values are what the model takes, whatever they mean: indices stay within their table.

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
    larger = [
        _larger(value, loaded.open_sizes.get(name, {}))
        for name, value in zip(loaded.names, mixed, strict=True)
    ]
    for inputs in (larger, mixed):
        try:
            return [first, _run(loaded, inputs)]
        except Exception:
            # Sizes may hang together in ways that nothing tells.
            continue
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


def _larger(value: Any, axes: dict[int, str]) -> Any:
    for axis in axes:
        value = torch.cat([value, value], dim=axis)
    return value
