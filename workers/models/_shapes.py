"""Input shapes: as declared, as asked for, and fixed."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import onnx

from workers.errors import ModelError, UsageError
from workers.models import _graphs

__all__ = [
    "DeclaredInput",
    "declared_inputs",
    "fix_shapes",
    "parse_input_shape",
    "shape_text",
    "solve_shapes",
]

# Example sizes for the flag in an error message: common ones, which the person is expected to change.
_EXAMPLE_IMAGE_SIDE = 224
_EXAMPLE_LENGTH = 128
_IMAGE_RANK = 4
# What exporters call it; tf2onnx numbers what has no name.
_BATCH = re.compile(r"(?i).*batch.*|n|b|bs|unk__\d+")


class DeclaredInput(NamedTuple):
    """A model's input as its file declares it.

    Attributes
    ----------
    name : str
    dims : tuple of (int, str or None)
        A fixed size, the name of a dynamic dimension, or None where the file says nothing.
    dtype : str
        numpy's name of the element type.
    ranked : bool
        The file says how many dimensions there are.
    """

    name: str
    dims: tuple[int | str | None, ...]
    dtype: str
    ranked: bool = True

    def contradicts(self, shape: tuple[int, ...]) -> bool:
        """Whether ``shape`` changes a size that the file declares fixed."""
        return any(isinstance(dim, int) and dim != size for dim, size in zip(self.dims, shape, strict=False))

    def __str__(self) -> str:
        if not self.ranked:
            return "without a shape"
        return "[" + ", ".join("?" if dim is None else str(dim) for dim in self.dims) + "]"


def _dim(dim: Any) -> int | str | None:
    # Some exporters write -1 or 0 for a size they don't know.
    if dim.HasField("dim_value") and dim.dim_value > 0:
        return int(dim.dim_value)
    name = str(dim.dim_param)
    # Paddle's exporter writes "?" for every size it doesn't know: no name, since it stands for different
    # ones.
    return name if any(letter.isalnum() for letter in name) else None


def _dims(value: Any) -> tuple[int | str | None, ...]:
    return tuple(_dim(dim) for dim in value.type.tensor_type.shape.dim)


def _inputs(model: onnx.ModelProto) -> list[Any]:
    # Before IR version 4 every initializer had to be listed as an input too.
    stored = {tensor.name for tensor in model.graph.initializer}
    stored |= {sparse.values.name for sparse in model.graph.sparse_initializer}
    return [value for value in model.graph.input if value.name not in stored]


def declared_inputs(model: onnx.ModelProto) -> list[DeclaredInput]:
    """The inputs a caller must feed, in the model's order."""
    return [
        DeclaredInput(
            value.name,
            _dims(value),
            onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name,
            value.type.tensor_type.HasField("shape"),
        )
        for value in _inputs(model)
    ]


def shape_text(shape: tuple[int, ...]) -> str:
    """A shape for people: ``1x3x224x224``."""
    return "x".join(str(size) for size in shape) or "scalar"


def parse_input_shape(text: str) -> tuple[str, tuple[int, ...]]:
    """Read the ``--input-shape`` flag.

    Parameters
    ----------
    text : str
        ``NAME:1,3,224,224``. The name may hold colons, as TensorFlow's do.

    Raises
    ------
    UsageError
    """
    name, colon, sizes = text.rpartition(":")
    try:
        shape = tuple(int(size) for size in sizes.split(","))
    except ValueError:
        shape = ()
    if not colon or not name or not shape or min(shape) < 1:
        raise UsageError(
            f"--input-shape {text!r} can't be read; write NAME:SIZE,SIZE,... with sizes of at least 1, "
            "such as data:1,3,224,224"
        )
    return name, shape


def _example(declared: DeclaredInput) -> str:
    dims = declared.dims if declared.ranked else (None,) * _IMAGE_RANK
    other = _EXAMPLE_IMAGE_SIDE if len(dims) == _IMAGE_RANK else _EXAMPLE_LENGTH
    sizes = [dim if isinstance(dim, int) else (1 if place == 0 else other) for place, dim in enumerate(dims)]
    return f"--input-shape '{declared.name}:{','.join(map(str, sizes))}'"


def _check_asked(inputs: list[DeclaredInput], shapes: Mapping[str, tuple[int, ...]], path: Path) -> None:
    by_name = {declared.name: declared for declared in inputs}
    for name, shape in shapes.items():
        flag = f"--input-shape {name}:{','.join(map(str, shape))}"
        if name not in by_name:
            known = ", ".join(f"'{declared.name}' {declared}" for declared in inputs) or "none"
            raise UsageError(f"{flag}: {path} has no input '{name}'; its inputs are {known}")
        if any(size < 1 for size in shape):
            raise UsageError(f"{flag}: every size must be at least 1")
        dims = by_name[name].dims
        if by_name[name].ranked and len(dims) != len(shape):
            raise UsageError(
                f"{flag}: input '{name}' of {path} has {len(dims)} dimensions, {by_name[name]}, "
                f"and not {len(shape)}"
            )


def _only_the_batch(declared: DeclaredInput) -> bool:
    """Say whether an input's first size is open alone, and called as a batch is, or not at all."""
    first, *others = declared.dims or ("",)
    if not declared.ranked or not others or not all(isinstance(dim, int) for dim in others):
        return False
    return first is None or (isinstance(first, str) and _BATCH.fullmatch(first) is not None)


def solve_shapes(
    model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]], path: Path
) -> dict[str, tuple[int, ...]]:
    """The full shape of every input, from what is declared and what was asked for.

    A dimension's name that was given a size through one input has that size in all inputs: the model says so.
    Where the batch is all that is open it is 1. Nothing else is guessed.

    Raises
    ------
    UsageError
        A shape was asked for that can't be: wrong name, wrong rank, sizes below 1, two sizes for one
        dimension.
    ModelError
        An input has dynamic dimensions and no shape was asked for.
    """
    inputs = declared_inputs(model)
    _check_asked(inputs, shapes, path)
    sizes: dict[str, tuple[int, str]] = {}
    for declared in inputs:
        for dim, size in zip(declared.dims, shapes.get(declared.name, ()), strict=False):
            if not isinstance(dim, str):
                continue
            known, where = sizes.setdefault(dim, (size, declared.name))
            if known != size:
                raise UsageError(
                    f"--input-shape gives dimension '{dim}' of {path} two sizes: {known} in input '{where}' "
                    f"and {size} in input '{declared.name}'"
                )
    solved: dict[str, tuple[int, ...]] = {}
    unknown: list[DeclaredInput] = []
    for declared in inputs:
        if declared.name in shapes:
            solved[declared.name] = tuple(shapes[declared.name])
            continue
        dims = [sizes[dim][0] if isinstance(dim, str) and dim in sizes else dim for dim in declared.dims]
        fixed = tuple(dim for dim in dims if isinstance(dim, int))
        if len(fixed) < len(dims) or not declared.ranked:
            unknown.append(declared)
        solved[declared.name] = fixed
    if unknown and all(_only_the_batch(declared) for declared in unknown):
        for declared in unknown:
            solved[declared.name] = (1, *solved[declared.name])
        unknown = []
    if unknown:
        listed = "; ".join(f"input '{declared.name}' is {declared}" for declared in unknown)
        flags = " ".join(_example(declared) for declared in unknown)
        raise ModelError(
            f"{path} leaves sizes open, and tuning needs them fixed: {listed}; "
            f"say which, for example: {flags}"
        )
    return solved


def _relax(model: onnx.ModelProto) -> None:
    # What was inferred or declared for other input sizes would contradict the new ones.
    for graph in _graphs.graphs(model):
        del graph.value_info[:]
        for value in graph.output:
            if value.type.WhichOneof("value") == "tensor_type":
                for dim in value.type.tensor_type.shape.dim:
                    dim.Clear()


def fix_shapes(model: onnx.ModelProto, solved: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Fix the inputs' shapes in place, and drop initializers from the list of inputs.

    Returns
    -------
    list of str
        One sentence for each input that was not fixed as declared.
    """
    changes = []
    values = [value for value in _inputs(model) if value.name in solved]
    for declared, value in zip(declared_inputs(model), values, strict=True):
        shape = solved[declared.name]
        if declared.ranked and declared.dims == shape:
            continue
        changes.append(f"fixed input '{declared.name}', declared {declared}, to {shape_text(shape)}")
        value.type.tensor_type.shape.SetInParent()
        value.type.tensor_type.shape.ClearField("dim")
        for size in shape:
            value.type.tensor_type.shape.dim.add().dim_value = size
    kept = copy.deepcopy(values)
    del model.graph.input[:]
    model.graph.input.extend(kept)
    _relax(model)
    return changes
