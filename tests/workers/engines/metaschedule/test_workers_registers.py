"""Tiles that fill registers: what a search proposes first of products and convolutions."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.kit.tiny_models import save
from workers.actors import SearchActor
from workers.clients import EngineClient
from workers.engines.metaschedule.starter.sketches import sketch_of
from workers.messages import SearchOptions
from workers.models import prepare

NARROW = "llvm -mtriple=x86_64-linux-gnu -mcpu=haswell -num-cores=2"
WIDE = "llvm -mtriple=x86_64-linux-gnu -mcpu=skylake-avx512 -num-cores=2"
SMALL = SearchOptions(settings={"population": 64})


def first_tiles(
    searcher: SearchActor, engine: EngineClient, folder: Path, target: str, operator: str, **sizes: int
) -> list[list[tuple[int, int]]]:
    """Return the spatial loops of what is proposed first: how many vectors or numbers of each are a tile."""
    path = save(folder / "model.onnx", **sizes)
    tasks = engine.extract(prepare(str(path), {}), target).tasks
    (work,) = [task.workload for task in tasks if operator in task.name]
    searcher.open("registers", work, target, SMALL, (), (), 120)
    candidates = searcher.propose("registers", 3, None, 120, ())
    searcher.close("registers")
    sketches = [sketch_of(candidate.trace, work.name) for candidate in candidates]
    return [
        [(tiles[-1], math.prod(tiles)) for tiles in sketch.tiles if len(tiles) == 4] for sketch in sketches
    ]


@pytest.mark.parametrize(("target", "registers"), [(NARROW, 16), (WIDE, 32)])
def test_the_first_tiles_fill_the_registers_and_no_more(
    searcher: SearchActor, engine: EngineClient, tmp_path: Path, target: str, registers: int
) -> None:
    found = first_tiles(searcher, engine, tmp_path, target, "conv2d", channels=64)
    for loops in found[:2]:
        sums = math.prod(inner for inner, _ in loops)
        # As many as are on their way at once, and beside them what they are made of.
        assert 8 <= sums < registers
        assert all(extent % inner == 0 for inner, extent in loops)
        channels = loops[1][0]
        assert 1 < channels < sums, "several of the weights and several of the image"
    assert found[0] != found[1]


def test_a_product_of_few_rows_has_a_tile_of_all_its_rows(
    searcher: SearchActor, engine: EngineClient, tmp_path: Path
) -> None:
    found = first_tiles(searcher, engine, tmp_path, NARROW, "matmul", outputs=64)
    for loops in found:
        assert math.prod(inner for inner, _ in loops) < 16
