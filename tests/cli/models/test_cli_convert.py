"""A framework's model on the command line: converted, and named wherever a model is."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from orchestrator.builds import forms
from orchestrator.conversion.faster import FormTimes
from orchestrator.storage import Storage
from tests.kit.cli_builders import CPU, Cli, extraction, prepared, put_campaign
from tests.kit.documented import assert_documented
from tests.kit.float_networks import float_network, samples
from tests.kit.stand_ins import CannedToolbox
from tests.kit.toys import TOYS, toy
from workers.messages import Origin


@pytest.fixture(autouse=True)
def _toys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEFLEET_CONVERTER_PATH", str(TOYS))


def test_convert_writes_a_file_and_says_what_became_of_the_source(cli: Cli, tmp_path: Path) -> None:
    toy(tmp_path / "net.toy", "rows ?")
    answer = cli("convert", "net.toy", "-o", "out.onnx")
    assert answer.code == 0, answer.err
    lines = [line.split(maxsplit=1) for line in answer.out.splitlines()]
    facts = {words[0]: words[1].strip() for words in lines if len(words) == 2}
    assert facts["source"] == "net.toy  (Toy file)"
    assert (facts["framework"], facts["exporter"].split()[0]) == ("Toy 1.0", "operators")
    assert (facts["takes"], facts["note"]) == ("x nx3 float32", "toys are small")
    assert facts["compared"].startswith("off by ")
    assert facts["toy.plain"].split() == ["1", "0", "0", "0", "yes"]
    assert facts["wrote"] == "out.onnx"
    again = cli("convert", "net.toy", "-o", "again.onnx")
    assert "earlier, from the same content" in again.out
    assert (tmp_path / "again.onnx").read_bytes() == (tmp_path / "out.onnx").read_bytes()


def test_what_is_converted_is_named_wherever_a_model_is(cli: Cli, store: Storage, tmp_path: Path) -> None:
    toy(tmp_path / "net.toy")
    answer = cli("submit", "net.toy", "--trials", "8")
    assert answer.code == 0, answer.err
    assert "net.toy: converted, by toy.plain" in answer.err
    (row,) = store.campaigns.models(1)
    # It stays where a coordinator finds it, whatever becomes of the source.
    (tmp_path / "net.toy").unlink()
    assert Path(row.path).is_file()
    assert Path(row.path).is_relative_to(tmp_path / "data" / "tunefleet" / "converted")
    toy(tmp_path / "net.toy")
    cli.launch(toolbox=CannedToolbox)
    for words in (["tasks"], ["best", "--no-trace"], ["history"]):
        asked = cli(*words, "net.toy")
        assert "net.toy: was converted before, by toy.plain" in asked.err, (words, asked.err)


@pytest.mark.slow
def test_how_it_is_converted_is_said_wherever_a_model_is_named(
    cli: Cli, store: Storage, tmp_path: Path
) -> None:
    toy(tmp_path / "net.toy")
    answer = cli("submit", "net.toy", "--trials", "8", "--exporter", "roundabout", "--framework", "toy")
    assert answer.code == 0, answer.err
    assert "net.toy: converted, by toy.roundabout" in answer.err
    cli.launch(toolbox=CannedToolbox)
    # A command to copy means the same file.
    asked = cli("best", "net.toy", "--no-trace", "--exporter", "roundabout")
    assert "net.toy: was converted before, by toy.roundabout" in asked.err
    assert "tune net.toy --exporter roundabout " in asked.err
    (tmp_path / "net.onnx").write_bytes(b"\x08\x08")
    for words, why in (
        (
            ["net.toy", "--exporter", "dynamo"],
            "the toy converter has none of that name; it has roundabout",
        ),
        (["net.toy", "--signature", "serve"], "net.toy (Toy file) holds one model alone"),
        (["net.onnx", "--exporter", "plain"], "--exporter is for a framework's model; net.onnx is tuned and"),
    ):
        answer = cli("tasks", *words)
        assert answer.code == 2
        assert why in answer.err


def test_code_is_not_run_unless_it_is_trusted(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "zoo.py").write_text("raise SystemExit('it ran')\nimport toy\n")
    for words in (
        ["convert", "zoo.py:net", "-o", "net.onnx"],
        ["tasks", "zoo.py:net"],
        ["submit", "zoo.py:net"],
    ):
        answer = cli(*words)
        assert answer.code == 2
        assert (
            "a function is run to get its model; add --trust where you trust whoever wrote it" in answer.err
        )
    answer = cli("convert", "zoo.py:net", "-o", "net.onnx", "--trust")
    assert "it ran" in answer.err
    assert not (tmp_path / "net.onnx").exists()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["gone.pt2", "-o", "a.onnx"], "there is no file gone.pt2, and it isn't of the form package.module"),
        (["folder", "-o", "a.onnx"], "folder is a folder that no converter knows; `tunefleet converters`"),
        (["notes.txt", "-o", "a.onnx"], "notes.txt is nothing that a converter knows"),
        (["net.onnx", "-o", "a.onnx"], "net.onnx is an ONNX file already: tune it as it is"),
        (["net.toy", "-o", "nowhere/a.onnx"], "there is no folder"),
        (["net.toy", "-o", "net.toy"], "net.toy is what is read; name another file to write"),
        (["net.toy", "-o", "a.onnx", "--framework", "caffe"], "there is no converter 'caffe'"),
        (["net.toy", "-o", "a.onnx", "--timeout", "soon"], "soon"),
    ],
)
def test_what_cannot_be_converted_is_refused_in_a_line(
    cli: Cli, tmp_path: Path, words: list[str], why: str
) -> None:
    toy(tmp_path / "net.toy")
    (tmp_path / "folder").mkdir()
    (tmp_path / "notes.txt").write_text("nothing")
    (tmp_path / "net.onnx").write_bytes(b"\x08\x08")
    answer = cli("convert", *words)
    assert answer.code == 2
    assert why in answer.err
    assert not (tmp_path / "a.onnx").exists()


def test_a_converter_that_is_not_installed_is_named_with_its_price(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "converters" / "boxed"
    package.mkdir(parents=True)
    text = (TOYS / "toy" / "__init__.py").read_text()
    (package / "__init__.py").write_text(text.replace("toy", "boxed"))
    (package / "requirements.txt").write_text("# python: 3.99\nnumpy==2.0\n")
    monkeypatch.setenv("TUNEFLEET_CONVERTER_PATH", str(package.parent))
    (tmp_path / "net.bin").write_text("boxed model\n")
    answer = cli("tasks", "net.bin")
    assert answer.code == 2
    assert "net.bin is for the boxed converter (Toy file)" in answer.err
    assert "`tunefleet converters install boxed`" in answer.err
    assert "(installing takes 0.0 GB, about 0.5 min)" in answer.err
    assert "numpy" not in cli("converters", "--json").document["converters"][-1]["versions"]


def test_a_folder_or_a_pipe_that_no_converter_knows_is_refused_as_before(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    answer = cli("tasks", "folder")
    assert answer.code == 2
    assert "folder is a folder; name the ONNX file in it" in answer.err


def test_show_names_what_a_model_was_converted_from(cli: Cli, store: Storage) -> None:
    origin = Origin("squeezenet.pt2", "PyTorch 2.13.0", "torch.onnx.export(dynamo=True)")
    store.device_classes.put("metaschedule", CPU)
    model_id = store.models.put(dataclasses.replace(prepared(), origin=origin), "/models/squeezenet.onnx")
    store.extractions.put(model_id, "metaschedule", CPU.target, extraction(3))
    campaign = put_campaign(store)
    store.leases.acquire(campaign, "me", 60.0)
    store.campaigns.set_model(campaign, 0, model_id)
    shown = cli("show", str(campaign)).out
    assert "squeezenet.pt2 of PyTorch 2.13.0, by torch.onnx.export(dynamo=True)" in shown
    (model,) = cli("show", str(campaign), "--json").document["models"]
    assert model["origin"] == dataclasses.asdict(origin)


@pytest.mark.slow
def test_an_onnx_file_gets_another_precision_wherever_a_model_is_named(
    cli: Cli, store: Storage, tmp_path: Path
) -> None:
    float_network(tmp_path / "net.onnx")
    samples(tmp_path / "data.npz")
    how = ["--precision", "int8", "--calibration", "data.npz", "--max-error", "5%"]
    answer = cli("convert", "net.onnx", "-o", "net.int8.onnx", *how)
    assert answer.code == 0, answer.err
    assert "with all 3 layers in int8" in answer.out
    assert "on 2 other samples, with float32 in onnxruntime" in answer.out
    assert "wrote net.int8.onnx" in answer.out
    again = cli("convert", "net.onnx", "-o", "again.onnx", *how, "--json")
    assert_documented(again.document)
    assert (again.document["remembered"], again.document["precision"]["precision"]) == (True, "int8")
    assert (tmp_path / "again.onnx").read_bytes() == (tmp_path / "net.int8.onnx").read_bytes()

    answer = cli("submit", "net.onnx", "--trials", "8", *how)
    assert answer.code == 0, answer.err
    assert "net.onnx: int8 (converted before): it is off by " in answer.err
    (row,) = store.campaigns.models(1)
    assert Path(row.path).name == "net.int8.onnx"
    assert Path(row.path).is_relative_to(tmp_path / "data" / "tunefleet" / "converted")


@pytest.mark.slow
def test_what_auto_leaves_in_float32_is_written_as_it_is(cli: Cli, tmp_path: Path) -> None:
    float_network(tmp_path / "net.onnx")
    toy(tmp_path / "net.toy")
    for source in ("net.onnx", "net.toy"):
        answer = cli("convert", source, "-o", f"{source}.onnx", "--precision", "auto", "--json")
        assert answer.code == 0, answer.err
        assert_documented(answer.document)
        assert answer.document["precision"]["precision"] == "float32"
    assert (tmp_path / "net.onnx.onnx").read_bytes() == (tmp_path / "net.onnx").read_bytes()


@pytest.mark.slow
def test_a_library_is_built_of_what_the_precision_came_to(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    float_network(tmp_path / "net.onnx")
    samples(tmp_path / "data.npz")
    how = ["--precision", "auto", "--calibration", "data.npz", "--max-error", "5%"]
    monkeypatch.setattr(forms, "time_forms", lambda *_: FormTimes(3e-3, 2e-3, 0.66))
    answer = cli("build", "net.onnx", "-o", "net.so", *how, "--json")
    assert answer.code == 0, answer.err
    assert answer.document["model"] == "net.int8"
    assert answer.document["origin"]["exporter"].startswith("int8 by onnxruntime ")
    told = cli("run", "net.so", "--json").document
    assert told["origin"] == answer.document["origin"]
    assert "net.onnx: int8: it takes 2 ms in int8 and 3 in float32 (0.66) on " in answer.err
    # What was tuned in float32 is no record of these.
    names = {task["name"] for task in answer.document["tasks"]}
    assert any("quantize" in name for name in names), names


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (
            ["--calibration", "data.npz"],
            "--calibration is for a model that is converted to another precision",
        ),
        (["--precision", "float32", "--max-error", "1%"], "--max-error is for a model that is converted"),
        (["--precision", "int8", "--max-error", "much"], "--max-error 'much' is no part of a whole"),
        (["--precision", "int8", "--max-error", "100%"], "--max-error '100%' is no part of a whole"),
        (["--precision", "int4"], "'int4' is not one of"),
    ],
)
def test_a_precision_that_cannot_be_had_is_refused_in_a_line(
    cli: Cli, tmp_path: Path, words: list[str], why: str
) -> None:
    float_network(tmp_path / "net.onnx")
    samples(tmp_path / "data.npz")
    for command in (["convert", "net.onnx", "-o", "a.onnx"], ["tasks", "net.onnx"]):
        answer = cli(*command, *words)
        assert answer.code == 2
        assert why in " ".join(answer.err.replace("│", " ").split())
        assert not (tmp_path / "a.onnx").exists()


def test_a_target_without_an_instruction_for_integers_stays_in_float32(cli: Cli, tmp_path: Path) -> None:
    float_network(tmp_path / "net.onnx")
    samples(tmp_path / "data.npz")
    # It says of its CPU nothing of the kind, and can't quantize.
    cli.launch(toolbox=CannedToolbox)
    answer = cli("tasks", "net.onnx", "--precision", "auto", "--calibration", "data.npz")
    assert answer.code == 0, answer.err
    for numbers in ("integers", "bfloat16"):
        assert f"the metaschedule engine knows no instruction for {numbers} on" in answer.err
    assert "net.onnx: float32: the metaschedule" in answer.err
    # Asked for, it is quantized all the same.
    asked = cli("tasks", "net.onnx", "--precision", "int8", "--calibration", "data.npz")
    assert "net.onnx: int8 is slower than float32 here: the metaschedule engine knows no instr" in asked.err


def test_auto_is_decided_for_the_target_or_the_device_that_a_command_names(
    cli: Cli, store: Storage, tmp_path: Path
) -> None:
    float_network(tmp_path / "net.onnx")
    samples(tmp_path / "data.npz")
    (tmp_path / "tuning.log").write_text("")
    store.device_classes.put("metaschedule", CPU)
    cli.launch(toolbox=CannedToolbox)
    board, engine = "llvm -mcpu=cortex-a72", ["--engine", "metaschedule"]
    for target, words in (
        (board, ["best", "net.onnx", "--no-trace", "--target", board]),
        (board, ["records", "export", "net.onnx", "-o", "net.jsonl", "--target", board]),
        (board, ["records", "export", "net.onnx", "-o", "net.log", "--target", board, *engine]),
        (board, ["records", "import", "tuning.log", "--model", "net.onnx", "--target", board, *engine]),
        (board, ["records", "revalidate", "net.onnx", "--target", board]),
        (CPU.target, ["best", "net.onnx", "--no-trace", "--device", CPU.device_class]),
        (CPU.target, ["history", "net.onnx", "--device", CPU.device_class]),
    ):
        answer = cli(*words, "--precision", "auto", "--calibration", "data.npz")
        assert f"no instruction for integers on target {target}" in answer.err, (words, answer.err)
