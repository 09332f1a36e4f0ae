"""Building a library: what is refused before the work, and what a refusal leaves alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.builds import build_model
from orchestrator.builds.coverage import coverage_of
from orchestrator.errors import IncompleteError, NotFoundError, UsageError
from orchestrator.models.extraction import extract_model, split_version
from orchestrator.models.request import ModelRequest
from orchestrator.storage import NewTrial, Storage
from orchestrator.toolbox import Toolbox
from tests.kit.tiny_models import save
from workers.messages import Candidate, DeviceInfo, Measurement, TrialState


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Storage]:
    with Storage.open(f"sqlite:///{tmp_path / 'records.db'}") as opened:
        yield opened


@pytest.fixture
def request_(tmp_path: Path) -> ModelRequest:
    return ModelRequest(path=str(save(tmp_path / "tiny.onnx")))


def record(store: Storage, workload: str, device_class: str, name: str, *times: float) -> None:
    state = TrialState.OK if times else TrialState.RUN_ERROR
    measured = Measurement(state, times, "" if times else "it crashed")
    store.trials.record([NewTrial(workload, device_class, Candidate(name, "[[],[]]"), measured)])


def test_a_build_without_records_is_whole_and_says_what_is_untuned(
    store: Storage, tools: Toolbox, request_: ModelRequest, tmp_path: Path
) -> None:
    report = build_model(store, tools, request_, tmp_path / "lib.so", params=tmp_path / "weights.npz")
    assert report.library.read_bytes()[:4] == b"\x7fELF"
    assert (tmp_path / "weights.npz").stat().st_size > 4 * 64 * 5 * 4
    assert report.coverage.tuned == 0
    assert len(report.coverage.missing) == 3
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_a_build_that_must_be_complete_names_what_is_missing_and_writes_nothing(
    store: Storage, tools: Toolbox, request_: ModelRequest, tmp_path: Path
) -> None:
    old = tmp_path / "lib.so"
    old.write_text("the library of last week")
    with pytest.raises(IncompleteError, match="3 of 3 tasks") as caught:
        build_model(store, tools, request_, old, require_complete=True)
    assert "fused_conv2d" in str(caught.value)
    assert old.read_text() == "the library of last week"


@pytest.mark.parametrize(("output", "said"), [("nowhere/lib.so", "nowhere"), (".", "is a folder")])
def test_an_output_that_cannot_be_written_is_refused_before_the_work(
    store: Storage, request_: ModelRequest, tmp_path: Path, output: str, said: str
) -> None:
    untouched = Toolbox("metaschedule")
    with pytest.raises(UsageError, match=said):
        build_model(store, untouched, request_, tmp_path / output)
    assert untouched.process.pid is None


def test_coverage_counts_trials_and_takes_the_fastest_of_this_device_class_alone(
    store: Storage, tools: Toolbox, request_: ModelRequest
) -> None:
    device = tools.resolve_target("auto")
    model = extract_model(store, tools, request_, device)
    workload = model.tasks[0].workload.hash
    store.device_classes.put("metaschedule", type(device)(device.target, "another-class", "Other", 2, "cpu"))
    record(store, workload, device.device_class, "slow", 3.0, 3.0)
    record(store, workload, device.device_class, "fast", 1.0, 2.0)
    record(store, workload, device.device_class, "crashing")
    record(store, workload, "another-class", "fastest", 0.1)
    coverage = coverage_of(store, model)
    (task,) = (task for task in coverage.tasks if task.workload_hash == workload)
    assert (task.trials, task.failures, task.best_s) == (3, 1, 1.5)
    assert {key: record.candidate for key, record in coverage.records.items()} == {
        workload: Candidate("fast", "[[],[]]")
    }
    assert coverage.tuned == 1
    assert coverage.expected_s == 1.5 * task.weight


def test_the_key_of_a_coverage_changes_with_the_records_it_would_apply(
    store: Storage, tools: Toolbox, request_: ModelRequest
) -> None:
    device = tools.resolve_target("auto")
    model = extract_model(store, tools, request_, device)
    workload = model.tasks[0].workload.hash
    keys = [coverage_of(store, model).key]
    for name, seconds in (("first", 2.0), ("slower", 3.0), ("faster", 1.0)):
        record(store, workload, device.device_class, name, seconds)
        keys.append(coverage_of(store, model).key)
    assert keys[1] == keys[2]
    assert len(set(keys)) == 3


def test_a_build_takes_the_layout_that_was_tuned(
    store: Storage, tools: Toolbox, request_: ModelRequest, tmp_path: Path
) -> None:
    device = tools.resolve_target("auto")

    def tune(layout: str, *seconds: float) -> str:
        model = extract_model(store, tools, request_, device, layout=layout)
        for task, time in zip(model.tasks, seconds, strict=False):
            record(store, task.workload.hash, device.device_class, f"{layout}{time}", time)
        return model.engine_version

    untuned = extract_model(store, tools, request_, device)
    assert split_version(untuned.engine_version)[1] == "auto"
    # What the engine chose is said, and goes with the model.
    assert untuned.prepared.layout in ("blocked", "mixed", "nhwc", "nchw")
    assert "are estimated to take" in untuned.layout_reason
    assert tune("nhwc") != tune("nchw", 5.0, 5.0, 5.0)
    found = extract_model(store, tools, request_, device)
    assert (found.prepared.layout, found.remembered) == ("nchw", True)
    assert build_model(store, tools, request_, tmp_path / "lib.so", layout="nhwc").coverage.tuned < 3
    # Tuned as far, and faster. Its four channels are one block: auto may be the same as NHWC for this model.
    tune("nhwc", 1.0, 1.0, 1.0)
    assert split_version(extract_model(store, tools, request_, device).engine_version)[1] in ("auto", "nhwc")
    with pytest.raises(UsageError, match="no layout 'nchw64c'"):
        build_model(store, tools, request_, tmp_path / "lib.so", layout="nchw64c")


def test_a_record_that_cannot_be_applied_is_set_aside_with_its_reason(
    store: Storage, tools: Toolbox, request_: ModelRequest, tmp_path: Path
) -> None:
    device = tools.resolve_target("auto")
    model = extract_model(store, tools, request_, device)
    trace = '[[["NoSuchInstruction",[],[],[]]],[]]'
    trial = NewTrial(
        model.tasks[0].workload.hash,
        device.device_class,
        Candidate("broken", trace),
        Measurement(TrialState.OK, (1.0,)),
    )
    store.trials.record([trial])
    coverage = build_model(store, tools, request_, tmp_path / "lib.so").coverage
    (aside,) = (aside for task in coverage.tasks for aside in task.set_aside)
    assert aside.candidate == "broken"
    assert "NoSuchInstruction" in aside.reason
    assert (tmp_path / "lib.so").exists()


def test_a_faster_record_of_another_device_class_is_taken_only_where_that_is_allowed(
    store: Storage, tools: Toolbox, request_: ModelRequest, tmp_path: Path
) -> None:
    device = tools.resolve_target("auto")
    model = extract_model(store, tools, request_, device)
    own, lent = (task.workload.hash for task in model.tasks[:2])
    store.device_classes.put("metaschedule", DeviceInfo(device.target, "another-class", "Other", 2, "cpu"))
    record(store, own, device.device_class, "ours", 3.0)
    record(store, own, "another-class", "faster", 0.1)
    record(store, lent, "another-class", "theirs", 0.1)

    strict = build_model(store, tools, request_, tmp_path / "strict.so").coverage
    assert {key: found.candidate.hash for key, found in strict.records.items()} == {own: "ours"}
    assert (strict.tuned, strict.borrowed) == (1, 0)

    allowed = build_model(store, tools, request_, tmp_path / "lent.so", allowed=("another-class",)).coverage
    assert {key: found.candidate.hash for key, found in allowed.records.items()} == {
        own: "ours",
        lent: "theirs",
    }
    tasks = {task.workload_hash: task for task in allowed.tasks}
    assert (tasks[own].borrowed_from, tasks[lent].borrowed_from) == ("", "another-class")
    # A time of another device promises nothing here.
    assert tasks[lent].expected_s is None
    assert allowed.expected_s == 3.0 * tasks[own].weight
    assert allowed.key != strict.key


def test_what_can_be_borrowed_from_is_a_known_class_of_the_same_engine(
    store: Storage, tools: Toolbox, request_: ModelRequest, tmp_path: Path
) -> None:
    device = tools.resolve_target("auto")
    with pytest.raises(
        NotFoundError, match=rf"no device class tpu is stored; there are: {device.device_class}"
    ):
        build_model(store, tools, request_, tmp_path / "lib.so", allowed=("tpu",))
    store.device_classes.put("another", DeviceInfo("llvm", "classic-class", "Some CPU", 2, "cpu"))
    with pytest.raises(UsageError, match="one of the another engine"):
        build_model(store, tools, request_, tmp_path / "lib.so", allowed=("classic-class",))
    assert not (tmp_path / "lib.so").exists()
