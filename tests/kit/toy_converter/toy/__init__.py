"""Toy: matrices as lines of text."""

from __future__ import annotations

from pathlib import Path

from workers.converters.contract import CODE, Converter, Kind

__all__ = ["CONVERTER"]

_KINDS = {b"toy model": "Toy file", b"toy pickle": "Toy pickle", b"toy weights": "Toy weights"}


def _recognises(path: str) -> str | None:
    file = Path(path)
    head = file.read_bytes()[:16] if file.is_file() else b""
    return next((kind for start, kind in _KINDS.items() if head.startswith(start)), None)


CONVERTER = Converter(
    name="toy",
    title="Toy",
    kinds=(
        Kind("Toy file", "a text that begins with 'toy model'"),
        Kind("Toy pickle", "one that begins with 'toy pickle'", trust="a toy pickle runs code"),
        Kind("Toy weights", "weights", refused="holds weights without a model: add the model"),
        Kind(CODE, "file.py:function that returns such a text", trust="a function is run to get its model"),
    ),
    recognises=_recognises,
    megabytes=20,
    minutes=0.5,
    exporters=("roundabout", "plain"),
)
