"""What surrounds the program: closed streams, terminals of few letters, odd names, files and folders."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.cli.kit.arguments import require_text
from orchestrator.cli.kit.text import printable
from orchestrator.errors import UsageError
from orchestrator.storage import Storage
from tests.kit.cli_builders import Cli, put_campaign, put_known_model, tuned
from tests.kit.stand_ins import CannedToolbox

_PROGRAM = [sys.executable, "-c", "from orchestrator.cli import main; main()"]


def program(
    *words: str | bytes, shell: str = "", cwd: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[bytes]:
    """Run the program, with what a shell does to its streams in front of it."""
    command: list[str | bytes] = [*_PROGRAM, *words]
    if shell:
        command = ["sh", "-c", f'exec "$@" {shell}', "sh", *command]
    return subprocess.run(command, capture_output=True, timeout=60, cwd=cwd, env={**os.environ, **variables})


def told(done: subprocess.CompletedProcess[bytes]) -> str:
    text = done.stderr.decode()
    assert "Traceback" not in text
    assert "bug in tunefleet" not in text
    return text


# -- streams


def test_closed_streams_are_no_error(cli: Cli, store: Storage) -> None:
    tuned(store)
    done = program("list", "--db", str(cli.db), shell=">&- 2>&- <&-")
    assert (done.stdout, done.stderr, done.returncode) == (b"", b"", 0)


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_what_is_opened_next_is_not_taken_for_a_closed_stream(closed: str, tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "from orchestrator.cli.kit.streams import prepare_streams\n"
        "prepare_streams()\n"
        "with open(sys.argv[1], 'w') as file:\n"
        "    print('out', flush=True); print('err', file=sys.stderr, flush=True); sys.stdin.read()\n"
        "    file.write(str(file.fileno() > 2))\n"
    )
    command = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", code, str(tmp_path / "file")]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
    assert done.returncode == 0
    assert done.stdout == (b"" if closed.startswith(">") else b"out\n")
    assert done.stderr == (b"" if "2>" in closed else b"err\n")
    assert (tmp_path / "file").read_text() == "True"


def test_a_stdout_without_room_is_named_once(cli: Cli, store: Storage) -> None:
    tuned(store)
    done = program("list", "--db", str(cli.db), shell="> /dev/full")
    assert told(done) == "error: stdout can't be written: No space left on device\n"
    assert done.returncode == 1


def test_a_terminal_of_ascii_gets_every_name_in_ascii(cli: Cli, store: Storage) -> None:
    campaign = put_campaign(store, name="夜间 → µ")
    done = program("show", str(campaign), "--db", str(cli.db), PYTHONIOENCODING="ascii")
    assert done.returncode == 0, told(done)
    assert rb"\u591c\u95f4 -> u" in done.stdout


# -- names


def test_a_file_whose_name_is_not_utf_8_is_refused_by_it(cli: Cli, tmp_path: Path) -> None:
    odd = os.fsencode(tmp_path) + b"/\xff\xe9.onnx"
    with open(odd, "wb") as file:
        file.write(b"onnx")
    done = program("tasks", odd, "--json", "--db", str(cli.db))
    assert done.returncode == 2
    assert "\\xff\\xe9.onnx: this name isn't UTF-8" in told(done)
    assert json.loads(done.stdout)["error"]["kind"] == "ModelError"


def test_other_arguments_that_are_not_utf_8_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    require_text({"model": Path("\udcff.onnx"), "name": "数据", "limit": 3, "target": ["llvm"]})
    with pytest.raises(UsageError, match=r"^input-shape 'x\\udcff:1' is not UTF-8$"):
        require_text({"input_shape": ["y:1", "x\udcff:1"]})
    monkeypatch.setattr("orchestrator.cli.kit.arguments._LOCALE", "this locale has ASCII alone")
    with pytest.raises(UsageError, match=r"^name '\\udcff' is not UTF-8; this locale has ASCII alone$"):
        require_text({"name": "\udcff"})


def test_what_a_name_does_to_a_terminal_or_a_screen_is_written_out() -> None:
    assert printable("input '\x1b[31m数据\u202e'\nsecond") == "input '\\x1b[31m数据\\u202e'\nsecond"
    assert printable(f"input '{'n' * 70_000}' has") == f"input '{'n' * 99}[...]{'n' * 39}' has"
    path = "/" + "n" * 1000
    assert printable(path) == path


# -- files that are none


def test_what_can_not_be_read_twice_is_no_model(cli: Cli, tmp_path: Path) -> None:
    fifo, bound = tmp_path / "fifo", tmp_path / "socket"
    os.mkfifo(fifo)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(bound))
        kinds = {fifo: "a FIFO", bound: "a socket", "/dev/zero": "a character device", tmp_path: "a folder"}
        for path, kind in kinds.items():
            for command in ("tasks", "submit", "tune", "best"):
                answer = cli(command, str(path))
                assert answer.code == 2, command
                assert f"{path} is {kind}" in answer.err
    # Reading this one waits for what the kernel has to say.
    assert "/proc/kmsg is empty" in cli("tasks", "/proc/kmsg").err
    assert cli("tasks", f"{tmp_path}/{'n' * 300}").code == 2
    assert "there is no file" in cli("tasks", str(fifo / "model.onnx")).err


# -- folders


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    # In the folder, and it is removed before the program starts.
    run = 'mkdir "$0"; cd "$0"; rmdir "$0"; exec "$@"'
    command = ["sh", "-c", run, str(tmp_path / "gone"), *_PROGRAM, "list", "--db", "records.db"]
    done = subprocess.run(command, capture_output=True, timeout=60)
    assert done.returncode == 1
    assert "the folder that this was started in is gone" in told(done)


def test_a_home_that_nobody_knows_is_no_folder_here(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # What expanduser leaves as it is, of a user without HOME and without an entry in passwd.
    monkeypatch.setattr(
        "orchestrator.storage._url.user_data_dir", lambda *_, **__: "~/.local/share/tunefleet"
    )
    for words in (["list"], ["submit", "model.onnx"]):
        (tmp_path / "model.onnx").write_bytes(b"onnx")
        answer = cli(*words, db=False)
        assert answer.code == 2
        assert "set HOME, or name a database with --db" in answer.err
    assert not (tmp_path / "~").exists()


# -- what is written where


def test_records_go_to_stdout_and_words_to_stderr(cli: Cli, store: Storage) -> None:
    tuned(store)
    words = ["records", "export", "-o", "/dev/stdout", "--format", "jsonl"]
    done = program(*words, "--db", str(cli.db))
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert len(lines) > 90
    assert all(json.loads(line) for line in lines)
    assert "wrote 96 trials" in told(done)
    # Whoever reads may have enough.
    short = program(*words, "--db", str(cli.db), shell="| head -n 1")
    assert (short.returncode, short.stdout.count(b"\n")) == (0, 1)
    told(short)
    both = cli(*words, "--json")
    assert (both.code, "--json and /dev/stdout both are stdout" in both.err) == (2, True)


def test_a_device_is_not_replaced_by_a_library(
    cli: Cli, store: Storage, model: Path, toolbox: type[CannedToolbox]
) -> None:
    put_known_model(store, model)
    answer = cli("build", str(model), "-o", "/dev/null", "--unchecked")
    assert answer.code == 0
    assert Path("/dev/null").is_char_device()
    answer = cli("build", str(model), "-o", str(model), "--unchecked")
    assert answer.code == 2
    assert model.read_bytes() == b"onnx"


def test_without_a_terminal_schedules_are_shown_without_a_line_for_each(
    cli: Cli, store: Storage, model: Path, toolbox: type[CannedToolbox]
) -> None:
    tuned(store)
    put_known_model(store, model)
    answer = cli("best", str(model))
    assert answer.code == 0
    assert answer.out.count("schedule of") == 3
    assert answer.err == "looking for the target\n"
