"""Records as a whole: read in pages, counted, pruned."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orchestrator.errors import NotFoundError, UsageError
from orchestrator.storage import NewSamples, Storage
from tests.kit.storage_builders import CPU, GPU, campaign, failed, ok, stock, workload


def candidates(storage: Storage) -> list[str]:
    return sorted(row.candidate for page in storage.trials.pages() for row in page)


def fill(storage: Storage) -> None:
    """Of workload 0 on the CPU four trials and two failures, on the GPU two; of workload 1 one and one."""
    stock(storage, 0, 1, 2)
    storage.trials.record(
        [
            *(ok(n, 1.0 + n) for n in range(4)),
            *(failed(n) for n in (4, 5)),
            *(ok(n, 1.0 + n, on=GPU) for n in (6, 7)),
            ok(8, 9.0, of=1),
            failed(9, of=1),
        ]
    )


def test_pages_have_every_trial_once_in_the_order_they_were_recorded(storage: Storage) -> None:
    fill(storage)
    pages = list(storage.trials.pages(page=3))
    assert [len(page) for page in pages] == [3, 3, 3, 1]
    ids = [row.id for page in pages for row in page]
    assert ids == sorted(set(ids))
    assert all(row.trace for page in pages for row in page)


def test_pages_can_be_narrowed(storage: Storage) -> None:
    fill(storage)

    def found(**by: object) -> list[str]:
        return [row.candidate[-1] for page in storage.trials.pages(**by) for row in page]  # type: ignore[arg-type]

    assert found(device_class=GPU.device_class) == ["6", "7"]
    assert sorted(found(workloads=[workload(1).hash])) == ["8", "9"]
    assert found(workloads=[]) == found(engine="another") == []
    assert len(found(engine="metaschedule")) == 10


def test_statistics_count_each_device_class(storage: Storage) -> None:
    assert storage.upkeep.statistics().classes == ()
    fill(storage)
    campaign(storage)
    found = storage.upkeep.statistics()
    counts = {row.device_class: (row.workloads, row.trials, row.failures) for row in found.classes}
    assert counts == {CPU.device_class: (2, 8, 3), GPU.device_class: (1, 2, 0)}
    assert (found.workloads, found.models, found.campaigns, found.verifications) == (3, 1, 1, 0)
    assert found.size_bytes > 10_000
    assert all(row.first_at <= row.last_at for row in found.classes)


def test_pruning_keeps_the_fastest_of_each_workload_on_each_device_class(storage: Storage) -> None:
    fill(storage)
    told = storage.upkeep.prune(keep=2, dry_run=True)
    assert (told.before, told.trials, told.failures) == (10, 2, 0)
    assert len(candidates(storage)) == 10
    done = storage.upkeep.prune(keep=2)
    assert (done.before, done.trials, done.failures, done.workloads) == (10, 2, 0, 0)
    assert [c[-1] for c in candidates(storage)] == ["0", "1", "4", "5", "6", "7", "8", "9"]
    assert storage.upkeep.prune(keep=2).trials == 0


def test_pruning_can_take_failures_of_one_device_class_and_age(storage: Storage) -> None:
    fill(storage)
    assert storage.upkeep.prune(failed=True, older_than=timedelta(days=1)).trials == 0
    assert storage.upkeep.prune(failed=True, device_class=GPU.device_class).trials == 0
    assert storage.upkeep.prune(failed=True, engine="another").trials == 0
    done = storage.upkeep.prune(keep=1, failed=True, device_class=CPU.device_class)
    assert (done.trials, done.failures) == (6, 3)
    assert [c[-1] for c in candidates(storage)] == ["0", "6", "7", "8"]


def test_a_workload_that_nothing_refers_to_goes_with_its_last_trial(storage: Storage) -> None:
    fill(storage)
    storage.workloads.put([workload(7)])
    storage.trials.record([failed(20, of=7)])
    assert storage.upkeep.prune(failed=True).workloads == 1
    assert storage.workloads.get_many([workload(7).hash, workload(1).hash]) == [workload(1)]


def test_a_workload_of_which_a_cost_model_learned_stays(storage: Storage) -> None:
    fill(storage)
    storage.workloads.put([workload(7)])
    storage.trials.record([failed(20, of=7)])
    learned = [NewSamples(workload(7).hash, 1, b"samples")]
    storage.cost_models.learned(CPU.device_class, "features", learned, None, 0)
    assert storage.upkeep.prune(failed=True).workloads == 0


def test_a_number_that_was_pruned_is_never_given_again(storage: Storage) -> None:
    fill(storage)
    last = max(row.id for page in storage.trials.pages() for row in page)
    storage.upkeep.prune(failed=True)
    storage.trials.record([ok(40, 1.0, of=2)])
    assert max(row.id for page in storage.trials.pages() for row in page) > last


def test_pruning_is_refused_where_it_would_take_all_or_while_a_campaign_runs(storage: Storage) -> None:
    fill(storage)
    with pytest.raises(UsageError, match="say what may go"):
        storage.upkeep.prune()
    with pytest.raises(UsageError, match="at least the fastest"):
        storage.upkeep.prune(keep=0)
    with pytest.raises(NotFoundError, match="no device class tpu"):
        storage.upkeep.prune(keep=1, device_class="tpu")
    running = campaign(storage)
    assert storage.leases.acquire(running, "host:1:a", 60.0)
    with pytest.raises(UsageError, match=f"campaign {running} is running: pause it"):
        storage.upkeep.prune(failed=True)
    assert storage.upkeep.prune(failed=True, dry_run=True).trials == 3
    assert len(candidates(storage)) == 10


def test_what_was_deleted_gives_its_space_back(storage: Storage) -> None:
    stock(storage, 0)
    for start in range(0, 4000, 500):
        storage.trials.record([ok(n, 1.0 + n) for n in range(start, start + 500)])
    before = storage.upkeep.statistics().size_bytes
    storage.upkeep.prune(keep=1)
    storage.upkeep.shrink()
    assert candidates(storage) == ["candidate-0"]
    if storage.path is not None:
        assert storage.upkeep.statistics().size_bytes < before / 4
