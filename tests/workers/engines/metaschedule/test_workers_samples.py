"""Samples for the cost model: written, read, and those that come with the engine."""

from __future__ import annotations

import numpy as np
import pytest

from workers.actors import SearchActor
from workers.engines.metaschedule import search
from workers.engines.metaschedule.samples import packed, unpacked
from workers.engines.metaschedule.search import train
from workers.engines.metaschedule.targets import resolve_target
from workers.engines.metaschedule.traits import SAMPLES, TRAITS
from workers.messages import Candidate, DeviceInfo, Record, SearchOptions, Workload


def group(name: str, count: int, seed: int) -> tuple[str, list[np.ndarray], np.ndarray]:
    random = np.random.default_rng(seed)
    features = [random.normal(size=(1 + place % 3, 164)).astype("float32") for place in range(count)]
    return name, features, random.uniform(1e-4, 1e-2, count).astype("float32")


def test_samples_of_several_workloads_are_read_as_they_were_written() -> None:
    groups = [group("a", 3, 1), group("b", 5, 2)]
    found = list(unpacked(packed(groups)))
    assert [(name, len(features)) for name, features, _ in found] == [("a", 3), ("b", 5)]
    for (_, before, costs), (_, after, same) in zip(groups, found, strict=True):
        assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))
        assert np.array_equal(costs, same)


def test_a_model_is_trained_on_samples_of_many_rounds_of_the_same_workload() -> None:
    rounds = [packed([group("a", 8, seed)]) for seed in (1, 2)]
    assert train((*rounds, packed([group("b", 8, 3)])), 1)


class Scores:
    """Stands in for MetaSchedule's model, and keeps what it is taught."""

    def __init__(self) -> None:
        self.taught = np.empty(0)
        self.booster = self

    def _train(self, xs: list[np.ndarray], ys: np.ndarray) -> None:
        self.taught = ys

    def save_raw(self) -> bytes:
        return b"model"


@pytest.fixture
def scores(monkeypatch: pytest.MonkeyPatch) -> Scores:
    made = Scores()
    monkeypatch.setattr(search, "XGBModel", lambda **_: made)
    return made


def failed(name: str, count: int) -> bytes:
    _, features, _ = group(name, count, 1)
    return packed([(name, features, np.full(count, 1e10, "float32"))])


def test_what_failed_scores_nothing_though_all_of_its_workload_failed(scores: Scores) -> None:
    train((failed("a", 4), packed([group("b", 8, 2)])), 1)
    assert scores.taught[:4].tolist() == [0.0] * 4
    assert scores.taught[4:].max() == 1.0


@pytest.mark.filterwarnings("error")
def test_a_model_can_be_trained_on_failures_alone() -> None:
    assert train((failed("a", 4),), 1)


def test_costs_of_a_workload_on_two_device_classes_are_ranked_apart(
    searcher: SearchActor, convolution: Workload, device: DeviceInfo, candidates: tuple[Candidate, ...]
) -> None:
    history, names = (Record(candidates[0], (1e-6,)),), set()
    for place in ("cpu-a-2", "cpu-b-2"):
        options = SearchOptions(device_class=place)
        samples = searcher.open(place, convolution, device.target, options, history, (), 120)
        searcher.close(place)
        names |= {name for name, _, _ in unpacked(samples)}
    assert len(names) == 2


@pytest.mark.parametrize(("mcpu", "bits"), [("core-avx2", 256), ("znver4", 512)])
def test_the_engine_has_samples_for_vectors_of_two_widths_and_none_for_others(mcpu: str, bits: int) -> None:
    device: DeviceInfo = resolve_target(f"llvm -mcpu={mcpu} -num-cores=2")
    assert device.samples == SAMPLES.format(bits)
    groups = list(unpacked(TRAITS.packed_samples(device.samples)))
    assert sum(len(features) for _, features, _ in groups) > 1000
    # As many as MetaSchedule's extractor gives: of others nothing could be trained together.
    assert {one.shape[1] for _, features, _ in groups for one in features} == {164}
    # None of them is taken for a workload that is measured here.
    assert all(name.startswith("pack:") for name, _, _ in groups)
    assert TRAITS.packed_samples(SAMPLES.format(128)) == b""
