"""Through a service, commands say what they say on its database, as text and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.cli.answers import best as stored
from orchestrator.cli.campaigns import list_, watch_served
from orchestrator.cli.models import best as of_model
from orchestrator.cli.program import app
from orchestrator.storage import CampaignRequest, CampaignState, Storage
from tests.kit.cli_builders import Answer, Cli, begin, measure, put_campaign, put_known_model, rename, tuned
from tests.kit.documented import assert_documented
from tests.kit.served_cli import URL, ServedCli
from tests.kit.tiny_models import tiny


def without_place(answer: Answer) -> object:
    """Return a document, but for what says where the records are."""
    return {name: value for name, value in answer.document.items() if name != "database"}


# Documents that are those of another command.
_ALIKE = {"watch": "show", "cancel": "pause", "resume": "submit"}
_QUESTIONS = (
    ["list"],
    ["show", "1"],
    ["show", "3"],
    ["watch", "2"],
    ["trials", "1", "--limit", "7", "--state", "ok"],
    ["compare", "1", "2"],
    ["best", "--workload", "0001", "--no-trace", "--top", "2"],
    ["history", "--workload", "0001", "--limit", "2"],
    ["failures"],
    ["records", "stats"],
)


def test_questions_are_answered_as_on_the_database(store: Storage, here: Cli, served: ServedCli) -> None:
    tuned(store, name="first")
    tuned(store, budget=48, agree=False)
    begin(store, put_campaign(store, time_s=600))
    for words in _QUESTIONS:
        expected, found = here(*words), served(*words)
        assert (found.code, found.out) == (expected.code, expected.out), words
        expected, found = here(*words, "--json"), served(*words, "--json")
        assert without_place(found) == without_place(expected), words
        assert_documented(found.document, example=_ALIKE.get(words[0], ""))


def test_more_than_a_service_tells_at_once_is_cut_off_and_said(
    store: Storage, served: ServedCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned(store)
    put_campaign(store)
    many = ("0", "1000", "5000")
    for words in (["list"], ["best"]):
        answers = [served(*words, "--limit", limit) for limit in many]
        assert [(answer.code, answer.err) for answer in answers] == [(0, "")] * 3
        assert answers[0].out == answers[1].out == answers[2].out
    assert served("slowest", "1", "--top", "20000").code == 0
    of_a_workload = ["best", "--workload", "0001", "--no-trace", "--top"]
    assert served(*of_a_workload, "101").code == 0
    monkeypatch.setattr(list_, "_SERVED_AT_ONCE", 1)
    monkeypatch.setattr(stored, "_SERVED_AT_ONCE", 2)
    monkeypatch.setattr(of_model, "_SERVED_TOP", 3)
    for words, said in (
        (["list", "--limit", "0"], "a service tells of the newest 1; there may be more"),
        (["list", "--limit", "2"], "a service tells of the newest 1; there may be more"),
        (["best", "--limit", "0"], "there are more; a service tells of 2"),
        (["best", "--limit", "3"], "there are more; a service tells of 2"),
        (["best", "--limit", "1"], "there are more; --limit 0 lists all of them"),
        ([*of_a_workload, "4"], "a service tells of the 3 fastest of each task; there may be more"),
    ):
        answer = served(*words)
        assert answer.code == 0, words
        assert said in answer.err, words
    for words in (["list", "--limit", "1"], [*of_a_workload, "3"]):
        assert "a service tells" not in served(*words).err, words


def test_an_old_name_that_no_path_can_have_still_names_a_campaign(
    store: Storage, here: Cli, served: ServedCli, tmp_path: Path
) -> None:
    name = "nets/nightly 7"
    rename(store, tuned(store), name)
    tuned(store, budget=48)
    for words in (
        *(["show", name], ["watch", name], ["trials", name, "--limit", "3"], ["compare", name, "2"]),
        ["failures", "--campaign", name],
    ):
        expected, found = here(*words), served(*words)
        assert (found.code, found.out) == (expected.code, expected.out), words
    assert served("report", name, "-o", str(tmp_path / "report.html")).code == 0
    rename(store, put_campaign(store), "nets/waits")
    for words in (["pause"], ["resume"], ["priority", "4"], ["cancel"]):
        assert served(words[0], "nets/waits", *words[1:]).code == 0, words
    row = store.campaigns.get(3)
    assert (row.priority, row.state) == (4, CampaignState.CANCELLED)
    missing = served("show", "nets/none")
    assert (missing.code, missing.err) == (3, here("show", "nets/none").err)


def test_a_new_name_has_no_slash_in_it(store: Storage, here: Cli, served: ServedCli, tmp_path: Path) -> None:
    file = tmp_path / "net.onnx"
    file.write_bytes(tiny().SerializeToString())
    for ask in (here, served):
        answer = ask("submit", str(file), "--trials", "5", "--name", "nets/nightly")
        assert answer.code == 2
        assert "'/' divides parts; choose another --name" in answer.err
    assert store.campaigns.newest() == []


def test_a_gate_is_the_same_through_a_service(store: Storage, here: Cli, served: ServedCli) -> None:
    tuned(store, turns_s=(0.01,) * 5)
    tuned(store, budget=48, turns_s=(0.0107,) * 5)
    for words, code in ((["3%"], 1), (["8%"], 0), (["3%", "--json"], 1)):
        expected = here("compare", "1", "2", "--fail-if-slower", *words)
        found = served("compare", "1", "2", "--fail-if-slower", *words)
        assert (expected.code, found.code) == (code, code)
        if "--json" not in words:
            assert (found.out, found.err) == (expected.out, expected.err)
    assert_documented(found.document)
    assert found.document["gate"]["models"][0]["verdict"] == "slower"


def test_a_models_file_names_it_to_a_service(
    store: Storage, here: Cli, served: ServedCli, tmp_path: Path
) -> None:
    file = tmp_path / "net.onnx"
    file.write_bytes(tiny().SerializeToString())
    campaign = put_campaign(store)
    begin(store, campaign)
    for of in range(3):
        measure(store, campaign, of=of, trials=range(8))
    put_known_model(store, file)
    for words in (["history"], ["slowest", "--top", "2"], ["failures"]):
        expected, found = here(words[0], str(file), *words[1:]), served(words[0], str(file), *words[1:])
        assert (found.code, found.out) == (expected.code, expected.out), words
    number = served("slowest", "2", "--json").document
    assert number == here("slowest", str(file), "--json").document
    tasks = served("best", str(file), "--no-trace", "--tasks", "relu", "--json").document["tasks"]
    assert [task["name"] for task in tasks] == ["fused_conv2d_add_relu1"]
    other = tmp_path / "other.onnx"
    other.write_bytes(b"another")
    answer = served("slowest", str(other))
    assert answer.code == 3
    assert f"tunefleet tune {other} --server {URL}" in answer.err
    assert served("slowest", str(tmp_path / "none.onnx")).code == 2


def test_a_campaign_is_submitted_steered_and_its_model_sent_once(
    store: Storage, served: ServedCli, tmp_path: Path
) -> None:
    file = tmp_path / "net.onnx"
    file.write_bytes(tiny().SerializeToString())
    words = [
        "submit",
        str(file),
        "--trials",
        "40",
        "--name",
        "nightly",
        "--priority",
        "3",
        "--revalidate",
        "5",
    ]
    words += ["--verify-candidates", "--number", "7", "--search", "population=64", "--time", "1h"]
    answer = served(*words, "--json")
    assert answer.code == 0, answer.err
    assert_documented(answer.document)
    row = store.campaigns.get(1)
    assert (row.name, row.priority) == ("nightly", 3)
    spec = row.spec
    assert (spec["trials"], spec["revalidate"], spec["verify_candidates"]) == (40, 5, True)
    assert (spec["evaluator"]["number"], spec["time_s"]) == (7, 3600.0)
    assert spec["search"]["settings"] == {"population": "64"}
    assert Path(spec["models"][0]["path"]).read_bytes() == file.read_bytes()
    again = served("tune", str(file), "--detach")
    assert "campaign 2" in again.out
    assert f"tunefleet watch 2 --server {URL}" in again.err
    assert [row.action for row in store.audit.newest()] == ["submit", "submit", "upload"]
    for action, state in (("pause", "paused"), ("resume", "queued"), ("cancel", "cancelled")):
        told = served(action, "nightly", "--json").document
        assert told["campaign"]["state"] == state
        assert_documented(told, example=_ALIKE.get(action, ""))
    assert served("priority", "2", "-4", "--json").document["campaign"]["priority"] == -4
    assert store.campaigns.get(2).priority == -4
    assert store.campaigns.get(1).state is CampaignState.CANCELLED


def test_tune_leaves_the_campaign_to_the_service_and_watches_it(
    store: Storage, served: ServedCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "net.onnx"
    file.write_bytes(tiny().SerializeToString())

    def cancelled(*words: object) -> str:
        if store.campaigns.get(1).state is CampaignState.QUEUED:
            store.campaigns.request(1, CampaignRequest.CANCEL)
        return ""

    monkeypatch.setattr(watch_served, "_AGAIN_SECONDS", 0.05)

    # The first that is asked of the campaign is who runs it: from then on it is over.
    monkeypatch.setattr(watch_served, "who_runs", cancelled)
    answer = served("tune", str(file), "--trials", "7", "--json")
    assert answer.code == 1
    assert answer.document["schema"] == "tunefleet/watch/1"
    assert_documented(answer.document, example="show")
    assert answer.document["campaign"]["state"] == "cancelled"
    assert "the campaign goes on" in answer.err


def test_what_the_service_refuses_is_said_as_the_command_would(
    store: Storage, here: Cli, served: ServedCli, tmp_path: Path
) -> None:
    tuned(store)
    for words in (["show", "99"], ["pause", "1"], ["compare", "1", "1"], ["best", "--device", "none"]):
        expected, found = here(*words, "--json"), served(*words, "--json")
        assert found.code == expected.code, words
        assert found.document["error"]["kind"] == expected.document["error"]["kind"], words
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(tiny().SerializeToString()[:100])
    answer = served("submit", str(broken))
    assert answer.code == 2
    assert "no ONNX file, or one that was cut off" in answer.err
    assert not list((tmp_path / "uploads").glob("*"))


def test_records_and_reports_come_and_go(store: Storage, served: ServedCli, tmp_path: Path) -> None:
    tuned(store)
    file = tmp_path / "all.jsonl.gz"
    answer = served("records", "export", "-o", str(file), "--json")
    assert answer.code == 0, answer.err
    assert_documented(answer.document)
    assert (answer.document["trials"], answer.document["file"]) == (96, str(file))
    with Storage.open(str(tmp_path / "other.db")) as other:
        there = ServedCli(other, tmp_path / "o", tmp_path / "other.db")
        told = there("records", "import", str(file), "--json").document
        assert_documented(told, example="records-merge")
        assert (told["trials_imported"], told["source"]) == (96, "all.jsonl.gz")
        assert "96 of them stored before" in there("records", "import", str(file)).out
    page = tmp_path / "report.html"
    assert served("report", "1", "-o", str(page)).code == 0
    assert "<!doctype html>" in page.read_text()
    refused = served("records", "export", "-o", str(tmp_path / "log"), "--engine", "metaschedule")
    assert (refused.code, "packed JSON Lines" in refused.err) == (2, True)


_ELSEWHERE = (
    (["tasks", "x.onnx"], "where that is reached"),
    (["bench", "x.onnx"], "where that is reached"),
    (["coordinator"], "where that is reached"),
    (["db", "check"], "where that is reached"),
    (["tokens", "list"], "where that is reached"),
    (["records", "prune", "--keep", "3"], "where that is reached"),
    (["devices", "check"], "where that is reached"),
    (["doctor"], "with files of this machine"),
    (["engines"], "with files of this machine"),
    (["tune", "x.onnx", "--dry-run"], "--dry-run: not through a service"),
    (["tune", "x.onnx", "--slots", "2"], "--slots: not through a service"),
    (["build", "x.onnx", "-o", "x.so", "--unchecked"], "--unchecked: not through a service"),
)


def test_what_a_service_has_no_answer_for_is_said_in_a_sentence(served: ServedCli) -> None:
    for words, said in _ELSEWHERE:
        answer = served(*words)
        assert answer.code == 2, words
        assert said in answer.err, words
        assert len(answer.err.strip().splitlines()) == 1, answer.err


def test_where_the_records_are_is_said_once(
    store: Storage, served: ServedCli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tuned(store)
    both = served("list", "--db", str(served.db))
    assert (both.code, "leave one of them out" in both.err) == (2, True)
    monkeypatch.setenv("TUNEFLEET_SERVER", URL)
    served.server = ()
    assert served("list", "--json").document["campaigns"][0]["id"] == 1
    # What is typed goes before a variable, and what has no database in it needs none.
    assert served("db", "check", db=True).code == 0
    assert served("engines").code == 0
    unset = served("tokens", "list")
    assert (unset.code, "unset TUNEFLEET_SERVER" in unset.err) == (2, True)
    monkeypatch.setenv("TUNEFLEET_DB", str(served.db))
    assert "unset one of them" in served("list").err


def test_every_command_says_whether_a_service_answers_it() -> None:
    # Typer's own model of the program: each command has the option, and its help says what it is for.
    from typer.main import get_command

    program = get_command(app)
    assert "--server" in json.dumps([param.opts for param in program.commands["list"].params])  # type: ignore[attr-defined]
