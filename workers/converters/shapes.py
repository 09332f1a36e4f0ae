"""Shapes of inputs: those that were asked for, and the flags that ask for the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from workers.converters.contract import NEEDS_SHAPES, NO_ONNX_FORM, ConversionError, Tensor

__all__ = ["flag", "is_open", "refuse_strings", "with_shapes"]


def with_shapes(inputs: Sequence[Tensor], shapes: Mapping[str, Sequence[int]]) -> list[Tensor]:
    """Fix the shapes that were given.

    Raises
    ------
    ConversionError
        `NEEDS_SHAPES`: a name that no input has, or another number of sizes than the input has.
    """
    names = [tensor.name for tensor in inputs]
    for name in shapes:
        if name not in names:
            raise ConversionError(
                NEEDS_SHAPES,
                f"there is no input {name!r} to give a shape to; inputs: {', '.join(names)}",
                "correct the name in --input-shape",
            )
    made = []
    for tensor in inputs:
        shape = tuple(shapes.get(tensor.name, tensor.shape))
        if len(shape) != len(tensor.shape):
            raise ConversionError(
                NEEDS_SHAPES,
                f"input {tensor.name!r} has {len(tensor.shape)} sizes, {_text(tensor.shape)}, "
                f"and was given {len(shape)}: {_text(shape)}",
                "correct the shape in --input-shape",
            )
        made.append(Tensor(tensor.name, tensor.dtype, shape))
    return made


def flag(inputs: Sequence[Tensor], guess: int = 64) -> str:
    """Return the flags that give inputs with open sizes their shapes, to copy and change."""
    return " ".join(
        f"--input-shape {tensor.name}:"
        + ",".join(
            str(size) if not is_open(size) else "1" if axis == 0 else str(guess)
            for axis, size in enumerate(tensor.shape)
        )
        for tensor in inputs
        if any(is_open(size) for size in tensor.shape)
    )


def is_open(size: int | str) -> bool:
    """Whether a size is none that is known."""
    return isinstance(size, str) or size < 0


def refuse_strings(inputs: Sequence[Tensor]) -> None:
    """Refuse a model that reads text."""
    texts = [tensor.name for tensor in inputs if tensor.dtype == "string"]
    if texts:
        raise ConversionError(
            NO_ONNX_FORM,
            f"input {', '.join(map(repr, texts))} is text, which no kernel reads",
            "save the model without what turns text into numbers, and do that part outside",
        )


def _text(shape: Sequence[int | str]) -> str:
    return "x".join("?" if isinstance(size, str) or size < 0 else str(size) for size in shape)
