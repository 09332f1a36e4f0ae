"""The program as a whole: help, exit codes, databases that can't be used, pipes, what is imported."""

from __future__ import annotations

import gzip
import os
import re
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from orchestrator.campaigns.spec import DEFAULT_TRIALS_PER_TASK
from orchestrator.storage import Storage
from orchestrator.storage._schema import REVISIONS
from tests.kit.cli_builders import Cli, tuned

COMMANDS = (
    *("tune", "submit", "coordinator", "list", "show", "watch", "trials", "resume", "pause", "cancel"),
    "priority",
    *("tasks", "best", "build", "bench", "run", "doctor", "db upgrade", "db check"),
    *("history", "slowest", "failures", "compare"),
    *("engines", "engines install", "engines use", "records import", "records export"),
    *("records merge", "records prune", "records stats", "devices", "devices check"),
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(cli: Cli, command: str) -> None:
    answer = cli(*command.split(), "--help", db=False)
    assert answer.code == 0
    assert f"tunefleet {command}" in answer.out
    assert "Example" in answer.out
    for option in ("--db", "--json", "--debug"):
        assert option in answer.out


def test_help_lists_every_command(cli: Cli) -> None:
    text = cli("--help", db=False).out
    for command in COMMANDS:
        assert f" {command.split()[0]} " in text


def test_help_names_the_default_budget(cli: Cli) -> None:
    words = cli("tune", "--help", db=False).out.replace("│", " ").split()
    assert f"at most; {DEFAULT_TRIALS_PER_TASK}," in " ".join(words)


def test_version_is_the_distribution_s(cli: Cli) -> None:
    assert cli("--version", db=False).out.startswith("tunefleet 0.")


def test_nothing_asked_is_wrong_usage(cli: Cli) -> None:
    assert cli(db=False).code == 2
    assert cli("tuna", db=False).code == 2


def test_the_default_database_is_named_on_stderr(cli: Cli, tmp_path: Path) -> None:
    answer = cli("list", db=False)
    assert answer.err.splitlines()[0] == f"database: {tmp_path / 'data' / 'tunefleet' / 'tunefleet.db'}"
    assert "database:" not in cli("list").err


def test_the_database_may_come_from_the_environment(
    cli: Cli, store: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned(store)
    monkeypatch.setenv("TUNEFLEET_DB", str(cli.db))
    assert cli("show", "1", db=False).code == 0


def test_a_database_that_is_not_there_is_no_empty_one(cli: Cli) -> None:
    answer = cli("list")
    assert answer.code == 1
    assert answer.err.strip() == f"error: there is no database at {cli.db}"
    assert not cli.db.exists()


def test_a_file_that_is_no_database_is_refused(cli: Cli) -> None:
    cli.db.write_bytes(b"not a database, but long enough to be taken for something" * 20)
    for words in (["list"], ["db", "check"], ["db", "upgrade"]):
        answer = cli(*words)
        assert answer.code == 1
        assert "is not a SQLite database" in answer.err
        assert "Traceback" not in answer.err


def test_a_newer_schema_is_refused(cli: Cli, store: Storage) -> None:
    store.close()
    with sqlite3.connect(cli.db) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    for words in (["list"], ["show", "1"], ["db", "check"], ["db", "upgrade"]):
        answer = cli(*words)
        assert answer.code == 1
        assert "written by a newer tunefleet" in answer.err


def test_an_older_schema_is_refused_with_the_command_that_upgrades_it(cli: Cli) -> None:
    stored = Path(__file__).parents[1] / "storage" / "databases" / "0001.db.gz"
    cli.db.write_bytes(gzip.decompress(stored.read_bytes()))
    for words in (["list"], ["show", "1"], ["db", "check"]):
        answer = cli(*words)
        assert answer.code == 1
        assert f"run `tunefleet db upgrade --db sqlite:///{cli.db}`" in answer.err
    document = cli("db", "upgrade", "--json").document
    assert (document["before"], document["after"]) == ("0001", REVISIONS[-1])
    assert "nightly" in cli("list").out
    assert "is sound and has schema" in cli("db", "check").out


def test_a_database_of_something_else_is_refused(cli: Cli) -> None:
    with sqlite3.connect(cli.db) as connection:
        connection.execute("CREATE TABLE recipes (id)")
    for words in (["list"], ["db", "check"], ["db", "upgrade"]):
        answer = cli(*words)
        assert answer.code == 1
        assert "something else (its tables: recipes); name another one with --db" in answer.err


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hunter2@127.0.0.1:1/records",
        "postgresql://me@127.0.0.1:1/records?password=h%75nter2",
        "postgresql://me:h@hunter2@host/records",
        "postgresql:/me:hunter2@host/records",
        "host=host user=me password=hunter2",
    ],
)
def test_a_password_is_written_nowhere(cli: Cli, url: str) -> None:
    for words in (["list"], ["db", "check"], ["db", "upgrade"]):
        for option in ("--json", "--debug"):
            answer = cli(*words, option, "--db", url, db=False)
            assert answer.code != 0
            assert not re.search("hunter2|h%75nter2|h@", answer.out + answer.err)


def test_a_url_that_can_not_be_read_is_wrong_usage(cli: Cli) -> None:
    answer = cli("list", "--db", "mysql://me:secret@host/records", db=False)
    assert answer.code == 2
    assert "only sqlite:// and postgresql://" in answer.err
    assert "secret" not in answer.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anything")
def test_a_read_only_database_is_one_message(cli: Cli, store: Storage, model: Path) -> None:
    store.close()
    cli.db.chmod(0o444)
    answer = cli("submit", str(model))
    assert answer.code == 1
    assert "is read-only" in answer.err


def test_check_and_upgrade_say_what_they_found(cli: Cli, store: Storage) -> None:
    assert "is sound and has schema" in cli("db", "check").out
    assert "nothing to do" in cli("db", "upgrade").out


def test_check_of_nothing_is_not_found(cli: Cli) -> None:
    assert cli("db", "check", db=False).code == 3


def _break(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr("orchestrator.storage.campaigns.Campaigns.newest", broken)


def test_a_bug_is_one_line(cli: Cli, store: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    _break(monkeypatch)
    answer = cli("list")
    assert answer.code == 1
    assert answer.err.strip() == (
        "error: this is a bug in tunefleet: KeyError: 'surprise'; "
        "run again with --debug, and report what that prints"
    )


def test_debug_shows_the_traceback(cli: Cli, store: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    _break(monkeypatch)
    assert "Traceback (most recent call last)" in cli("list", "--debug").err
    assert "Traceback" in cli("show", "9", "--debug").err


def test_a_reader_that_leaves_early_is_no_error(cli: Cli, store: Storage) -> None:
    tuned(store)
    command = [
        sys.executable,
        "-c",
        "from orchestrator.cli import main; main()",
        "trials",
        "1",
        "--db",
        str(cli.db),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        # Gone before anything was written.
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait(20) == 0


def test_a_query_imports_neither_tvm_nor_ray_nor_models(cli: Cli, store: Storage) -> None:
    tuned(store)
    code = (
        "import sys\n"
        "from orchestrator.cli import app\n"
        "try:\n    app()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "heavy = {'tvm', 'ray', 'onnx', 'onnxruntime', 'numpy', 'alembic'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert not [name for name in sys.modules if name.startswith('workers.engines')]\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "show", "1", "--db", str(cli.db)],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    assert "fused_conv2d0" in done.stdout


def test_a_password_in_the_url_is_not_left_for_ps_to_show() -> None:
    # A server that takes the connection and never says a word holds the command in its start.
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"postgresql://me:hunter2@127.0.0.1:{server.getsockname()[1]}/records?connect_timeout=30"
        program = [sys.executable, "-c", "from orchestrator.cli import main; main()"]
        command = subprocess.Popen([*program, "list", f"--db={url}"], stderr=subprocess.PIPE)
        try:
            server.settimeout(60)
            connection, _ = server.accept()
            shown = psutil.Process(command.pid).cmdline()
            connection.close()
        finally:
            command.kill()
            command.communicate()
    assert any("postgresql://me:***@127.0.0.1" in word for word in shown), shown
    assert not any("hunter2" in word for word in shown)
