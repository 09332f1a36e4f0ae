"""The log of AutoTVM: what stock AutoTVM writes is read, and what is written stock AutoTVM reads."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from orchestrator.builds import build_model
from orchestrator.errors import NotFoundError, UsageError
from orchestrator.models.extraction import ExtractedModel, extract_model
from orchestrator.models.request import ModelRequest
from orchestrator.records.log_export import export_log
from orchestrator.records.log_import import import_log
from orchestrator.storage import NewTrial, Storage, TrialRow
from orchestrator.toolbox import Toolbox
from workers.environments import EngineEnvironment
from workers.messages import DeviceInfo, Measurement, RecordChoice, TrialState

Stock = Callable[..., list[Any]]


@pytest.fixture(scope="module")
def stock(autotvm_environment: EngineEnvironment) -> Stock:
    """Runs stock AutoTVM and returns the JSON lines it wrote."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*words: object) -> list[Any]:
        script = Path(__file__).with_name("stock.py")
        line = [str(autotvm_environment.python), str(script), *map(str, words)]
        done = subprocess.run(line, capture_output=True, text=True, env=clean, timeout=120)
        assert done.returncode == 0, done.stderr
        return [json.loads(text) for text in done.stdout.splitlines()]

    return run


@pytest.fixture(scope="module")
def tools(autotvm_environment: EngineEnvironment) -> Iterator[Toolbox]:
    assert autotvm_environment.ready
    with Toolbox("autotvm") as opened:
        yield opened


@pytest.fixture(scope="module")
def device(tools: Toolbox) -> DeviceInfo:
    return tools.resolve_target("auto")


@pytest.fixture(scope="module")
def written(stock: Stock, device: DeviceInfo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log that stock AutoTVM wrote: four good lines and one that timed out."""
    path = tmp_path_factory.mktemp("stock") / "stock.log"
    stock("write", path, device.target)
    return path


@pytest.fixture
def log(written: Path, tmp_path: Path) -> Path:
    """The same, to be spoilt."""
    return Path(shutil.copy(written, tmp_path / "tuning.log"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Storage]:
    with Storage.open(f"sqlite:///{tmp_path / 'records.db'}") as opened:
        yield opened


@pytest.fixture(scope="module")
def request_(tmp_path_factory: pytest.TempPathFactory) -> ModelRequest:
    """A model of the convolution that the log is about."""
    weights = np.random.default_rng(0).standard_normal((16, 8, 3, 3)).astype("float32")
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])],
        "convolution",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8, 12, 12])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 16, 12, 12])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    path = tmp_path_factory.mktemp("model") / "convolution.onnx"
    onnx.save(model, path)
    return ModelRequest(path=str(path))


def extracted(store: Storage, tools: Toolbox, request: ModelRequest, device: DeviceInfo) -> ExtractedModel:
    return extract_model(store, tools, request, device)


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def save(path: Path, lines: list[Any]) -> None:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))


def stored(store: Storage, device: DeviceInfo) -> dict[str, TrialRow]:
    """All trials, by their configuration."""
    return {
        json.dumps(json.loads(trial.trace or "")): trial
        for row in store.workloads.search()
        for trial in store.trials.of_workload(row.hash, device.device_class)
    }


def config_of(line: dict[str, Any]) -> str:
    return json.dumps(line["config"])


def test_what_stock_wrote_is_imported_line_by_line(
    store: Storage, tools: Toolbox, device: DeviceInfo, request_: ModelRequest, log: Path
) -> None:
    report = import_log(store, tools, log)
    assert report.device_class == device.device_class
    assert report.targets == (device.target,)
    assert (report.lines, report.imported, report.failed, report.workloads) == (5, 5, 1, 1)
    (task,) = extracted(store, tools, request_, device).tasks
    by_config = stored(store, device)
    trials = [by_config[config_of(line)] for line in lines_of(log)]
    for trial, line in zip(trials, lines_of(log), strict=True):
        assert trial.workload_hash == task.workload.hash
        assert trial.campaign_id is None
        assert trial.versions == {"imported": "tuning.log", "tvm": line["tvm_version"]}
    assert [trial.times for trial in trials[:4]] == [(s,) * 3 for s in (4e-4, 1e-4, 3e-4, 2e-4)]
    assert (trials[4].state, trials[4].times) == (TrialState.RUN_TIMEOUT, ())
    assert trials[4].message == "AutoTVM error 7 (RUN_TIMEOUT)"
    assert len({trial.token for trial in trials}) == 5
    assert store.workloads.get(task.workload.hash) == task.workload


def test_a_second_import_adds_nothing(store: Storage, tools: Toolbox, device: DeviceInfo, log: Path) -> None:
    import_log(store, tools, log)
    save(log, [*lines_of(log), lines_of(log)[0]])
    report = import_log(store, tools, log)
    assert (report.imported, report.stored_before, report.repeated) == (0, 5, 1)
    assert len(stored(store, device)) == 5


def test_of_two_lines_of_a_candidate_the_one_that_succeeded_counts(
    store: Storage, tools: Toolbox, device: DeviceInfo, log: Path
) -> None:
    good, *_ = lines_of(log)
    failed = {**good, "result": [[1e9], 4, 1.0, 1.7e9]}
    save(log, [failed, good, {**good, "result": [[9.0], 0, 1.0, 1.7e9]}])
    report = import_log(store, tools, log)
    assert (report.imported, report.failed, report.repeated) == (1, 0, 2)
    assert [trial.times for trial in stored(store, device).values()] == [(4e-4,) * 3]


def test_a_dry_run_stores_nothing(store: Storage, tools: Toolbox, device: DeviceInfo, log: Path) -> None:
    report = import_log(store, tools, log, dry_run=True)
    assert (report.imported, report.dry_run) == (5, True)
    assert store.workloads.search() == []
    assert store.device_classes.find(device.device_class) is None


def test_broken_lines_are_named_by_number_and_reason(
    store: Storage, tools: Toolbox, device: DeviceInfo, log: Path
) -> None:
    good, *_ = lines_of(log)
    target, name, args, kwargs = good["input"]
    entity = good["config"]["entity"]
    other = [[key, kind, [-1, 5] if kind == "sp" else value] for key, kind, value in entity]

    def config(**changes: Any) -> dict[str, Any]:
        return {**good, "config": {**good["config"], **changes}}

    broken = [
        (json.dumps(good)[:-20], "it is no JSON"),
        ("[1, 2]", "it is no JSON object"),
        ({**good, "v": 0.1}, "version 0.1"),
        ({key: value for key, value in good.items() if key != "config"}, "it has no 'config'"),
        ({**good, "input": [target, name]}, "its 'input' is not"),
        ({**good, "input": ["abacus", name, args, kwargs]}, "doesn't know the target 'abacus'"),
        ({**good, "input": [target, "conv9d", args, kwargs]}, "has no template 'conv9d'"),
        ({**good, "input": [target, name, args[:2], kwargs]}, f"its task {name} can't be created"),
        ({**good, "input": ["cuda -arch=sm_80", name, args, kwargs]}, "it was measured for cuda"),
        (config(entity=entity[1:]), f"where {name} leaves open {entity[0][0]}"),
        (config(entity=other), f"for {entity[0][0]}, which can't be"),
        (config(entity="none"), "its 'config' can't be read"),
        ({**good, "result": [[1e-4], 12, 0.5, 1.7e9]}, "its 'result' is not"),
        ({**good, "result": [[], 0, 0.5, 1.7e9]}, "its times are []"),
        ({**good, "result": [[float("nan")], 0, 0.5, 1.7e9]}, "its times are [NaN]"),
    ]
    # Comments and empty lines count as lines, and are none that is bad.
    save(log, ["# of last week", "", *(line for line, _ in broken), good])
    with pytest.raises(
        UsageError, match=rf"^{len(broken)} of {len(broken) + 1} lines of tuning.log"
    ) as caught:
        import_log(store, tools, log)
    said = str(caught.value).splitlines()[1:]
    assert len(said) == len(broken)
    for number, (text, (_, reason)) in enumerate(zip(said, broken, strict=True), 3):
        assert text.startswith(f"  line {number}: ")
        assert reason in text
    assert store.workloads.search() == []
    report = import_log(store, tools, log, skip_bad=True)
    assert [line.number for line in report.bad] == list(range(3, 3 + len(broken)))
    assert (report.imported, len(stored(store, device))) == (1, 1)


def test_a_log_of_one_kind_of_device_is_not_filed_under_another(
    store: Storage, tools: Toolbox, log: Path
) -> None:
    with pytest.raises(UsageError, match="5 of 5 lines") as caught:
        import_log(store, tools, log, target="cuda -arch=sm_80")
    assert "line 1: it was measured for cpu (llvm" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "there is no file"), (b"# nothing\n\n", "holds no record"), (b"\xff\xfe\x00", "is no text")],
)
def test_a_file_that_is_no_log_is_refused(
    store: Storage, tools: Toolbox, tmp_path: Path, content: bytes | None, said: str
) -> None:
    path = tmp_path / "some.log"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=said):
        import_log(store, tools, path)


def test_the_next_build_uses_what_was_imported(
    store: Storage, tools: Toolbox, device: DeviceInfo, request_: ModelRequest, log: Path, tmp_path: Path
) -> None:
    import_log(store, tools, log)
    report = build_model(
        store, tools, request_, tmp_path / "lib.so", weigh_layouts=False, require_complete=True
    )
    (task,) = report.coverage.tasks
    assert (report.coverage.tuned, task.trials, task.failures, task.best_s) == (1, 5, 1, 1e-4)
    (record,) = report.coverage.records.values()
    assert json.loads(record.candidate.trace) == lines_of(log)[1]["config"]
    model = extracted(store, tools, request_, device)
    compiled = tools.compile(
        model.prepared, device.target, RecordChoice("", report.coverage.records)
    ).result()
    assert (compiled.tuned, compiled.untuned) == ((task.workload_hash,), ())


@pytest.mark.parametrize("best", [False, True])
def test_stock_reads_an_export_and_takes_the_best(
    store: Storage,
    tools: Toolbox,
    device: DeviceInfo,
    request_: ModelRequest,
    stock: Stock,
    log: Path,
    tmp_path: Path,
    best: bool,
) -> None:
    import_log(store, tools, log)
    path = tmp_path / "out.log"
    report = export_log(store, tools, path, request=request_, best=best)
    assert (report.trials, report.failed, report.missing) == ((1, 0, ()) if best else (5, 1, ()))
    fastest = lines_of(log)[1]
    assert stock("read", path, device.target) == [
        {"task": fastest["input"][1], "entity": fastest["config"]["entity"]}
    ]


def test_an_export_is_what_stock_had_written(
    store: Storage, tools: Toolbox, log: Path, tmp_path: Path
) -> None:
    import_log(store, tools, log)
    (workload,) = store.workloads.search()
    path = tmp_path / "out.log"
    export_log(store, tools, path, workload=workload.hash[:8])
    for old, new in zip(*(sorted(lines_of(file), key=config_of) for file in (log, path)), strict=True):
        assert {**new, "result": new["result"][:2]} == {**old, "result": old["result"][:2]}


def test_failures_keep_number_and_message_both_ways(
    store: Storage, tools: Toolbox, device: DeviceInfo, stock: Stock, log: Path, tmp_path: Path
) -> None:
    good, other, third, fourth, _ = lines_of(log)
    cost = [[1e9], 0, 10.0, 1.7e9]
    save(
        log,
        [
            {**good, "result": [cost[0], 1, *cost[2:]], "message": "too many threads\nin a block"},
            {**other, "result": [cost[0], 8, *cost[2:]]},
        ],
    )
    import_log(store, tools, log)
    by_config = stored(store, device)
    first, second = by_config[config_of(good)], by_config[config_of(other)]
    assert (first.state, second.state) == (TrialState.BUILD_ERROR, TrialState.RUN_ERROR)
    assert first.message == "AutoTVM error 1 (INSTANTIATION_ERROR): too many threads\nin a block"
    assert second.message == "AutoTVM error 8 (UNKNOWN_ERROR)"
    # And two that were measured here, by the same TVM, for which there was never a number.
    same = {"tvm": first.versions["tvm"]}
    own = [(third, TrialState.DEVICE_LOST, "it is gone"), (fourth, TrialState.BUILD_TIMEOUT, "killed")]
    spare = tmp_path / "spare.log"
    save(spare, [line for line, *_ in own])
    records = tools.read_log({"": spare.read_text()}, device.target)
    for line, (_, state, message) in zip(records, own, strict=True):
        assert line.record is not None
        failed = Measurement(state, (), message)
        store.trials.record(
            [NewTrial(first.workload_hash, device.device_class, line.record.candidate, failed, versions=same)]
        )
    path = tmp_path / "out.log"
    report = export_log(store, tools, path, workload=first.workload_hash)
    assert (report.trials, report.failed) == (4, 4)
    assert {config_of(line): (line["result"][1], line.get("message")) for line in lines_of(path)} == {
        config_of(good): (1, "too many threads\nin a block"),
        config_of(other): (8, None),
        config_of(third): (4, "it is gone"),
        config_of(fourth): (6, "killed"),
    }
    # The message is a field more than stock knows, and it reads the line all the same.
    assert sorted(stock("decode", path)) == [[n, [1e9]] for n in (1, 4, 6, 8)]
    with Storage.open(f"sqlite:///{tmp_path / 'other.db'}") as another:
        import_log(another, tools, path)
        again = stored(another, device)
    for written, trial in ((good, first), (other, second)):
        assert again[config_of(written)].state is trial.state
        assert again[config_of(written)].message == trial.message
    assert again[config_of(fourth)].state is TrialState.BUILD_TIMEOUT
    assert again[config_of(fourth)].message == "AutoTVM error 6 (BUILD_TIMEOUT): killed"


def test_an_export_of_nothing_writes_nothing(
    store: Storage, tools: Toolbox, request_: ModelRequest, tmp_path: Path
) -> None:
    path = tmp_path / "out.log"
    with pytest.raises(NotFoundError, match="no trial of convolution is stored"):
        export_log(store, tools, path, request=request_)
    assert not path.exists()


def test_a_folder_is_no_log_of_a_single_file(store: Storage, tools: Toolbox, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder; a log of the autotvm engine is a file"):
        import_log(store, tools, tmp_path)
