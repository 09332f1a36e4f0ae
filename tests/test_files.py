"""What commands write: regular files are replaced whole, and nothing else is ever replaced."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from orchestrator.errors import UsageError
from orchestrator.files import leads_to_stdout, writable, writable_folder, write

_WRITE = (
    "import sys\n"
    "from orchestrator.files import writable, write\n"
    "write(writable(sys.argv[1]), b'data\\n')\n"
    "print('said afterwards')\n"
)


def written(path: str, **streams: object) -> subprocess.CompletedProcess[bytes]:
    """Write `data` to a path in a process of its own."""
    return subprocess.run([sys.executable, "-c", _WRITE, path], timeout=30, **streams)  # type: ignore[call-overload,no-any-return]


def test_a_device_is_written_into_and_stays_one(tmp_path: Path) -> None:
    link = tmp_path / "nowhere"
    link.symlink_to("/dev/null")
    for path in (Path("/dev/null"), link):
        write(writable(path), b"a library")
        assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert link.is_symlink()
    with pytest.raises(UsageError, match=r"/dev/full can't be written: No space left on device"):
        write(writable("/dev/full"), b"x" * 100_000)
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


def test_a_fifo_is_written_into_when_it_is_read(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(fifo.read_bytes()))
    target = writable(fifo)
    reader.start()
    write(target, b"records" * 20_000)
    reader.join(10)
    assert found == [b"records" * 20_000]
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def test_a_fifo_that_nobody_reads_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.files._READER_SECONDS", 0.2)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(UsageError, match="nobody reads this FIFO"):
        write(writable(fifo), b"x")


def test_a_socket_is_refused_before_the_work(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))
        with pytest.raises(UsageError, match="is a socket, which nothing is written to"):
            writable(path)
    assert stat.S_ISSOCK(path.stat().st_mode)


def test_stdout_by_another_name_is_stdout_wherever_it_leads(tmp_path: Path) -> None:
    for name in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"):
        assert leads_to_stdout(name)
        assert written(name, stdout=subprocess.PIPE).stdout == b"data\nsaid afterwards\n"
    log = tmp_path / "log"
    log.write_bytes(b"before\n")
    with log.open("ab") as appended:
        written("/dev/stdout", stdout=appended)
    # As the shell's `>> log` means it: nothing before it is lost.
    assert log.read_bytes() == b"before\ndata\nsaid afterwards\n"
    assert Path("/dev/stdout").is_symlink()
    assert not leads_to_stdout(log)
    assert not leads_to_stdout("/dev/stderr")


def test_a_descriptor_that_takes_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="/dev/fd/999 is not open"):
        writable("/dev/fd/999")
    with open(os.devnull) as read:
        done = written("/dev/stdin", stdin=read, stderr=subprocess.PIPE)
    assert b"/dev/stdin is open for reading only" in done.stderr


def test_a_link_to_a_file_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real.so", tmp_path / "link.so"
    real.write_bytes(b"old")
    link.symlink_to(real)
    write(writable(link), b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"
    hanging = tmp_path / "hanging.so"
    hanging.symlink_to(tmp_path / "made.so")
    write(writable(hanging), b"made")
    assert (tmp_path / "made.so").read_bytes() == b"made"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hanging.so", "link.so", "made.so", "real.so"]


def test_what_is_read_is_not_written_over(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(b"weights")
    (tmp_path / "link").symlink_to(model)
    for path in (model, tmp_path / "link"):
        with pytest.raises(UsageError, match="is what is read; name another file to write"):
            writable(path, read=[model])
    assert writable(tmp_path / "model.so", read=[model]) == tmp_path / "model.so"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anything")
def test_a_file_in_a_folder_that_can_not_be_written_to_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.so"
    file.write_bytes(b"old")
    tmp_path.chmod(0o555)
    with pytest.raises(UsageError, match=r"can't be written in .*: permission denied"):
        writable(file)
    tmp_path.chmod(0o755)


def test_a_log_s_folder_with_something_odd_under_a_name_of_its_own_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "records.json")
    with pytest.raises(UsageError, match=r"holds something else \(records.json, a FIFO\)"):
        writable_folder(tmp_path, {"records.json"})
    with pytest.raises(UsageError, match="is a FIFO; name the folder to write"):
        writable_folder(tmp_path / "records.json", {"records.json"})
