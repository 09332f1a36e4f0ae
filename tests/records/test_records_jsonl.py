"""Records as JSON Lines, from store to store: nothing lost, nothing doubled, nothing taken on trust."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import NotFoundError, StorageError, UsageError
from orchestrator.records.jsonl_read import import_records, is_records
from orchestrator.records.jsonl_write import export_records
from orchestrator.records.merge import merge_store
from orchestrator.records.unstored import save_unstored, unstored_path
from orchestrator.storage import (
    MeasurementKind,
    NewMeasurement,
    NewTrial,
    Storage,
    TrialRow,
    toolchain_key,
)
from workers.messages import Candidate, DeviceInfo, Measurement, TrialState, Workload

REVALIDATED = MeasurementKind.REVALIDATED
CPU = DeviceInfo("llvm -num-cores 2", "cpu-a-2", "Some CPU", 2, "cpu")
GPU = DeviceInfo("cuda -arch=sm_90", "gpu-b", "Some GPU", 0, "cuda")


def workload(number: int) -> Workload:
    # A module need not be text.
    module = b"\xff\x00module" if number % 2 else '{"text": "µ"}'.encode()
    return Workload(f"{number:04x}" + "ab" * 14, "metaschedule", f"conv{number}", 1e6, module)


def trial(number: int, of: int, on: DeviceInfo, seconds: float | None) -> NewTrial:
    times = () if seconds is None else (seconds * 0.9, seconds, seconds * 3)
    state = TrialState.RUN_ERROR if seconds is None else TrialState.OK
    measured = Measurement(state, times, "" if times else 'it\ncrashed "here"', "cpu:0", "host-a", 0.5)
    candidate = Candidate(f"candidate-{number}", f'[["trace", {number}, "µ"]]')
    return NewTrial(
        workload(of).hash, on.device_class, candidate, measured, None, 0.2, f"token-{number}", {"tvm": "0.27"}
    )


def fill(store: Storage, *numbers: int) -> None:
    store.device_classes.put("metaschedule", CPU)
    store.device_classes.put("metaschedule", GPU)
    store.workloads.put([workload(n) for n in range(3)])
    store.trials.record(
        [trial(n, n % 3, GPU if n % 5 == 4 else CPU, None if n % 4 == 3 else 1e-3 / (n + 1)) for n in numbers]
    )


def content(store: Storage) -> list[TrialRow]:
    """All trials without what is a store's own: their numbers, their order, their campaigns."""
    rows = [replace(row, id=0, campaign_id=None) for page in store.trials.pages(page=7) for row in page]
    return sorted(rows, key=lambda row: (row.workload_hash, row.device_class, row.candidate))


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[str], Storage]]:
    stores: list[Storage] = []

    def open_(name: str) -> Storage:
        stores.append(Storage.open(str(tmp_path / f"{name}.db")))
        return stores[-1]

    yield open_
    for store in stores:
        store.close()


@pytest.fixture
def store(opened: Callable[[str], Storage]) -> Storage:
    found = opened("one")
    fill(found, *range(20))
    return found


@pytest.fixture
def other(opened: Callable[[str], Storage]) -> Storage:
    return opened("other")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def rewritten(path: Path, change: Callable[[list[dict[str, Any]]], None]) -> Path:
    found = lines(path)
    change(found)
    path.write_text("".join(json.dumps(line) + "\n" for line in found))
    return path


@pytest.mark.parametrize("name", ["all.jsonl", "all.jsonl.gz"])
def test_what_is_exported_and_imported_is_the_same_to_the_last_field(
    store: Storage, other: Storage, tmp_path: Path, name: str
) -> None:
    wrote = export_records(store, tmp_path / name)
    assert (wrote.trials, wrote.failed, wrote.workloads) == (20, 5, 3)
    assert wrote.device_classes == ("cpu-a-2", "gpu-b")
    assert is_records(wrote.path)
    assert (wrote.path.read_bytes()[:2] == b"\x1f\x8b") == name.endswith(".gz")
    took = import_records(other, wrote.path)
    assert (took.trials, took.imported, took.failed, took.workloads) == (20, 20, 5, 3)
    assert content(other) == content(store)
    hashes = [workload(n).hash for n in range(3)]
    assert other.workloads.get_many(hashes) == store.workloads.get_many(hashes)
    assert [replace(row, id=0) for row in other.device_classes.all()] == [
        replace(row, id=0) for row in store.device_classes.all()
    ]


def test_the_second_import_changes_nothing(store: Storage, other: Storage, tmp_path: Path) -> None:
    path = export_records(store, tmp_path / "all.jsonl").path
    import_records(other, path)
    before = content(other)
    again = import_records(other, path)
    assert (again.imported, again.stored_before) == (0, 20)
    assert content(other) == before


def test_an_export_can_be_narrowed(store: Storage, tmp_path: Path) -> None:
    one = export_records(store, tmp_path / "gpu.jsonl", device_class="gpu-b")
    assert (one.trials, one.device_classes) == (4, ("gpu-b",))
    two = export_records(store, tmp_path / "conv.jsonl", workloads=[workload(1).hash])
    assert {line["trial"]["workload"] for line in lines(two.path) if "trial" in line} == {workload(1).hash}
    with pytest.raises(NotFoundError, match=r"no device class tpu .* cpu-a-2, gpu-b"):
        export_records(store, tmp_path / "tpu.jsonl", device_class="tpu")
    with pytest.raises(NotFoundError, match="nothing was written"):
        export_records(store, tmp_path / "none.jsonl", engine="another")
    assert not (tmp_path / "none.jsonl").exists()


def _measured(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The first measurement that succeeded."""
    measured = (one for line in found for one in line.get("trial", {}).get("measurements", ()))
    return next(one for one in measured if one["state"] == "ok")


def _infinite(found: list[dict[str, Any]]) -> None:
    _measured(found)["times_s"][0] = float("inf")


def _timeless(found: list[dict[str, Any]]) -> None:
    _measured(found)["times_s"] = []


def _unmeasured(found: list[dict[str, Any]]) -> None:
    next(line["trial"] for line in found if "trial" in line)["measurements"] = []


def _of_no_toolchain(found: list[dict[str, Any]]) -> None:
    _measured(found)["toolchain"] = "ffff"


def _of_nothing(found: list[dict[str, Any]]) -> None:
    next(line["trial"] for line in found if "trial" in line)["workload"] = "ffff"


def _of_another_shape(found: list[dict[str, Any]]) -> None:
    next(line["trial"] for line in found if "trial" in line)["cost_s"] = 1.0


def _of_no_time_zone(found: list[dict[str, Any]]) -> None:
    next(line["trial"] for line in found if "trial" in line)["recorded_at"] = "2026-01-01T00:00:00"


def _ended_unknown(found: list[dict[str, Any]]) -> None:
    _measured(found)["state"] = "fine"


def _two_in_one(found: list[dict[str, Any]]) -> None:
    trial = next(line for line in found if "trial" in line)
    trial["workload"] = next(line["workload"] for line in found if "workload" in line)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_infinite, "trial.measurements.0.times_s"),
        (_timeless, "called ok and has no times_s"),
        (_unmeasured, "trial.measurements"),
        (_of_no_toolchain, "about its toolchain ffff"),
        (_of_nothing, "about its workload ffff"),
        (_of_another_shape, "trial.cost_s: Extra"),
        (_of_no_time_zone, "trial.recorded_at"),
        (_ended_unknown, "trial.measurements.0.state"),
        (_two_in_one, "one of them"),
    ],
)
def test_a_bad_line_stops_the_import_with_its_number_and_can_be_left_out(
    store: Storage, other: Storage, tmp_path: Path, spoil: Callable[[list[dict[str, Any]]], None], said: str
) -> None:
    path = rewritten(export_records(store, tmp_path / "all.jsonl").path, spoil)
    with pytest.raises(UsageError, match=r"1 of \d+ lines .* nothing was") as told:
        import_records(other, path)
    assert said in str(told.value)
    assert content(other) == []
    taken = import_records(other, path, skip_bad=True)
    assert (taken.imported, len(taken.bad)) == (19, 1)
    assert f"line {taken.bad[0].number}: " in str(told.value)


def test_a_file_that_was_cut_off_stores_nothing(store: Storage, other: Storage, tmp_path: Path) -> None:
    whole = export_records(store, tmp_path / "all.jsonl.gz").path.read_bytes()
    (tmp_path / "cut.jsonl.gz").write_bytes(whole[:-40])
    with pytest.raises(UsageError, match="cut off or damaged"):
        import_records(other, tmp_path / "cut.jsonl.gz")
    half = gzip.decompress(whole)[:-40]
    (tmp_path / "cut.jsonl").write_bytes(half)
    with pytest.raises(UsageError, match="1 of"):
        import_records(other, tmp_path / "cut.jsonl")
    assert content(other) == []


def test_a_file_of_another_kind_or_version_is_refused(other: Storage, tmp_path: Path) -> None:
    (tmp_path / "log").write_text('{"input": []}\n')
    assert not is_records(tmp_path / "log")
    with pytest.raises(UsageError, match="does not begin as a file of records does"):
        import_records(other, tmp_path / "log")
    (tmp_path / "new.jsonl").write_text('{"format": "tunefleet-records", "version": 4}\n')
    assert is_records(tmp_path / "new.jsonl")
    with pytest.raises(UsageError, match="version 4 of its format, this tunefleet reads up to 3"):
        import_records(other, tmp_path / "new.jsonl")
    with pytest.raises(UsageError, match="there is no file"):
        import_records(other, tmp_path / "nowhere.jsonl")


def test_a_device_class_that_is_another_here_is_a_bad_line(
    store: Storage, other: Storage, tmp_path: Path
) -> None:
    path = export_records(store, tmp_path / "all.jsonl").path
    other.device_classes.put("metaschedule", replace(CPU, cores=4))
    with pytest.raises(UsageError, match="stored with cores 4, and this has 2"):
        import_records(other, path)
    # Its trials have no device class then, and the others' have.
    assert import_records(other, path, skip_bad=True).device_classes == ("gpu-b",)


def test_a_dry_run_counts_and_stores_nothing(store: Storage, other: Storage, tmp_path: Path) -> None:
    path = export_records(store, tmp_path / "all.jsonl").path
    fill(other, 0, 1)
    told = import_records(other, path, dry_run=True)
    assert (told.imported, told.stored_before, told.dry_run) == (18, 2, True)
    assert len(content(other)) == 2


def test_merging_twice_changes_nothing_the_second_time(store: Storage, other: Storage) -> None:
    fill(other, 0, 1, 30, 31)
    kept = {row.candidate: row for row in content(other)}
    first = merge_store(other, store)
    assert (first.trials, first.imported, first.stored_before) == (20, 18, 2)
    merged = content(other)
    assert {row.candidate for row in merged} == {f"candidate-{n}" for n in (*range(20), 30, 31)}
    assert all(row == kept.get(row.candidate, row) for row in merged)
    second = merge_store(other, store)
    assert (second.imported, second.stored_before) == (0, 20)
    assert content(other) == merged


def again(number: int, of: int, seconds: float, token: str, versions: dict[str, str]) -> NewMeasurement:
    measured = Measurement(TrialState.OK, (seconds,), "", "cpu:0", "host-b", 0.5)
    pair = workload(of).hash, CPU.device_class
    return NewMeasurement(*pair, f"candidate-{number}", measured, REVALIDATED, token, versions, 0.2)


def test_all_measurements_of_a_trial_travel_with_it_and_what_they_were_made_with(
    store: Storage, other: Storage, tmp_path: Path
) -> None:
    new = {"tvm": "0.28", "llvm": "23"}
    store.toolchains.adopt(CPU.device_class, new)
    store.measurements.add([again(0, 0, 0.5, "a", new), again(1, 1, 0.6, "b", new)])
    path = export_records(store, tmp_path / "all.jsonl").path
    import_records(other, path)
    assert content(other) == content(store)
    # There too, what it was measured with last is what holds.
    assert other.toolchains.current_key(CPU.device_class) == toolchain_key(new)
    assert {row.key: row.versions for row in other.toolchains.all()} == {
        row.key: row.versions for row in store.toolchains.all()
    }
    assert [row.stale for row in other.trials.best(workload(0).hash, CPU.device_class, 2)] == [False, True]


def test_marks_travel_with_what_they_are_on(store: Storage, other: Storage, tmp_path: Path) -> None:
    marked = [
        replace(again(n, n, 0.5, "a", {"tvm": "0.27"}), drift=drift) for n, drift in ((0, 0.5), (1, -0.2))
    ]
    store.measurements.add(marked)
    path = export_records(store, tmp_path / "all.jsonl").path
    import_records(other, path)
    assert content(other) == content(store)
    drifts = {m.drift for row in content(other) for m in row.measurements}
    assert drifts == {None, 0.5, -0.2}
    # What nothing drifted for is written as before.
    assert (
        sum("drift" in m for line in lines(path) for m in line.get("trial", {}).get("measurements", ())) == 2
    )


def test_what_no_store_took_comes_back_with_its_marks(other: Storage, tmp_path: Path) -> None:
    marked = [replace(trial(1, 0, CPU, 1.0), drift=0.3), trial(2, 0, CPU, 2.0)]
    save_unstored(tmp_path / "unstored.jsonl", marked, [workload(0)], [CPU])
    import_records(other, tmp_path / "unstored.jsonl")
    assert {row.candidate: row.drift for row in content(other)} == {"candidate-1": 0.3, "candidate-2": None}


def test_files_of_one_second_have_names_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    paths = []
    for _ in range(20):
        paths.append(unstored_path(7))
        paths[-1].touch(exist_ok=False)
    assert len(set(paths)) == 20


def test_the_format_is_documented_with_all_that_a_measurement_has(store: Storage, tmp_path: Path) -> None:
    store.measurements.add([replace(again(0, 0, 0.5, "a", {"tvm": "0.27"}), drift=0.5)])
    path = export_records(store, tmp_path / "all.jsonl").path
    text = (Path(__file__).parents[2] / "docs" / "records.md").read_text()
    told = text[text.index("Each of the `measurements` has") : text.index("A line with another field")]
    measured = [m for line in lines(path) for m in line.get("trial", {}).get("measurements", ())]
    fields = {name for one in measured for name in one}
    assert "drift" in fields
    kinds = {kind.value for kind in MeasurementKind}
    assert {name for name in fields | kinds if f"`{name}`" not in told} == set()


def test_stores_that_measured_the_same_trial_have_all_of_it_after_a_merge_in_either_order(
    store: Storage, other: Storage
) -> None:
    fill(other, *range(20))
    store.measurements.add([again(0, 0, 0.5, "a", {"tvm": "0.27"})])
    other.measurements.add([again(0, 0, 0.7, "b", {"tvm": "0.27"})])
    told = merge_store(store, other, dry_run=True)
    took = merge_store(store, other)
    assert (took.imported, took.stored_before, took.added) == (0, 20, 1)
    assert replace(told, dry_run=False) == took
    back = merge_store(other, store)
    assert (back.imported, back.added) == (0, 1)
    assert merge_store(other, store).added == 0
    for one in (store, other):
        (trial,) = (row for row in content(one) if row.candidate == "candidate-0")
        assert [m.token for m in trial.measurements if m.kind is REVALIDATED] != []
        assert {m.token for m in trial.measurements} == {"token-0", "a", "b"}
        # The later of both counts.
        assert trial.cost_s == 0.7


FIRST_VERSION = """\
{"format":"tunefleet-records","version":1,"written_at":"2026-11-20T10:00:00Z","tunefleet":"0.1.0"}
{"device_class":{"name":"cpu-a-2","engine":"metaschedule","target":"llvm -num-cores 2","model":"Some CPU",
 "cores":2,"kind":"cpu"}}
{"workload":{"hash":"0000ab","engine":"metaschedule","name":"conv","flops":1e6,"module":"text"}}
{"trial":{"workload":"0000ab","device_class":"cpu-a-2","candidate":"c1","trace":"t1","state":"ok",
 "times_s":[0.3],"message":"","device":"cpu:0","host":"host-a","versions":{"tvm":"0.27.0","llvm":"22"},
 "build_s":0.2,"run_s":0.5,"token":"one","recorded_at":"2026-11-20T09:00:00Z","times_again_s":[0.2,0.4]}}
{"trial":{"workload":"0000ab","device_class":"cpu-a-2","candidate":"c2","trace":"t2","state":"ok",
 "times_s":[0.9],"message":"not timed in full","device":"cpu:0","host":"host-a","versions":{},
 "build_s":0.2,"run_s":0.5,"token":"two","recorded_at":"2026-11-20T09:00:01Z"}}
"""


def test_a_file_of_an_older_release_is_imported_with_all_its_times(other: Storage, tmp_path: Path) -> None:
    path = tmp_path / "first.jsonl"
    path.write_text(FIRST_VERSION.replace("\n ", ""))
    assert import_records(other, path).imported == 2
    assert import_records(other, path).imported == 0
    first, second = content(other)
    assert [(m.kind.value, m.times, m.token) for m in first.measurements] == [
        ("full", (0.3,), "one"),
        ("again", (0.2, 0.4), "one"),
    ]
    assert first.cost_s == pytest.approx(0.3)
    assert first.versions == {"tvm": "0.27.0", "llvm": "22"}
    assert [(m.kind.value, m.message) for m in second.measurements] == [("short", "not timed in full")]
    # The first version has no measurements of their own, and says so of a file that claims to be one.
    new = export_records(other, tmp_path / "second.jsonl").path
    with pytest.raises(UsageError, match="toolchain: Extra inputs"):
        import_records(other, rewritten(new, lambda found: found[0].update(version=1)))


def test_stores_with_one_name_for_two_devices_are_not_merged(store: Storage, other: Storage) -> None:
    other.device_classes.put("metaschedule", replace(GPU, model="Another GPU"))
    with pytest.raises(StorageError, match=r"can't be merged: device class gpu-b .* 'Another GPU'"):
        merge_store(other, store)
    assert content(other) == []
