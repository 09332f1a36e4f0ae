"""Which of PaddlePaddle's files and folders a path is, by its contents. The standard library alone."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

__all__ = ["INFERENCE", "WEIGHTS", "Files", "files_of", "recognises"]

INFERENCE, WEIGHTS = "Paddle inference model", "Paddle weights"

_WEIGHTS = ".pdiparams"
_WEIGHTS_ALONE = (_WEIGHTS, ".pdparams", ".pdopt")
# A program of Paddle 3, as JSON, and of Paddle 2, as protobuf: its first block has the number 0.
_JSON_STARTS = (b'{"base_code":{"magic":"pir"', b'{"base_code": {"magic": "pir"')


@dataclass(frozen=True)
class Files:
    """A program, and its weights where it has any."""

    program: Path
    weights: Path | None


def recognises(path: str) -> str | None:
    """Name an inference model by its folder, its program, or the weights beside that; or weights alone."""
    if files_of(path) is not None:
        return INFERENCE
    return WEIGHTS if _is_weights(Path(path)) else None


def files_of(path: str) -> Files | None:
    """Find an inference model's two files."""
    place = Path(path)
    if place.is_dir():
        programs = [one for one in sorted(place.iterdir()) if one.is_file() and _is_program(one)]
        # Of several, a folder doesn't say which.
        return _with_weights(programs[0]) if len(programs) == 1 else None
    if place.is_file() and _is_program(place):
        return _with_weights(place)
    if place.suffix == _WEIGHTS:
        for suffix in (".json", ".pdmodel"):
            program = place.with_suffix(suffix)
            if program.is_file() and _is_program(program):
                return _with_weights(program)
    return None


def _is_weights(place: Path) -> bool:
    if place.is_dir():
        return any(any(place.glob(f"*{suffix}")) for suffix in _WEIGHTS_ALONE)
    return place.suffix in _WEIGHTS_ALONE and place.is_file()


def _with_weights(program: Path) -> Files:
    weights = program.with_suffix(_WEIGHTS)
    return Files(program, weights if weights.is_file() else None)


def _is_program(path: Path) -> bool:
    with contextlib.suppress(OSError), path.open("rb") as file:
        head = file.read(64)
        return head.startswith(_JSON_STARTS) or _begins_a_program(head)
    return False


def _begins_a_program(head: bytes) -> bool:
    """Whether protobuf's bytes begin with a block: its number, 0, and its parent's, -1."""
    if head[:1] != b"\x0a":
        return False
    place = 1
    while place < len(head) and head[place] & 128:
        place += 1
    return head[place + 1 :].startswith(b"\x08\x00\x10" + b"\xff" * 9 + b"\x01")
