"""A few of the damaged files that `benchmarks.fuzz` tries by the thousand, and how it judges."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from benchmarks.damage import NAME, damaged, sources
from benchmarks.fuzz import FINDINGS, Outcome, judged, run, summary

SEED = 20
FILES = 15


def test_damaged_files_are_prepared_or_refused_by_name(tmp_path: Path) -> None:
    found = list(run(range(FILES), seed=SEED, folder=tmp_path, processes=1))
    assert sorted(outcome.number for outcome in found) == list(range(FILES))
    assert [outcome for outcome in found if outcome.kind in FINDINGS] == []
    kinds = {outcome.kind for outcome in found}
    assert {"prepared", "refused"} <= kinds


def test_a_number_is_always_the_same_file() -> None:
    models = sources()
    first = [damaged(SEED, number, models) for number in range(40)]
    assert [damaged(SEED, number, sources()) for number in range(40)] == first
    assert damaged(SEED + 1, 0, models) != first[0]
    assert len({case.files[NAME] for case in first}) > 30
    for name, model in models.items():
        assert onnx.ModelProto.FromString(model.SerializeToString()) == model, name


def error(kind: str, message: str) -> dict[str, object]:
    return {"error": {"kind": kind, "message": message, "exit_code": 2}}


@pytest.mark.parametrize(
    ("code", "document", "kind"),
    [
        (0, {"tasks": []}, "prepared"),
        (2, error("ModelError", "/f/model.onnx is cut off"), "refused"),
        (2, error("ModelError", "it is cut off"), "raw"),
        (2, error("ModelError", "/f/model.onnx\nis cut off"), "raw"),
        (2, error("ModelError", "/f/model.onnx: '\x1b[31m'"), "raw"),
        (1, error("EngineError", "KeyError while starting: '/f/model.onnx'"), "raw"),
        (1, error("EngineLostError", "/f/model.onnx: its process was killed by signal 11 (SIGSEGV)"), "died"),
        (1, error("EngineLostError", "its process was killed by signal 11 (SIGSEGV)"), "raw"),
        (1, error("EngineTimeoutError", "/f/model.onnx: killed after 30 s"), "slow"),
        (1, None, "raw"),
    ],
)
def test_only_what_names_the_file_in_one_line_is_a_refusal(
    code: int, document: dict[str, object] | None, kind: str
) -> None:
    assert judged(code, document, "", "/f/model.onnx")[0] == kind


def test_messages_that_differ_in_names_and_numbers_are_counted_together() -> None:
    outcomes = [
        Outcome(n, "refused", "ModelError", f"/a/{n}/{NAME}: input 'x{n}' has {n} sizes", 0.1, ())
        for n in range(3)
    ]
    text = summary(outcomes)
    assert "| refused | 3 | 100.0% |" in text
    assert "3  ModelError: FILE: input _ has N sizes" in text
