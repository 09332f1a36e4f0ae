"""Design spaces in whole vectors: what candidates look like, and what becomes of them on other sizes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.kit.tiny_models import save
from workers.actors import BuildActor, SearchActor
from workers.clients import EngineClient
from workers.messages import Candidate, Record, SearchOptions, Workload
from workers.models import prepare

TARGET = "llvm -mcpu=skylake-avx512 -num-cores=2"
SMALL = SearchOptions(settings={"population": 64})


def workload(engine: EngineClient, folder: Path, operator: str, **sizes: int) -> Workload:
    """Extract the convolution or the matrix product of a tiny model."""
    path = save(folder / f"{operator}{sizes}.onnx", **sizes)
    tasks = engine.extract(prepare(str(path), {}), TARGET).tasks
    (found,) = [task.workload for task in tasks if operator in task.name]
    assert isinstance(found, Workload)
    return found


def proposed(
    searcher: SearchActor, work: Workload, lent: tuple[tuple[Workload, Record], ...] = (), count: int = 4
) -> tuple[Candidate, ...]:
    searcher.open("spaces", work, TARGET, SMALL, (), (), 120)
    found = searcher.propose("spaces", count, None, 120, lent)
    searcher.close("spaces")
    assert isinstance(found, tuple)
    return found


def instructions(candidate: Candidate) -> list[Any]:
    """Return those of the design space; what follows is TVM's work on a candidate."""
    found: list[Any] = json.loads(candidate.trace)[0]
    return found[: [kind for kind, *_ in found].index("EnterPostproc")]


def tiled(candidate: Candidate) -> bool:
    return any("meta_schedule.tiling_structure" in attrs for _, _, attrs, _ in instructions(candidate))


def split_off(candidate: Candidate) -> list[Any]:
    """Return the factors of loops that were split by numbers, not by decisions."""
    splits = [inputs[1:] for kind, inputs, _, _ in instructions(candidate) if kind == "Split"]
    return [factors for factors in splits if not any(str(factor).startswith("v") for factor in factors)]


@pytest.mark.parametrize(
    ("operator", "sizes", "factors"),
    [
        ("conv2d", {"channels": 16}, [[1, "None"]]),
        ("conv2d", {"channels": 24}, [[1, "None"]]),
        ("matmul", {"outputs": 48}, [["None", 16]]),
        ("matmul", {"outputs": 20}, [["None", 4]]),
        ("matmul", {"outputs": 5}, []),
    ],
)
def test_a_vector_is_split_off_before_the_tiles_where_one_fits(
    searcher: SearchActor,
    engine: EngineClient,
    tmp_path: Path,
    operator: str,
    sizes: dict[str, int],
    factors: list[Any],
) -> None:
    work = workload(engine, tmp_path, operator, **sizes)
    candidates = proposed(searcher, work)
    # A product of a row is also divided along its sum, which makes no tiles.
    tiles = [candidate for candidate in candidates if tiled(candidate)]
    assert tiles
    assert [split_off(candidate) for candidate in tiles] == [factors] * len(tiles)


def test_the_innermost_loop_of_every_candidate_is_a_whole_vector(
    searcher: SearchActor, builder: BuildActor, engine: EngineClient, tmp_path: Path
) -> None:
    work = workload(engine, tmp_path, "conv2d", channels=16)
    for candidate in proposed(searcher, work):
        steps = instructions(candidate)
        (order,) = [inputs for kind, inputs, _, _ in steps if kind == "Reorder"]
        (vector,) = [outputs[1] for _, inputs, _, outputs in steps if inputs[1:] == [1, "None"]]
        assert order[-1] == vector
        # Three vectors in one would be four to LLVM.
        assert [i[1] for kind, i, attrs, _ in steps if attrs == ["meta_schedule.vectorize"]] == [16]
        result, built = builder.build(work, TARGET, candidate, timeout_s=60)
        assert built is not None, result.message


def test_a_small_kernel_is_also_tried_without_threads_and_a_large_one_is_not(
    searcher: SearchActor, builder: BuildActor, engine: EngineClient, tmp_path: Path
) -> None:
    def threads(work: Workload) -> dict[bool, Candidate]:
        return {
            any("meta_schedule.parallel" in attrs for _, _, attrs, _ in instructions(candidate)): candidate
            for candidate in proposed(searcher, work, count=16)
        }

    small = workload(engine, tmp_path, "conv2d", channels=16)
    tried = threads(small)
    assert set(tried) == {True, False}
    for candidate in tried.values():
        result, built = builder.build(small, TARGET, candidate, timeout_s=60)
        assert built is not None, result.message
    assert set(threads(workload(engine, tmp_path, "matmul", channels=64, outputs=128))) == {True}


def test_lent_schedules_keep_whole_vectors_and_are_refused_where_they_do_not_fit(
    searcher: SearchActor, engine: EngineClient, tmp_path: Path
) -> None:
    def lent(
        operator: str, sizes: dict[str, int], others: dict[str, int]
    ) -> tuple[int, tuple[Candidate, ...]]:
        lender = workload(engine, tmp_path, operator, **sizes)
        records = tuple((lender, Record(each, (1e-3,))) for each in proposed(searcher, lender))
        borrower = workload(engine, tmp_path, operator, **others)
        assert borrower.name == lender.name
        own = set(proposed(searcher, borrower))
        return len(own), tuple(set(proposed(searcher, borrower, records)) - own)

    # A block is taken whole, however wide it is.
    _, fitted = lent("conv2d", {"channels": 16}, {"channels": 8})
    assert fitted
    assert all(split_off(candidate) == [[1, "None"]] for candidate in fitted)
    # 20 aren't whole vectors of 16: a guard in the innermost loop is no schedule worth a measurement.
    count, none = lent("matmul", {"outputs": 48}, {"outputs": 20})
    assert count
    assert not [candidate for candidate in none if split_off(candidate) == [["None", 16]]]
