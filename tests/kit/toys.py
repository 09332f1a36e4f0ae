"""Models of the toy framework, see toy_converter."""

from __future__ import annotations

from pathlib import Path

__all__ = ["TOYS", "toy"]

#: The folder to name in ``TUNEFLEET_CONVERTER_PATH``.
TOYS = Path(__file__).parent / "toy_converter"


def toy(path: Path, *lines: str, begins: str = "toy model") -> Path:
    """Write a model with these lines."""
    path.write_text("\n".join([begins, *lines]) + "\n")
    return path
