"""Blocks that stay in the second cache: when, and of what size."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from workers.engines.metaschedule.starter.caches import Loop, Operand, blocked_split

OUT, HIGH, WIDE = 32, 56, 56


def product(channels: int, *, planar: bool, rows: int = 4) -> list[list[int]] | None:
    """Split a 1x1 convolution to 256 channels, of a plain image or of one in blocks of 8."""
    loops = [
        Loop(OUT, 2, summed=False),
        Loop(HIGH, rows if planar else 1, summed=False),
        Loop(WIDE, 1 if planar else 4, summed=False),
        Loop(channels, 1, summed=True),
    ]
    image = (
        Operand(4, (1, 1, 1), ((0, 0, 0, 1), (0, 1, 0, 0), (0, 0, 1, 0)), (channels, HIGH, WIDE))
        if planar
        else Operand(
            4,
            (1, 1, 1, 1),
            ((0, 0, 0, 1 / 8), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)),
            (channels // 8, HIGH, WIDE, 8),
        )
    )
    weights = Operand(
        4, (1, 1, 8), ((1, 0, 0, 0), (0, 0, 0, 1), (0, 0, 0, 0)), (OUT, channels, 8), packed=True
    )
    result = Operand(
        4, (1, 1, 1, 8), ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 0)), (OUT, HIGH, WIDE, 8)
    )
    plain = [loops[0].tile, HIGH, WIDE, channels]
    return blocked_split(loops, [image, weights], result, plain, 2)


def extents(split: Sequence[Sequence[int]]) -> list[int]:
    return [math.prod(factors) for factors in split]


def test_a_plain_image_of_a_thousand_channels_is_read_in_blocks() -> None:
    split = product(1024, planar=True)
    assert split is not None
    assert extents(split) == [OUT, HIGH, WIDE, 1024]
    (_, _, outs, _), (_, _, rows, tile), (_, _, columns, _), (parts, steps) = split
    assert tile == 4
    # A part of the sum, so that its channels' pages are found.
    assert parts > 1
    # A block's sums and its part of the image are in 256 KB together.
    sums = 4 * 8 * 2 * outs * 4 * rows * columns
    assert sums + 4 * steps * 4 * rows * columns <= 256 << 10


@pytest.mark.parametrize(("channels", "planar"), [(64, True), (64, False), (256, False)])
def test_what_is_found_without_them_has_none(channels: int, planar: bool) -> None:
    assert product(channels, planar=planar) is None


def test_a_block_is_in_one_piece_or_in_pages() -> None:
    plain = Operand(4, (1, 1), ((1, 0), (0, 1)), (1024, 4096))
    assert plain.size((8, 16)) == 4 * 8 * 16
    assert plain.pages((8, 16)) == 8  # a row is four pages long
    assert Operand(4, (1, 1), ((1, 0), (0, 1)), (1024, 64)).pages((32, 64)) == 2
    packed = Operand(4, (1, 1), ((1, 0), (0, 1)), (1024, 4096), packed=True)
    assert packed.pages((8, 16)) == 1
    # No farther than its dimension reaches.
    assert Operand(4, (1,), ((1,),), (32,)).size((64,)) == 128


def test_lines_come_along_in_whole() -> None:
    image = Operand(4, (1, 1), ((1, 0), (0, 1)), (100, 20))
    # Seven numbers of each of four rows; and four rows in one piece.
    assert image.size((4, 7)) == 4 * 64
    assert image.size((4, 20)) == 5 * 64
