"""transformers' models by their classes and configurations, without a hub. Runs in the environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["make", "values_of"]


def make(
    model: str,
    config: str,
    sizes: Mapping[str, Any],
    inputs: Mapping[str, Any],
    *,
    script: bool,
    part: str = "",
    most: int = 1,
    fixed: Mapping[str, Any] | None = None,
) -> tuple[Any, tuple[Any, ...]]:
    """Return a model of random weights, called with some inputs by name.

    Parameters
    ----------
    model, config : str
        Names of the classes in transformers.
    script : bool
        It is traced: attention then is written out, since tracing doesn't go through the newer ways of it.
    part : str, optional
        The attribute of the model that is meant, such as its encoder.
    most : int, optional
        Outputs that count.
    fixed : mapping, optional
        Arguments that are not tensors.
    """
    import transformers

    from benchmarks.coverage.torch_export import Called

    transformers.logging.set_verbosity_error()
    made = getattr(transformers, config)(**_nested(sizes))
    made._attn_implementation = "eager" if script else "sdpa"
    try:
        whole = getattr(transformers, model)(made)
    except (ValueError, ImportError):
        made._attn_implementation = "eager"
        whole = getattr(transformers, model)(made)
    for name in part.split(".") if part else ():
        whole = getattr(whole, name)
    whole.eval()
    names, values = values_of(inputs)
    given = {"return_dict": True} if not part else {}
    return Called(whole, names, most, **{**given, **(fixed or {})}), values


def _nested(sizes: Mapping[str, Any]) -> dict[str, Any]:
    """Make configurations of those that are given as the name of a class and its arguments."""
    import transformers

    made = {}
    for name, value in sizes.items():
        if isinstance(value, tuple) and len(value) == 2 and str(value[0]).endswith("Config"):
            value = getattr(transformers, value[0])(**_nested(value[1]))
        made[name] = value
    return made


def values_of(inputs: Mapping[str, Any]) -> tuple[Sequence[str], tuple[Any, ...]]:
    """Return values of the shapes given: of floats, or of integers below the number before the shape."""
    import torch

    values = []
    for spec in inputs.values():
        if isinstance(spec[0], str):
            values.append(torch.ones(*spec[1:], dtype=getattr(torch, spec[0])))
        elif isinstance(spec[0], tuple):
            values.append(torch.randint(0, spec[1], spec[0], dtype=torch.int64))
        else:
            values.append(torch.randn(*spec))
    return list(inputs), tuple(values)
