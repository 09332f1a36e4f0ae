"""The benchmark of what comes in: its catalog, how it goes on, its table. Nothing is exported here."""

from __future__ import annotations

import pathlib
import sys
import time
from collections import Counter

import pytest

from benchmarks.coverage.__main__ import arguments, chosen, still_open
from benchmarks.coverage.catalog import CATALOG, by_turns
from benchmarks.coverage.helper import Helper, HelperLostError
from benchmarks.coverage.outcomes import (
    CAUGHT,
    EXPORT_FAILED,
    INTERNAL_ERROR,
    OUTCOMES,
    REFUSED,
    REFUSED_POOR,
    RIGHT,
    TIMEOUT,
    WRONG,
    outcome_of,
)
from benchmarks.coverage.results import Result, append, latest
from benchmarks.coverage.table import page, shares
from orchestrator.errors import DisagreementError, EngineError, EngineTimeoutError
from workers.errors import ModelError

ROOT = pathlib.Path(__file__).parents[1]


def test_the_catalog_has_150_models_in_12_families_under_names_of_their_own() -> None:
    counted = Counter(entry.family for entry in CATALOG if entry.counted)

    assert counted.total() >= 150
    assert len(counted) >= 12
    assert min(counted.values()) >= 10
    assert len({entry.name for entry in CATALOG}) == len(CATALOG)
    assert not [
        entry.name for entry in CATALOG if set(entry.name) - set("abcdefghijklmnopqrstuvwxyz0123456789-_")
    ]


def test_both_of_torchs_exporters_and_all_opsets_are_in_it() -> None:
    exporters = Counter(entry.exporter for entry in CATALOG)
    opsets = {entry.opset for entry in CATALOG}

    assert exporters["dynamo"] >= 50
    assert exporters["torchscript"] >= 50
    assert set(range(9, 24)) <= opsets


def test_a_run_that_ends_early_has_tried_every_family() -> None:
    ordered = by_turns(list(CATALOG))
    families = {entry.family for entry in CATALOG}

    assert {entry.family for entry in ordered[: len(families)]} == families
    assert sorted(entry.name for entry in ordered) == sorted(entry.name for entry in CATALOG)


def test_a_name_that_is_not_in_the_catalog_is_refused() -> None:
    with pytest.raises(SystemExit, match="not in the catalog: resnet19"):
        chosen(arguments().parse_args(["--env", "anywhere", "--only", "resnet19"]))


def test_keras_is_left_out_where_it_has_no_environment() -> None:
    without = chosen(arguments().parse_args(["--env", "anywhere"]))
    with_it = chosen(arguments().parse_args(["--env", "anywhere", "--keras-env", "elsewhere"]))

    assert {entry.family for entry in with_it} - {entry.family for entry in without} == {"keras"}


def result(name: str, outcome: str, **more: object) -> Result:
    entry = next(one for one in CATALOG if one.name == name)
    return Result(name, entry.family, entry.exporter, entry.opset, outcome, counted=entry.counted, **more)  # type: ignore[arg-type]


def test_a_run_goes_on_where_it_broke_off(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "results.jsonl"
    for one in (result("resnet18", INTERNAL_ERROR), result("yolov8n", RIGHT), result("resnet18", WRONG)):
        append(file, one)
    with file.open("a") as broken:
        broken.write('{"name": "resnet50", "fam')

    done = latest(file)
    entries = [entry for entry in CATALOG if entry.name in ("resnet18", "resnet50", "yolov8n")]

    def names(*again: str, resume: bool = True) -> list[str]:
        return [entry.name for entry in still_open(entries, done, resume=resume, again=list(again))]

    assert done["resnet18"].outcome == WRONG
    assert names() == ["resnet50"]
    assert names(WRONG) == ["resnet18", "resnet50"]
    assert names(resume=False) == ["resnet18", "resnet50", "yolov8n"]


def test_the_table_counts_what_was_exported_and_says_what_is_not_right() -> None:
    results = [
        result(
            "resnet18", RIGHT, seconds={"export": 2.0, "compile": 7.25}, kernel_calls=24, layout="blocked"
        ),
        result("resnet50", WRONG, message="output 'y' differs by 3\nat a | b"),
        result("densenet121", EXPORT_FAILED, message="no such argument"),
        result("quantized-resnet18-qdq", REFUSED),
    ]

    assert shares(results) == {"torchvision-classification": (1, 2), "all": (1, 2), "quantized": (0, 1)}
    text = page(results)
    assert "| torchvision-classification | 1 | 2 | 50% |" in text
    assert "| resnet18 | torchvision-classification | torchscript | 9 | right | blocked | 24 |" in text
    assert "| 2.0 |  |  | 7.2 |  |  |" in text
    assert "**resnet50** (wrong): output 'y' differs by 3 / at a | b" in text
    assert "**densenet121** (export_failed): no such argument" in text


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (
            ModelError("m.onnx: operators can't be imported: A (node 'n'); export the model without them"),
            REFUSED,
        ),
        (ModelError("m.onnx: the shape of output 'y' depends on values; cut the model before it"), REFUSED),
        (ModelError("m.onnx: something is wrong"), REFUSED_POOR),
        (ModelError("TVM refused m at operator A, node 'n': OpNotImplemented: A"), REFUSED_POOR),
        (ModelError("m.onnx: node 'n': TypeError: give a shape; make it one"), REFUSED_POOR),
        (DisagreementError("the library computes something else"), CAUGHT),
        (EngineTimeoutError("killed"), TIMEOUT),
        (EngineError("InternalError while compiling"), INTERNAL_ERROR),
        (KeyError("num_heads"), INTERNAL_ERROR),
    ],
)
def test_errors_are_told_apart(error: Exception, outcome: str) -> None:
    assert outcome_of(error) == outcome
    assert outcome in OUTCOMES


SERVED = """
import os, sys, time
from benchmarks.coverage.serving import serve

def answer(question):
    print("noise of a library")
    if question["do"] == "sleep":
        time.sleep(60)
    if question["do"] == "die":
        print("what it died of", file=sys.stderr, flush=True)
        os._exit(1)
    if question["do"] == "take":
        taken = bytearray(300 << 20)
        time.sleep(60)
    return {"pid": os.getpid()}

serve(answer)
"""


def test_what_hangs_takes_too_much_or_dies_costs_one_model() -> None:
    with Helper([sys.executable, "-c", SERVED], ROOT) as helper:

        def ask(do: str, seconds: float = 30.0) -> int:
            pid = helper.ask({"do": do}, seconds=seconds, most_bytes=200 << 20)["pid"]
            assert isinstance(pid, int)
            return pid

        first = ask("answer")
        assert ask("answer") == first
        begin = time.monotonic()
        with pytest.raises(HelperLostError) as lost:
            ask("sleep", seconds=0.5)
        assert lost.value.why == "timeout"
        assert time.monotonic() - begin < 20
        with pytest.raises(HelperLostError, match="what it died of") as lost:
            ask("die")
        assert lost.value.why == "died"
        with pytest.raises(HelperLostError) as lost:
            ask("take")
        assert lost.value.why == "memory"
        assert ask("answer") != first
