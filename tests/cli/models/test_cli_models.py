"""Commands about one model."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.storage import NewVerification, Storage
from orchestrator.toolbox import Toolbox
from tests.kit.cli_builders import CPU, Cli, extraction, put_known_model, tuned, workload
from tests.kit.documented import assert_documented
from tests.kit.stand_ins import CannedToolbox
from workers.clients.client import Ask, Start
from workers.enginekit import roles
from workers.messages import DeviceInfo, Extraction, PreparedModel
from workers.reference import Reference

pytestmark = pytest.mark.usefixtures("toolbox")

ROLES = [getattr(roles, name) for name in roles.__all__ if isinstance(getattr(roles, name), type)]


def test_the_stand_in_is_called_like_the_real_one() -> None:
    for name, method in inspect.getmembers(CannedToolbox, inspect.isfunction):
        real = getattr(Toolbox, name)
        if isinstance(real, Ask | Start):
            # A call into a process: what is called there has the signature.
            called = real.method.name
            real = next(getattr(role, called) for role in (*ROLES, Reference) if hasattr(role, called))
        wanted = list(inspect.signature(real).parameters)
        assert list(inspect.signature(method).parameters) == wanted, name


def test_tasks_show_what_is_stored(cli: Cli, model: Path, store: Storage) -> None:
    tuned(store)
    answer = cli("tasks", str(model))
    header, first, *_ = answer.out.splitlines()
    assert header.split() == ["task", "calls", "MFLOP", "trials", "best", "GFLOP/s", "workload"]
    assert first.split() == ["fused_conv2d0", "1", "2.00", "32", "103", "µs", "19.4", "0000abababab"]
    assert "3 of 3 tasks tuned; they add up to 1.44 ms a run" in answer.out


def test_tasks_of_a_model_that_was_never_tuned(cli: Cli, model: Path) -> None:
    answer = cli("tasks", str(model))
    assert answer.code == 0
    assert "0 of 3 tasks tuned" in answer.out


def test_tasks_can_be_narrowed(cli: Cli, model: Path) -> None:
    names = [task["name"] for task in cli("tasks", str(model), "--tasks", "relu", "--json").document["tasks"]]
    assert names == ["fused_conv2d_add_relu1"]
    assert cli("tasks", str(model), "--tasks", "lstm").code == 3
    assert cli("tasks", str(model), "--tasks", "(").code == 2


def test_best_shows_schedules(cli: Cli, model: Path, store: Storage) -> None:
    tuned(store)
    answer = cli("best", str(model), "--tasks", "relu", "--top", "2")
    assert answer.out.count("# schedule of conv2d_add_relu") == 2
    assert "sch.split(l1, factors=[2, 4])" in answer.out
    assert "sch.split" not in cli("best", str(model), "--no-trace").out


def test_best_of_a_workload_needs_no_model(cli: Cli, store: Storage) -> None:
    tuned(store)
    document = cli("best", "--workload", "0001", "--no-trace", "--top", "3", "--json").document
    (task,) = document["tasks"]
    costs = [trial["cost_s"] for trial in task["best"]]
    assert task["name"] == "conv2d_add_relu"
    assert costs == sorted(costs)
    assert len(costs) == 3


def test_best_of_nothing_is_not_found(cli: Cli, model: Path, store: Storage) -> None:
    assert cli("best", "--workload", "ffff").code == 3
    answer = cli("best", str(model))
    assert answer.code == 3
    assert "nothing is stored for squeezenet" in answer.err


def test_best_wants_a_model_or_a_workload_or_neither(cli: Cli, model: Path) -> None:
    assert cli("best", str(model), "--workload", "00").code == 2
    assert cli("best", str(model), "--device", "x", "--target", "auto").code == 2
    for option in (["--top", "2"], ["--target", "auto"], ["--input-shape", "x:1"]):
        answer = cli("best", *option)
        assert answer.code == 2
        assert "are for a model or a workload; name one" in answer.err


def test_best_of_a_model_on_a_device_that_is_stored(cli: Cli, model: Path, store: Storage) -> None:
    tuned(store)
    answer = cli("best", str(model), "--device", "amd-epyc", "--no-trace", "--json")
    assert [task["best"][0]["device_class"] for task in answer.document["tasks"]] == [CPU.device_class] * 3
    answer = cli("best", "--workload", "0001", "--device", "h100")
    assert answer.code == 3
    assert f"no device class 'h100' is stored; there are: {CPU.device_class}" in answer.err


def test_a_model_that_the_store_knows_is_not_read_again(cli: Cli, model: Path, store: Storage) -> None:
    class Reader(CannedToolbox):
        def prepare(self, path: str, shapes: Mapping[str, tuple[int, ...]]) -> PreparedModel:
            raise AssertionError(f"{path} is known")

        def extract(self, model: PreparedModel, target: str) -> Extraction:
            raise AssertionError("its tasks are known")

    tuned(store)
    put_known_model(store, model)
    cli.launch(toolbox=Reader)
    for words in (["tasks"], ["best"], ["records", "export", "-o", "all.jsonl"]):
        answer = cli(*words, str(model))
        assert answer.code == 0, answer.err


def test_tasks_that_another_version_of_the_engine_found_are_looked_for_anew(
    cli: Cli, model: Path, store: Storage
) -> None:
    known = put_known_model(store, model)
    old = replace(extraction(2), engine_version="tvm-0.26.0-1")
    store.extractions.put(known, "metaschedule", CPU.target, old)
    assert len(cli("tasks", str(model), "--json").document["tasks"]) == 3


def test_tasks_say_in_which_layout_they_are_and_why(
    cli: Cli, model: Path, toolbox: type[CannedToolbox]
) -> None:
    asked: list[str] = []
    chosen = extraction(3)

    def extract(self: CannedToolbox, model: PreparedModel, target: str) -> Extraction:
        asked.append(model.layout)
        return chosen if model.layout == "auto" else replace(chosen, layout=model.layout, layout_reason="")

    toolbox.extract = extract  # type: ignore[method-assign]
    said = " ".join(cli("tasks", str(model)).out.split())
    assert "layout blocked: convolutions and transforms are estimated to take blocks 1.2 ms" in said
    assert "layout nchw" in cli("tasks", str(model), "--layout", "nchw").out
    assert cli("tasks", str(model), "--layout", "nchw", "--json").document["layout"] == "nchw"
    # Each is extracted once, and found again.
    assert cli("tasks", str(model), "--layout", "auto", "--json").document["layout"] == "blocked"
    assert asked == ["auto", "nchw"]
    assert cli("tasks", str(model), "--layout", "rows").code == 2


def test_the_best_of_a_known_model_on_a_stored_device_is_asked_of_the_store_alone(
    cli: Cli, model: Path, store: Storage
) -> None:
    class Silent(CannedToolbox):
        def resolve_target(self, spec: str) -> DeviceInfo:
            raise AssertionError("the device is stored")

        def engine_version(self) -> str:
            raise AssertionError("the tasks are stored")

    tuned(store)
    put_known_model(store, model)
    cli.launch(toolbox=Silent)
    answer = cli("best", str(model), "--device", "amd-epyc", "--no-trace", "--json")
    assert answer.code == 0, answer.err
    assert [task["best"][0]["device_class"] for task in answer.document["tasks"]] == [CPU.device_class] * 3


def test_build_says_what_it_is_built_from(cli: Cli, model: Path, store: Storage, tmp_path: Path) -> None:
    tuned(store)
    answer = cli("build", str(model), "-o", "lib.so", "--params", "lib.npz")
    assert answer.code == 0, answer.err
    assert "fused_conv2d0                         1      32  103 µs  103 µs  just now" in answer.out
    assert "wrote lib.so\nwrote lib.npz\n" in answer.out
    assert (tmp_path / "lib.so").read_bytes().startswith(b"library")
    assert (tmp_path / "lib.npz").read_bytes() == b"params"


def test_build_marks_what_is_untuned(cli: Cli, model: Path) -> None:
    answer = cli("build", str(model), "-o", "lib.so")
    assert answer.code == 0
    assert answer.out.count("untuned") == 3
    assert "3 of 3 tasks are untuned and slow" in answer.err


def test_build_says_which_records_it_set_aside(
    cli: Cli,
    model: Path,
    store: Storage,
    toolbox: type[CannedToolbox],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tuned(store)
    first, second, *_ = store.trials.best(workload(0).hash, CPU.device_class, 3)
    monkeypatch.setattr(toolbox, "unbuildable", frozenset({first.candidate}))
    answer = cli("build", str(model), "-o", "lib.so")
    assert answer.code == 0, answer.err
    header, row, *_ = answer.out.splitlines()
    assert header.split()[:8] == ["task", "calls", "trials", "best", "a", "run", "set", "aside"]
    assert row.split()[-3:] == ["1", "just", "now"]
    said = " ".join(answer.err.split())
    assert f"record {first.id} of fused_conv2d0" in said
    assert "can't be built: InternalError while compiling: no such instruction" in said
    document = cli("build", str(model), "-o", "lib.so", "--json").document
    assert_documented(document)
    (task,) = (task for task in document["tasks"] if task["set_aside"])
    assert (task["trial_id"], task["set_aside"][0]["trial_id"]) == (second.id, first.id)
    assert cli("bench", str(model)).code == 0


def test_build_can_insist_on_completeness(cli: Cli, model: Path, tmp_path: Path) -> None:
    answer = cli("build", str(model), "-o", "lib.so", "--require-complete")
    assert answer.code == 1
    assert "3 of 3 tasks of squeezenet have no record" in answer.err
    assert "fused_conv2d_add_relu1 (0001abababab)" in answer.err
    assert not (tmp_path / "lib.so").exists()


def test_build_needs_a_place_to_write(cli: Cli, model: Path) -> None:
    assert cli("build", str(model)).code == 2
    answer = cli("build", str(model), "-o", "nowhere/lib.so")
    assert answer.code == 2
    assert "there is no folder" in answer.err


def test_bench_puts_all_three_side_by_side(cli: Cli, model: Path, store: Storage) -> None:
    tuned(store)
    answer = cli("bench", str(model), "--rounds", "2")
    assert answer.code == 0, answer.err
    assert "tuned        10.00 ms  10.00 to 10.00 ms     4.00x                  1.33x" in answer.out
    # What only counts on is said once where nobody watches.
    assert answer.err.count("timing squeezenet, turn") == 1


def test_bench_on_a_board_has_no_time_of_onnxruntime(cli: Cli, model: Path, store: Storage) -> None:
    board = ("--device", "board", "--target", "llvm -num-cores=2", "--tracker", "10.0.0.10:9190")
    answer = cli("bench", str(model), *board)
    assert answer.code == 0, answer.err
    assert "untuned  40.00 ms                  -     1.00x    10\n" in answer.out
    assert "agree with onnxruntime" in answer.out
    assert "of onnxruntime's time" not in answer.out
    assert "--target 'llvm -num-cores=2' --device board" in answer.err
    report = cli("bench", str(model), *board, "--json").document["report"]
    assert (report["reference_s"], report["reference_ratio"], report["outputs_agree"]) == (None, None, True)
    assert cli("bench", str(model), *board[:4]).code == 2
    assert cli("bench", str(model), *board[:2], *board[4:]).code == 2


def test_bench_fails_where_outputs_differ(
    cli: Cli, model: Path, store: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned(store)
    monkeypatch.setattr(CannedToolbox, "agree", False)
    answer = cli("bench", str(model), "--json")
    assert answer.code == 1
    assert answer.document["report"]["outputs_agree"] is False
    assert "computes something else than onnxruntime: output 'y' is off by 2" in answer.err


def test_run_says_what_came_out_and_whether_it_is_right(
    cli: Cli, model: Path, store: Storage, toolbox: type[CannedToolbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned(store)
    assert cli("build", str(model), "-o", "m.so").code == 0
    answer = cli("run", "m.so", "--check", str(model), "--repeat", "4", "-o", "out.npz")
    assert answer.code == 0, answer.err
    assert "median of 4 times" in answer.out
    assert "agree with onnxruntime" in answer.out
    assert "1x1000" not in answer.out  # what came out counts, not what was promised
    assert "wrote" in answer.out
    monkeypatch.setattr(toolbox, "agree", False)
    wrong = cli("run", "m.so", "--check", str(model))
    assert wrong.code == 1
    assert "m.so computes something else than onnxruntime: output 'y' is off by 2" in wrong.err


@pytest.mark.usefixtures("toolbox")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing.so"], "there is no library"),
        (["squeezenet.onnx"], "says nothing of itself"),
        (["m.so", "--input", "x"], "not of the form NAME=FILE.npy"),
        (["m.so", "--input", "x=a.npy", "--input", "x=b.npy"], "names an input twice"),
        (["m.so", "--input", "z=m.so"], "holds no numpy array"),
        (["m.so", "-o", "nowhere/out.npz"], "there is no folder"),
    ],
)
def test_run_refuses_what_can_not_be(
    cli: Cli, model: Path, store: Storage, words: list[str], said: str
) -> None:
    tuned(store)
    assert cli("build", str(model), "-o", "m.so").code == 0
    answer = cli("run", *words)
    assert answer.code == 2
    assert said in answer.err


def test_a_comparison_keeps_what_a_campaign_learned_of_compiling_the_model(
    cli: Cli, model: Path, store: Storage
) -> None:
    tuned(store)
    model_id, costs = store.models.newest(1)[0].id, {"compile_s": 42.0}
    known = NewVerification(model_id, CPU.device_class, "key", tuned_s=1.0, details={"costs_s": costs})
    store.verifications.put(known)
    for _ in range(2):
        assert cli("bench", str(model)).code == 0
    latest = store.verifications.latest(model_id, CPU.device_class)
    assert latest is not None
    assert latest.tuned_s != 1.0
    assert latest.details["costs_s"] == costs
