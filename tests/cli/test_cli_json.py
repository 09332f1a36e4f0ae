"""Every document is as docs/json.md shows it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from orchestrator.campaigns.planning.budgets import NO_LIMIT
from orchestrator.storage import Storage, TaskState
from tests.kit.cli_builders import Cli, put_campaign, put_known_model, tuned
from tests.kit.documented import DOCUMENT, EXAMPLES, assert_documented
from tests.kit.stand_ins import CannedToolbox
from tests.kit.toys import TOYS, toy


def test_queries_write_what_is_documented(cli: Cli, store: Storage) -> None:
    tuned(store)
    for words in (["list"], ["show", "1"], ["trials", "1"], ["db", "check"], ["db", "upgrade"], ["devices"]):
        answer = cli(*words, "--json")
        assert answer.code == 0, answer.err
        assert_documented(answer.document)


def test_questions_write_what_is_documented(cli: Cli, store: Storage, model: Path) -> None:
    tuned(store)
    tuned(store, budget=48)
    put_known_model(store, model)
    for words in (
        ["best"],
        ["history", str(model)],
        ["history", "--workload", "0001"],
        ["slowest", str(model)],
        ["failures"],
        ["compare", "1", "2"],
    ):
        answer = cli(*words, "--json")
        assert answer.code == 0, answer.err
        assert_documented(answer.document)


def test_watch_writes_what_show_writes(cli: Cli, store: Storage) -> None:
    tuned(store)
    document = cli("watch", "1", "--json").document
    assert document["schema"] == "tunefleet/watch/1"
    assert_documented(document, example="show")


def test_pause_and_cancel_write_the_campaign(cli: Cli, store: Storage) -> None:
    put_campaign(store)
    assert_documented(cli("pause", "1", "--json").document)
    assert_documented(cli("cancel", "1", "--json").document, example="pause")
    assert_documented(cli("priority", "1", "7", "--json").document, example="pause")


@pytest.mark.usefixtures("toolbox", "fleet")
def test_tuning_writes_what_is_documented(cli: Cli, model: Path) -> None:
    for words, example in (
        (["submit", str(model)], "submit"),
        (["resume", "1", "--detach"], "submit"),
        (["resume", "1"], "tune"),
        (["tune", str(model)], "tune"),
        (["tune", str(model), "--dry-run"], "tune-plan"),
    ):
        answer = cli(*words, "--json")
        assert answer.code == 0, answer.err
        assert_documented(answer.document, example=example)


@pytest.mark.usefixtures("toolbox", "fleet")
def test_models_commands_write_what_is_documented(cli: Cli, model: Path) -> None:
    assert cli("tune", str(model)).code == 0
    for words in (
        ["tasks", str(model)],
        ["best", str(model)],
        ["build", str(model), "-o", "m.so"],
        ["bench", str(model)],
        ["profile", str(model)],
        ["run", "m.so", "--check", str(model)],
    ):
        answer = cli(*words, "--json")
        assert answer.code == 0, answer.err
        assert_documented(answer.document)


@pytest.mark.usefixtures("toolbox")
def test_records_commands_write_what_is_documented(
    cli: Cli, store: Storage, model: Path, tmp_path: Path
) -> None:
    tuned(store)
    log = tmp_path / "tuning.log"
    log.write_text("0 first 0.002 cpu\nbroken\n")
    for words in (
        ["records", "import", str(log), "--engine", "metaschedule", "--skip-bad"],
        ["records", "export", str(model), "-o", "m.log", "--engine", "metaschedule"],
    ):
        answer = cli(*words, "--json")
        assert answer.code == 0, answer.err
        assert_documented(answer.document)


def test_store_commands_write_what_is_documented(cli: Cli, store: Storage, tmp_path: Path) -> None:
    tuned(store)
    with Storage.open(str(tmp_path / "other.db")):
        pass
    for words, example in (
        (["records", "stats"], ""),
        (["records", "export", "-o", "all.jsonl.gz"], ""),
        (["records", "import", "all.jsonl.gz"], "records-merge"),
        (["records", "merge", "other.db"], ""),
        (["records", "prune", "--failed", "--dry-run"], ""),
    ):
        answer = cli(*words, "--json")
        assert answer.code == 0, answer.err
        assert_documented(answer.document, example=example)


def test_an_error_is_a_document_too(cli: Cli, store: Storage) -> None:
    answer = cli("show", "9", "--json")
    assert answer.code == 3
    assert_documented(answer.document)
    assert answer.document["error"]["exit_code"] == 3


def test_engines_commands_write_what_is_documented(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.environments.install", lambda *_, **__: None)
    for words in (
        ["engines"],
        ["engines", "install", "metaschedule"],
        ["engines", "use", "metaschedule", "--python", sys.executable],
    ):
        answer = cli(*words, "--json")
        assert answer.code == 0, answer.err
        assert_documented(answer.document)


def test_converters_commands_write_what_is_documented(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TUNEFLEET_CONVERTER_PATH", str(TOYS))
    monkeypatch.setattr("workers.environments.install", lambda *_, **__: None)
    toy(tmp_path / "net.toy", "rows ?")
    for words in (
        ["converters"],
        ["converters", "install", "toy"],
        ["converters", "use", "toy", "--python", sys.executable],
        ["convert", "net.toy", "-o", "net.onnx"],
    ):
        answer = cli(*words, "--json")
        assert answer.code == 0, answer.err
        assert_documented(answer.document)


def test_a_document_without_a_limit_says_null(cli: Cli, model: Path, toolbox: type[CannedToolbox]) -> None:
    document = cli("tune", str(model), "--time", "5m", "--dry-run", "--json").document
    assert document["trials_missing"] is None
    assert {task["budget"] for task in document["tasks"]} == {None}
    assert_documented(document)


@pytest.mark.usefixtures("toolbox")
def test_no_document_of_a_campaign_without_a_limit_has_a_number_that_stands_for_none(
    cli: Cli, store: Storage, model: Path
) -> None:
    for campaign_id in (tuned(store), tuned(store, budget=48)):
        for row in store.tasks.of_campaign(campaign_id):
            store.tasks.update(row.id, budget=NO_LIMIT, state=TaskState.OPEN)
    put_known_model(store, model)
    for words in (["list"], ["show", "1"], ["compare", "1", "2"], ["slowest", str(model)], ["trials", "1"]):
        answer = cli(*words, "--json")
        assert answer.code == 0, answer.err
        assert_documented(answer.document)
        assert str(NO_LIMIT) not in cli(*words).out


def test_every_documented_schema_has_one_example() -> None:
    titles = re.findall(r"^## (.+)$", DOCUMENT.read_text(), re.MULTILINE)
    named = {name.strip() for title in titles for name in title.split(",")}
    shared = {"cancel", "priority", "records-import-jsonl"}
    assert {schema.split("/")[1] for schema in EXAMPLES} == named - shared
