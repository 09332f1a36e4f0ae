"""Examples of inputs that are known by their shapes alone; which types they have is tried."""

from __future__ import annotations

import itertools
from typing import Any

import torch

from workers.converters.contract import NEEDS_SHAPES, ConversionError, ConversionRequest
from workers.converters.serving import draw
from workers.converters.user_code import raised

__all__ = ["examples_of_shapes"]

_KINDS = ("float32", "int64", "bool")
_FEW = 3
# Sizes for a shape to copy and change.
_USUAL = {1: (16,), 2: (224, 224), 3: (16, 112, 112)}
_SEQUENCE = 16


def examples_of_shapes(module: Any, names: list[str], request: ConversionRequest) -> list[Any]:
    """Return inputs of the shapes that were asked for, of types with which the module runs.

    Raises
    ------
    ConversionError
        A shape is missing, or the module runs with none of them.
    """
    missing = [name for name in names if name not in request.shapes]
    strange = [name for name in request.shapes if name not in names]
    if strange:
        raise ConversionError(
            NEEDS_SHAPES,
            f"there is no input {strange[0]}; its inputs are {', '.join(names)}",
            _flags(module, names),
        )
    if missing:
        raise ConversionError(
            NEEDS_SHAPES,
            f"the sizes of its inputs are not in it: {', '.join(missing)}",
            f"name them, as in {_flags(module, missing)}",
        )
    first: Exception | None = None
    choices: Any = itertools.product(_KINDS, repeat=len(names))
    if len(names) > _FEW:
        choices = [(kind,) * len(names) for kind in _KINDS]
    for kinds in choices:
        specs = {name: (kind, request.shapes[name]) for name, kind in zip(names, kinds, strict=True)}
        values = draw(specs, request.seed)
        inputs = [torch.from_numpy(values[name]) for name in names]
        try:
            module(*inputs)
        except Exception as error:
            first = first or error
        else:
            return inputs
    assert first is not None
    raise raised(first, "running it with inputs of these shapes") from first


def _flags(module: Any, names: list[str]) -> str:
    """Return flags to copy, with sizes that the first layer takes."""
    text = ",".join(map(str, _shape(module)))
    return " ".join(f"--input-shape {name}:{text}" for name in names)


def _shape(module: Any) -> tuple[int, ...]:
    for weight in module.parameters():
        axes = weight.dim() - 2
        if axes in _USUAL:
            return (1, int(weight.shape[1]), *_USUAL[axes])
        if axes == 0:
            is_table = any(
                isinstance(one, torch.nn.Embedding) and one.weight is weight for one in module.modules()
            )
            return (1, _SEQUENCE) if is_table else (1, int(weight.shape[1]))
    return (1, 3, 224, 224)
