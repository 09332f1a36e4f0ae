"""What a trace decides, apart from the kernel it was made for.

MetaSchedule makes the design spaces of a kernel by rules: how its loops are split into tiles, and at which of
these what follows is joined. What a trace adds is a list of decisions. Two kernels that do the same, whatever
stands before and behind, have spaces of one structure, and the decisions of one are those of the other once
the tiles fit its loops. So a few numbers are all that has to be known of a schedule to lend it.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

__all__ = ["ROWS", "Sketch", "sketch_of"]

#: Of the structure of a design space that goes row by row: no other has vectors before its end.
ROWS = "rows"

_END = "EnterPostproc"
_TILING, _THREADS = ["meta_schedule.tiling_structure"], ["meta_schedule.parallel"]
# Of spatial loops there are four tiles, two outer ones, within which the reduction begins, and two inner.
_SPATIAL = 4


@dataclass(frozen=True)
class Sketch:
    """A design space, and one schedule of it.

    Attributes
    ----------
    does : str
        The block that is tiled (``conv2d``, ``matmul``); of a kernel without tiles what it is called.
    structure : str
        Equal for spaces that differ in numbers, or in what is computed before and behind, alone.
    tiles : tuple of tuple of int
        How each loop is split that is, from the outermost part to the innermost.
    choices : tuple of int
        Places in lists to choose from: how far to unroll.
    places : tuple of int
        Loops at which blocks that aren't tiled are computed.
    """

    does: str
    structure: str
    tiles: tuple[tuple[int, ...], ...]
    choices: tuple[int, ...] = ()
    places: tuple[int, ...] = ()

    @property
    def loops(self) -> tuple[int, ...]:
        """The extents of the loops that are split."""
        return tuple(math.prod(tiles) for tiles in self.tiles)


def sketch_of(trace: str, called: str) -> Sketch:
    """Read a trace.

    Parameters
    ----------
    trace : str
        As a candidate has it.
    called : str
        What its workload is called.
    """
    instructions, decisions = json.loads(trace)
    decided = dict(decisions)
    blocks: dict[str, str] = {}
    tiled: list[str] = []
    order: list[str] = []
    structure: list[str] = []
    tiles: list[tuple[int, ...]] = []
    choices: list[int] = []
    places: list[int] = []
    threads = False
    for number, (kind, inputs, attrs, outputs) in enumerate(instructions):
        if kind == _END:
            break
        if kind == "GetSBlock":
            blocks[outputs[0]] = attrs[0]
        elif kind == "Annotate":
            threads |= attrs == _THREADS
            if attrs == _TILING:
                tiled.append(blocks.get(inputs[0], ""))
                structure.append("tiles")
        elif kind == "Parallel":
            threads = True
        elif kind == "Reorder":
            order = inputs
        elif kind == "SamplePerfectTile":
            tiles.append(tuple(int(factor) for factor in decided.get(number, ())))
            structure.append(str(attrs[0]))
        elif kind == "SampleCategorical":
            choices.append(int(decided.get(number, 0)))
        elif kind == "SampleComputeLocation":
            places.append(int(decided.get(number, -1)))
        elif kind == "ReverseComputeAt":
            structure.append(_joined(inputs[1], order, tiles))
        elif kind == "Vectorize":
            structure.append(ROWS)
        elif kind == "RFactor":
            structure.append(f"{kind}{attrs[0]}")
        elif kind in ("CacheRead", "Tensorize", "SetScope"):
            structure.append(kind)
    does = "+".join(tiled) if tiled else called
    if not threads:
        structure.append("alone")
    return Sketch(does, " ".join(structure), tuple(tiles), tuple(choices), tuple(places))


def _joined(loop: Any, order: list[str], tiles: list[tuple[int, ...]]) -> str:
    """Say within how many levels of tiles a block is computed; their number is what the loops' depends on."""
    spatial = sum(len(factors) == _SPATIAL for factors in tiles)
    if loop not in order or not spatial:
        return "joined"
    return f"joined{(order.index(loop) + 1) // spatial}"
