"""MetaSchedule's JSON database: what stock TVM tuned is built with, what is written stock TVM builds with."""

from __future__ import annotations

import base64
import json
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from orchestrator.builds import build_model
from orchestrator.errors import EngineError, UsageError
from orchestrator.files import write_folder
from orchestrator.models.extraction import ExtractedModel, extract_model
from orchestrator.models.request import ModelRequest
from orchestrator.records.log_export import export_log
from orchestrator.records.log_import import import_log
from orchestrator.storage import NewTrial, Storage, TrialRow
from orchestrator.toolbox import Toolbox
from tests.kit.tiny_models import save as save_model
from workers.actors import SearchActor
from workers.messages import Candidate, DeviceInfo, Measurement, RecordChoice, SearchOptions, TrialState

Stock = Callable[..., list[Any]]

ROOT = Path(__file__).parents[2]
WORKLOADS, RECORDS = "database_workload.json", "database_tuning_record.json"
# An entry of None makes an import fail.
WITHOUT_US = (
    "import runpy, sys;"
    "sys.modules.update(orchestrator=None, workers=None);"
    "sys.argv = sys.argv[1:];"
    "runpy.run_path(sys.argv[0], run_name='__main__')"
)


def without_us(script: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """Run a script that can import nothing of this project."""
    line = [sys.executable, "-c", WITHOUT_US, str(script), *map(str, words)]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr
    return done


def stock(*words: object) -> list[Any]:
    """Run stock TVM and return the JSON lines it printed."""
    done = without_us(Path(__file__).with_name("stock_metaschedule.py"), *words)
    return [json.loads(text) for text in done.stdout.splitlines() if text.startswith("{")]


@pytest.fixture(scope="module")
def device(tools: Toolbox) -> DeviceInfo:
    return tools.resolve_target("auto")


@pytest.fixture(scope="module")
def request_(tmp_path_factory: pytest.TempPathFactory) -> ModelRequest:
    """A model of three kernels, two of them over weights."""
    return ModelRequest(path=str(save_model(tmp_path_factory.mktemp("model") / "tiny.onnx")))


@pytest.fixture(scope="module")
def tuned_by_stock(
    device: DeviceInfo, request_: ModelRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A database that stock TVM tuned, as it lowers models by default: of two candidates one failed."""
    folder = tmp_path_factory.mktemp("stock")
    stock("tune", request_.path, folder, device.target)
    return folder


@pytest.fixture
def log(tuned_by_stock: Path, tmp_path: Path) -> Path:
    """The same, to be spoilt."""
    folder = tmp_path / "work_dir"
    folder.mkdir()
    for name in (WORKLOADS, RECORDS):
        shutil.copy(tuned_by_stock / name, folder)
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Storage]:
    with Storage.open(f"sqlite:///{tmp_path / 'records.db'}") as opened:
        yield opened


@pytest.fixture(scope="module")
def candidates(tools: Toolbox, device: DeviceInfo, request_: ModelRequest) -> dict[str, list[Candidate]]:
    """Two candidates at most for each task of the model, by its hash."""
    extraction = tools.extract(tools.prepare(request_.path, {}), device.target)
    searcher = SearchActor("metaschedule")
    searcher.start()
    found = {}
    for task in extraction.tasks:
        searcher.open("one", task.workload, device.target, SearchOptions(), (), (), 120)
        found[task.workload.hash] = list(searcher.propose("one", 2, None, 120))
        searcher.close("one")
    searcher.stop()
    return found


@pytest.fixture
def model(
    store: Storage,
    tools: Toolbox,
    device: DeviceInfo,
    request_: ModelRequest,
    candidates: dict[str, list[Candidate]],
) -> ExtractedModel:
    """The model, and a good trial of each task in the store, and a failed one of those that have another."""
    extracted = extract_model(store, tools, request_, device)
    for key, (good, *others) in candidates.items():
        measured = [(good, Measurement(TrialState.OK, (2e-4, 3e-4)))]
        measured += [(other, Measurement(TrialState.BUILD_TIMEOUT, (), "killed")) for other in others]
        store.trials.record([NewTrial(key, device.device_class, c, m) for c, m in measured])
    return extracted


def stored(store: Storage, device: DeviceInfo) -> dict[tuple[str, str], TrialRow]:
    """All trials, by workload and candidate."""
    return {
        (row.hash, trial.candidate): trial
        for row in store.workloads.search()
        for trial in store.trials.of_workload(row.hash, device.device_class)
    }


def lines_of(folder: Path, name: str = RECORDS) -> list[Any]:
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def write_lines(folder: Path, lines: list[Any], name: str = RECORDS) -> None:
    texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    (folder / name).write_text("".join(f"{text}\n" for text in texts))


# -- in


def test_what_stock_tuned_is_built_with(
    store: Storage,
    tools: Toolbox,
    device: DeviceInfo,
    request_: ModelRequest,
    tuned_by_stock: Path,
    tmp_path: Path,
) -> None:
    lines = lines_of(tuned_by_stock)
    failed = sum(seconds == [1e10] for _, (_, seconds, _, _) in lines)
    assert failed == 2
    report = import_log(store, tools, tuned_by_stock, request=request_)
    assert report.device_class == device.device_class
    assert (report.lines, report.imported, report.failed) == (len(lines), len(lines), failed)
    assert (report.workloads, report.notes) == (3, {})
    built = build_model(store, tools, request_, tmp_path / "lib.so", require_complete=True)
    best = sorted(task.best_s or 0.0 for task in built.coverage.tasks)
    assert best == sorted(float(np.median(times)) for _, (_, times, _, _) in lines if times != [1e10])
    failures = [trial for trial in stored(store, device).values() if trial.state is not TrialState.OK]
    assert {(trial.state, trial.message) for trial in failures} == {
        (TrialState.RUN_ERROR, "it failed; MetaSchedule's database does not say why")
    }
    assert {trial.versions["imported"] for trial in failures} == {tuned_by_stock.name}
    assert failures[0].versions["tvm"].startswith("0.")
    assert_agrees(tools, built.coverage.records, request_, store, device)


def assert_agrees(
    tools: Toolbox, records: dict[str, Any], request: ModelRequest, store: Storage, device: DeviceInfo
) -> None:
    """Compile with records and compare with onnxruntime."""
    extracted = extract_model(store, tools, request, device)
    compiled = tools.compile(extracted.prepared, device.target, RecordChoice("", records)).result()
    assert set(compiled.tuned) == set(records)
    inputs, expected = tools.reference_outputs(extracted.prepared, 1, 1)
    run = tools.run(compiled, inputs, device.target)
    assert tools.judge(extracted.prepared, inputs, run.outputs, expected).ok


def test_without_the_model_a_record_is_filed_as_stock_knows_it_and_the_person_is_told(
    store: Storage, tools: Toolbox, log: Path, request_: ModelRequest, tmp_path: Path
) -> None:
    report = import_log(store, tools, log)
    assert report.imported == report.lines
    assert [("--model" in note, count) for note, count in report.notes.items()] == [(True, report.lines)]
    assert build_model(store, tools, request_, tmp_path / "lib.so").coverage.tuned == 0


@pytest.mark.slow
def test_what_stock_tuned_with_weights_packed_needs_no_model(
    store: Storage, tools: Toolbox, device: DeviceInfo, request_: ModelRequest, tmp_path: Path
) -> None:
    folder = tmp_path / "packed"
    folder.mkdir()
    stock("tune", request_.path, folder, device.target, "packed")
    report = import_log(store, tools, folder)
    assert (report.imported, report.notes) == (report.lines, {})
    built = build_model(store, tools, request_, tmp_path / "lib.so", require_complete=True, layout="nchw")
    assert_agrees(tools, built.coverage.records, request_, store, device)


def test_a_second_import_adds_nothing(
    store: Storage, tools: Toolbox, device: DeviceInfo, request_: ModelRequest, log: Path
) -> None:
    first = import_log(store, tools, log, request=request_)
    again = import_log(store, tools, log, request=request_)
    assert (again.imported, again.stored_before) == (0, first.imported)


def test_a_record_of_another_target_is_refused_with_the_target_that_takes_it(
    store: Storage, tools: Toolbox, device: DeviceInfo, log: Path
) -> None:
    first, *others = lines_of(log)
    other = json.loads(device.target)
    other["num-cores"] = device.cores + 1
    first[1][2] = other
    write_lines(log, [first, *others])
    with pytest.raises(UsageError, match=rf"^1 of {len(others) + 1} lines of work_dir") as caught:
        import_log(store, tools, log)
    said = str(caught.value)
    assert f"  {RECORDS} line 1: it was measured for another target; --target '" in said
    taking = said.rpartition("--target '")[2].partition("'")[0]
    assert import_log(store, tools, log, target=taking, skip_bad=True).imported == 1
    (device_class,) = {c.name for c in store.device_classes.all("metaschedule")}
    assert device_class != device.device_class
    assert import_log(store, tools, log, skip_bad=True).imported == len(others)


def test_broken_lines_are_named_by_file_number_and_reason(
    store: Storage, tools: Toolbox, device: DeviceInfo, log: Path
) -> None:
    good = next(line for line in lines_of(log) if any(i[0].startswith("Sample") for i in line[1][0][0]))
    index, (trace, seconds, target, arguments) = good
    instructions, decisions = trace
    block = next(n for n, i in enumerate(instructions) if i[0] == "GetSBlock" and i[2][0] != "root")

    def instruction(number: int, changed: Any) -> Any:
        return [[changed if n == number else i for n, i in enumerate(instructions)], decisions]

    strange = instruction(block, ["GetSBlock", [], ["no_such_block", "main"], instructions[block][3]])
    broken = [
        (json.dumps(good)[:-20], "it is no JSON"),
        ([1, 2], "it is not [workload, [trace, seconds, target, arguments]]"),
        ([99, good[1]], f"its workload is line 100 of {WORKLOADS}, which is not there"),
        ([3, good[1]], f"its workload, line 4 of {WORKLOADS}, can't be used"),
        ([index, [trace, seconds, None, arguments]], "it does not say for which target"),
        ([index, [trace, seconds, {"kind": "abacus"}, arguments]], "TVM doesn't know the target"),
        ([index, [trace, [-1.0], target, arguments]], "its times are [-1.0]"),
        ([index, [trace, [1e10, 1e-4], target, arguments]], "its times are [10000000000.0, 0.0001]"),
        ([index, ["trace", seconds, target, arguments]], "its trace is not [instructions, decisions]"),
        ([index, [instruction(0, ["GetSBlock"]), seconds, target, arguments]], "an instruction of its trace"),
        ([index, [[instructions, [[999, 1]]], seconds, target, arguments]], "a decision of its trace"),
        ([index, [[instructions, []], seconds, target, arguments]], "its trace leaves open what instruction"),
        ([index, [strange, seconds, target, arguments]], "its trace does not apply to its workload"),
    ]
    workloads = lines_of(log, WORKLOADS)
    mystery = b'{"root_index": 0, "nodes": [{"type": "tir.Mystery"}]}'
    other = base64.b64encode(len(mystery).to_bytes(8, "little") + mystery).decode()
    write_lines(log, [*workloads, ["0", "?"], ["0", other]], WORKLOADS)
    # Empty lines count as lines, and are none that is bad.
    write_lines(log, ["", *(line for line, _ in broken), good])
    with pytest.raises(
        UsageError, match=rf"^{len(broken) + 2} of {len(broken) + 3} lines of work_dir"
    ) as caught:
        import_log(store, tools, log)
    said = str(caught.value).splitlines()[1:]
    assert f"  {WORKLOADS} line 4: its module is no JSON in base64" in said[0]
    assert f"  {WORKLOADS} line 5: TVM 0.27" in said[1]
    for number, (text, (_, reason)) in enumerate(zip(said[2:], broken, strict=True), 2):
        assert text.startswith(f"  {RECORDS} line {number}: ")
        assert reason in text
    assert store.workloads.search() == []
    report = import_log(store, tools, log, skip_bad=True)
    assert (report.imported, len(stored(store, device))) == (1, 1)


@pytest.mark.parametrize("what", ["no folder", "is a file", f"no {RECORDS}"])
def test_what_is_no_database_is_refused(store: Storage, tools: Toolbox, log: Path, what: str) -> None:
    path = log / RECORDS if what == "is a file" else log
    if what == "no folder":
        path = log / "nowhere"
    elif what != "is a file":
        (log / RECORDS).unlink()
    with pytest.raises(UsageError, match=f"{what}.*{WORKLOADS} and {RECORDS}"):
        import_log(store, tools, path)


# -- out


def exported(store: Storage, tools: Toolbox, request: ModelRequest, folder: Path) -> Path:
    report = export_log(store, tools, folder, request=request)
    assert (report.failed, report.workloads, report.missing, report.left_out) == (3, 3, (), ())
    return folder


@pytest.mark.usefixtures("model")
def test_stock_finds_every_kernel_in_an_export_under_the_model_s_own_names(
    store: Storage, tools: Toolbox, device: DeviceInfo, request_: ModelRequest, tmp_path: Path
) -> None:
    folder = exported(store, tools, request_, tmp_path / "database")
    assert {path.name for path in folder.iterdir()} == {WORKLOADS, RECORDS, "model.json"}
    found = stock("read", folder / "model.json", folder, device.target)
    assert [kernel["packed"] for kernel in found] == [False] * 3 + [True] * 3
    # Failed ones too are there, and stock passes over them.
    assert [kernel["seconds"] for kernel in found] == [[2e-4, 3e-4]] * 6
    assert sum(seconds == [1e10] for _, (_, seconds, _, _) in lines_of(folder)) == 6


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("way", [pytest.param("--compile-relax", marks=pytest.mark.slow), "packed"])
def test_stock_compiles_with_an_export(
    store: Storage, tools: Toolbox, request_: ModelRequest, tmp_path: Path, way: str
) -> None:
    folder = exported(store, tools, request_, tmp_path / "database")
    script = ROOT / "examples" / "compile_with_database.py"
    words = [way] if way.startswith("--") else []
    done = without_us(script, folder, "-o", tmp_path / "tuned.so", *words)
    assert "Tuning record is not found" not in done.stderr
    # The same with records of the last task alone: so the above says something.
    last = str(max(index for index, _ in lines_of(folder)))
    write_lines(folder, [line for line in lines_of(folder) if str(line[0]) == last])
    partly = without_us(script, folder, "-o", tmp_path / "partly.so", *words)
    assert "Tuning record is not found" in partly.stderr
    assert (tmp_path / "partly.so").read_bytes() != (tmp_path / "tuned.so").read_bytes()
    if not words:
        assert done.stdout.splitlines()[-1] == "3 of 3 kernels are tuned"
        assert "3 of 3" not in partly.stdout
    x = np.random.default_rng(1).normal(size=(1, 3, 8, 8)).astype("float32")
    np.save(tmp_path / "x.npy", x)
    run = ROOT / "examples" / "run_library.py"
    without_us(
        run, tmp_path / "tuned.so", f"--input=x={tmp_path / 'x.npy'}", "--save", tmp_path / "outputs.npz"
    )
    session = onnxruntime.InferenceSession(request_.path, providers=["CPUExecutionProvider"])
    with np.load(tmp_path / "outputs.npz") as outputs:
        np.testing.assert_allclose(outputs["arr_0"], session.run(None, {"x": x})[0], rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("model")
def test_an_export_that_is_imported_is_the_same_trials(
    store: Storage, tools: Toolbox, device: DeviceInfo, request_: ModelRequest, tmp_path: Path
) -> None:
    folder = exported(store, tools, request_, tmp_path / "database")
    before = stored(store, device)
    assert import_log(store, tools, folder).imported == 0
    with Storage.open(f"sqlite:///{tmp_path / 'other.db'}") as another:
        report = import_log(another, tools, folder)
        assert (report.imported, report.failed, report.notes) == (len(before), 3, {})
        again = stored(another, device)
    assert {key: trial.times for key, trial in again.items()} == {k: t.times for k, t in before.items()}
    assert {key: trial.trace for key, trial in again.items()} == {k: t.trace for k, t in before.items()}


def test_a_workload_is_exported_under_its_canonical_names(
    store: Storage, tools: Toolbox, device: DeviceInfo, model: ExtractedModel, tmp_path: Path
) -> None:
    key = model.tasks[0].workload.hash
    report = export_log(store, tools, tmp_path / "one", workload=key[:12])
    assert report.workloads == 1
    assert not (tmp_path / "one" / "model.json").exists()
    with Storage.open(f"sqlite:///{tmp_path / 'other.db'}") as another:
        assert import_log(another, tools, tmp_path / "one").imported == report.trials
        assert {workload for workload, _ in stored(another, device)} == {key}


def test_a_trial_that_does_not_apply_any_more_is_left_out_and_named(
    store: Storage, tools: Toolbox, device: DeviceInfo, model: ExtractedModel, tmp_path: Path
) -> None:
    key = model.tasks[0].workload.hash
    stale = Candidate("stale", '[[["NoSuchInstruction",[],[],[]]],[]]')
    store.trials.record([NewTrial(key, device.device_class, stale, Measurement(TrialState.OK, (1e-6,)))])
    report = export_log(store, tools, tmp_path / "database", request=model.request)
    assert len(report.left_out) == 1
    assert report.left_out[0].startswith("candidate stale: its trace does not apply")
    assert report.trials == len(stored(store, device)) - 1
    with pytest.raises(EngineError, match=r"no record of .* can be written"):
        export_log(store, tools, tmp_path / "best", workload=key, best=True)
    assert not (tmp_path / "best").exists()


@pytest.mark.usefixtures("model")
def test_an_export_replaces_an_earlier_one_and_nothing_else(
    store: Storage, tools: Toolbox, request_: ModelRequest, model: ExtractedModel, tmp_path: Path
) -> None:
    folder = exported(store, tools, request_, tmp_path / "database")
    export_log(store, tools, folder, workload=model.tasks[0].workload.hash)
    assert {path.name for path in folder.iterdir()} == {WORKLOADS, RECORDS}
    (folder / "notes.txt").write_text("keep this")
    before = (folder / RECORDS).read_bytes()
    with pytest.raises(UsageError, match=r"holds something else \(notes.txt\)"):
        export_log(store, tools, folder, request=request_)
    assert (folder / RECORDS).read_bytes() == before
    with pytest.raises(UsageError, match="is a file; name the folder"):
        export_log(store, tools, folder / "notes.txt", request=request_)


def test_a_folder_that_can_not_be_written_whole_keeps_its_old_files(tmp_path: Path) -> None:
    folder = tmp_path / "database"
    write_folder(folder, {"a": b"old", "b": b"old"}, ["a", "b"])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(UsageError, match="can't be written: File too large"):
            write_folder(folder, {"a": b"new", "b": bytes(2000)}, ["a", "b"])
        with pytest.raises(UsageError, match="can't be written: File too large"):
            write_folder(tmp_path / "new", {"a": bytes(2000)}, ["a"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"a": b"old", "b": b"old"}
    assert not (tmp_path / "new").exists()
