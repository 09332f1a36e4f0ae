"""An engine process: what it answers, what it survives, and that nothing of it stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from workers.errors import EngineError, EngineLostError, EngineTimeoutError, ModelError, TargetError
from workers.process.engine_process import EngineProcess
from workers.process.protocol import Role

Eventually = Callable[..., None]
Running = Callable[[int], bool]

#: More than the pipe between two processes holds.
LARGE = 4_000_000


@pytest.fixture(scope="module")
def shared() -> Iterator[EngineProcess]:
    """An engine process for the tests that leave it as they found it."""
    with EngineProcess("stand_in_engines.plain", "build") as process:
        yield process


@pytest.fixture
def own() -> Iterator[EngineProcess]:
    """An engine process to do harm to."""
    with EngineProcess("stand_in_engines.plain", "build") as process:
        yield process


# -- calls


def test_a_call_returns_what_the_method_returns(shared: EngineProcess) -> None:
    assert shared.call("add", 2, b=3) == 5


def test_every_call_runs_in_a_process_of_its_own(shared: EngineProcess) -> None:
    pids = {shared.call("pid") for _ in range(3)}
    assert len(pids) == 3
    assert shared.pid not in pids


def test_a_child_collects_its_own_garbage_and_does_not_go_through_what_was_imported(
    shared: EngineProcess,
) -> None:
    assert shared.call("garbage") == (True, False)


def test_calls_run_side_by_side(shared: EngineProcess) -> None:
    started = time.monotonic()
    futures = [shared.submit("sleep", 0.5) for _ in range(6)]
    assert [future.result() for future in futures] == ["slept"] * 6
    assert time.monotonic() - started < 2.0


def test_many_threads_may_send_and_receive_what_no_pipe_holds(shared: EngineProcess) -> None:
    data = bytes(LARGE)
    sizes: list[int] = []

    def send() -> None:
        futures = [shared.submit("echo", data, timeout_s=60) for _ in range(4)]
        sizes.extend(len(future.result(60)) for future in futures)

    threads = [threading.Thread(target=send, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sizes == [LARGE] * 16


@pytest.mark.parametrize(("kind", "expected"), [("ModelError", ModelError), ("TargetError", TargetError)])
def test_an_error_of_the_tree_arrives_as_itself_with_the_stage(
    shared: EngineProcess, kind: str, expected: type[Exception]
) -> None:
    with pytest.raises(expected, match=r"^what the engine said$") as caught:
        shared.call("fail", kind, "what the engine said")
    assert caught.value.stage == "failing"  # type: ignore[attr-defined]


def test_another_error_arrives_as_an_engine_error_that_names_it(shared: EngineProcess) -> None:
    with pytest.raises(EngineError, match="ValueError while failing: nothing like that"):
        shared.call("fail", "ValueError", "nothing like that")


def test_a_method_that_is_not_there_is_an_error_and_no_more(shared: EngineProcess) -> None:
    with pytest.raises(EngineError, match="AttributeError"):
        shared.call("no_such_method")
    assert shared.call("add", 1) == 1


def test_an_answer_that_cannot_be_sent_or_read_costs_its_call_alone(shared: EngineProcess) -> None:
    other = shared.submit("sleep", 0.3)
    with pytest.raises(EngineError, match="pickle"):
        shared.call("unpicklable")
    with pytest.raises(EngineError, match="can't be read here"):
        shared.call("unreadable")
    assert other.result(10) == "slept"


# -- time limits and crashes


def test_a_call_past_its_limit_is_killed(shared: EngineProcess) -> None:
    started = time.monotonic()
    with pytest.raises(EngineTimeoutError, match=r"killed after 0\.3 s while sleeping"):
        shared.call("sleep", 60, timeout_s=0.3)
    assert time.monotonic() - started < 5


def test_what_a_killed_call_had_started_dies_with_it(
    shared: EngineProcess, tmp_path: Path, eventually: Eventually, running: Running
) -> None:
    note = tmp_path / "pid"
    with pytest.raises(EngineTimeoutError):
        shared.call("with_grandchild", str(note), timeout_s=2.0)
    grandchild = int(note.read_text())
    eventually(lambda: not running(grandchild), "the grandchild is gone")


def test_a_segfault_costs_one_call(shared: EngineProcess) -> None:
    before = shared.pid
    slow = shared.submit("sleep", 0.5)
    with pytest.raises(EngineLostError, match=r"signal 11 \(SIGSEGV\) while crashing"):
        shared.call("crash")
    assert slow.result(10) == "slept"
    assert shared.pid == before


def test_a_call_that_ends_its_process_is_reported_with_the_exit_code(shared: EngineProcess) -> None:
    with pytest.raises(EngineLostError, match="exit code 5"):
        shared.call("leave", 5)


# -- sessions


def test_a_session_keeps_its_state_in_one_process(shared: EngineProcess) -> None:
    shared.open("s", "counter", 10)
    first, pid = shared.use("s", "add", 1)
    second, again = shared.use("s", "add", 2)
    shared.close("s")
    assert (first, second) == (11, 13)
    assert pid == again


def test_sessions_do_not_see_each_other(shared: EngineProcess) -> None:
    for name in ("a", "b"):
        shared.open(name, "counter", 0)
    shared.use("a", "add", 5)
    assert shared.use("b", "add", 1)[0] == 1
    for name in ("a", "b"):
        shared.close(name)


def test_a_session_that_raised_goes_on(shared: EngineProcess) -> None:
    shared.open("s", "counter", 1)
    with pytest.raises(EngineError, match="this one failed"):
        shared.use("s", "fail")
    assert shared.use("s", "add", 1)[0] == 2
    shared.close("s")


def test_a_session_that_cannot_open_says_why_and_is_not_there(shared: EngineProcess) -> None:
    with pytest.raises(ModelError, match="no counter for this"):
        shared.open("s", "broken_counter")
    with pytest.raises(EngineLostError):
        shared.use("s", "add", 1)


def test_a_dead_session_is_reported_once_it_is_used(shared: EngineProcess) -> None:
    shared.open("s", "counter", 0)
    with pytest.raises(EngineLostError, match="SIGSEGV"):
        shared.use("s", "crash")
    with pytest.raises(EngineLostError):
        shared.use("s", "add", 1)


def test_a_session_past_its_limit_is_gone(shared: EngineProcess) -> None:
    shared.open("s", "counter", 0)
    with pytest.raises(EngineTimeoutError):
        shared.use("s", "sleep", 60, timeout_s=0.3)
    with pytest.raises(EngineLostError):
        shared.use("s", "add", 1)


def test_closing_a_session_ends_its_process_and_fails_what_it_was_doing(
    shared: EngineProcess, eventually: Eventually, running: Running
) -> None:
    shared.open("s", "counter", 0)
    _, pid = shared.use("s", "add", 0)
    errors: list[BaseException] = []

    def wait() -> None:
        try:
            shared.use("s", "sleep", 60)
        except EngineLostError as error:
            errors.append(error)

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    time.sleep(0.2)
    shared.close("s")
    waiting.join(10)
    assert len(errors) == 1
    eventually(lambda: not running(pid), "the session's process is gone")


def test_opening_a_session_anew_ends_the_old_one(
    shared: EngineProcess, eventually: Eventually, running: Running
) -> None:
    shared.open("s", "counter", 0)
    _, old = shared.use("s", "add", 7)
    shared.open("s", "counter", 0)
    assert shared.use("s", "add", 1)[0] == 1
    eventually(lambda: not running(old), "the old session's process is gone")
    shared.close("s")


def test_requests_of_one_session_are_answered_in_their_order(shared: EngineProcess) -> None:
    shared.open("s", "counter", 0)
    futures = [
        shared.submit_use("s", "sleep", 0.2),
        *(shared.submit_use("s", "add", 1) for _ in range(3)),
    ]
    answers = [future.result(10) for future in futures]
    shared.close("s")
    assert answers[0] == "slept"
    assert [answer[0] for answer in answers[1:]] == [1, 2, 3]


# -- pausing


def test_paused_work_stands_still_and_goes_on_after(
    shared: EngineProcess, tmp_path: Path, eventually: Eventually
) -> None:
    count = tmp_path / "count"
    future = shared.submit("count_into", str(count), timeout_s=4.0)
    eventually(lambda: count.exists() and count.read_text(), "it counts")
    shared.pause()
    time.sleep(0.2)
    stopped_at = count.read_text()
    time.sleep(0.5)
    assert count.read_text() == stopped_at
    shared.resume()
    eventually(lambda: count.read_text() not in ("", stopped_at), "it counts on")
    with pytest.raises(EngineTimeoutError):
        future.result(10)


def test_time_limits_do_not_run_while_paused(shared: EngineProcess) -> None:
    future = shared.submit("work_for", 0.3, timeout_s=1.5)
    time.sleep(0.1)
    shared.pause()
    time.sleep(2.5)
    shared.resume()
    assert future.result(10) > 2.0


def test_what_is_asked_while_paused_is_done_after(shared: EngineProcess) -> None:
    shared.pause()
    future = shared.submit("add", 1, 1)
    time.sleep(0.3)
    assert not future.done()
    shared.resume()
    assert future.result(10) == 2


def test_a_large_answer_that_a_pause_cut_in_half_arrives_after(shared: EngineProcess) -> None:
    for _ in range(10):
        future = shared.submit("blob", LARGE)
        time.sleep(0.01)
        shared.pause()
        time.sleep(0.05)
        shared.resume()
        assert len(future.result(10)) == LARGE


def test_a_large_request_to_a_paused_session_waits_for_it(shared: EngineProcess) -> None:
    shared.open("s", "counter", 0)
    shared.pause()
    future = shared.submit_use("s", "size", bytes(LARGE), timeout_s=5.0)
    time.sleep(0.2)
    shared.resume()
    assert future.result(10) == LARGE
    shared.close("s")


def test_services_run_on_while_paused(shared: EngineProcess) -> None:
    shared.pause()
    value, _ = shared.spawn("service", "serve", "up", timeout_s=10)
    shared.resume()
    shared.end("service")
    assert value == "up"


# -- services


def test_a_service_that_ends_by_itself_is_reported_with_the_reason(eventually: Eventually) -> None:
    ended: list[tuple[str, str]] = []
    with EngineProcess(
        "stand_in_engines.plain", "build", on_exit=lambda *what: ended.append(what)
    ) as process:
        assert process.spawn("brief", "serve_briefly", 0.1, timeout_s=10) == "up"
        eventually(lambda: ended, "its end is reported")
        _, pid = process.spawn("killed", "serve", "x", timeout_s=10)
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: len(ended) == 2, "the other's end is reported")
    assert ended[0] == ("brief", "its process ended with exit code 3")
    assert ended[1] == ("killed", "its process was killed by signal 9 (SIGKILL)")


def test_a_service_that_was_ended_on_purpose_is_not_reported(
    eventually: Eventually, running: Running
) -> None:
    ended: list[tuple[str, str]] = []
    with EngineProcess(
        "stand_in_engines.plain", "build", on_exit=lambda *what: ended.append(what)
    ) as process:
        _, pid = process.spawn("service", "serve", "x", timeout_s=10)
        process.end("service")
        eventually(lambda: not running(pid), "the service is gone")
        process.call("add", 1)
        time.sleep(0.1)
    assert ended == []


def test_a_service_that_does_not_come_up_is_killed_at_its_limit(shared: EngineProcess) -> None:
    with pytest.raises(EngineTimeoutError):
        shared.spawn("never", "never_ready", timeout_s=0.3)


# -- the process itself


def test_an_engine_that_cannot_be_imported_says_what_is_missing() -> None:
    process = EngineProcess("stand_in_engines.broken", "build")
    with pytest.raises(EngineError, match="No module named 'a_tvm_that_is_not_installed'"):
        process.call("add", 1)
    assert process.pid is None


def test_an_engine_that_does_not_exist_is_named() -> None:
    with pytest.raises(EngineError, match="no_such_engine"):
        EngineProcess("no_such_engine", "build").call("add", 1)


def test_an_engine_that_dies_while_it_starts_is_quoted() -> None:
    with pytest.raises(EngineLostError, match="the library said its last words"):
        EngineProcess("stand_in_engines.dying", "build").call("add", 1)


def test_after_its_process_was_killed_calls_fail_and_the_next_one_starts_another(own: EngineProcess) -> None:
    own.start()
    under_way = own.submit("sleep", 60)
    time.sleep(0.2)
    first = own.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    with pytest.raises(EngineLostError, match="process ended"):
        under_way.result(10)
    assert own.call("add", 2, 2) == 4
    assert own.pid not in (None, first)


def test_killing_the_process_takes_its_calls_sessions_and_services_along(
    own: EngineProcess, eventually: Eventually, running: Running
) -> None:
    own.open("s", "counter", 0)
    call = own.submit("sleep", 60)
    _, service = own.spawn("service", "serve", "x", timeout_s=10)
    assert own.pid is not None
    children = [child.pid for child in psutil.Process(own.pid).children(recursive=True)]
    assert service in children
    assert len(children) == 3
    os.kill(own.pid, signal.SIGKILL)
    eventually(lambda: not any(map(running, children)), "nothing of it is left")
    assert isinstance(call.exception(10), EngineLostError)


def test_stopping_leaves_nothing_behind_even_where_it_was_paused(
    own: EngineProcess, tmp_path: Path, eventually: Eventually, running: Running
) -> None:
    note = tmp_path / "pid"
    own.open("s", "counter", 0)
    own.submit("with_grandchild", str(note))
    eventually(lambda: note.exists() and note.read_text(), "it has a grandchild")
    own.pause()
    assert own.pid is not None
    family = psutil.Process(own.pid).children(recursive=True)
    pids = [own.pid, *(child.pid for child in family)]
    assert int(note.read_text()) in pids
    own.stop()
    eventually(lambda: not any(map(running, pids)), "nothing of it is left")


def test_a_stopped_process_does_not_start_again(own: EngineProcess) -> None:
    own.start()
    own.stop()
    with pytest.raises(EngineLostError):
        own.call("add", 1)
    assert own.pid is None


_OWNER = """
import sys, time
from workers.process.engine_process import EngineProcess
process = EngineProcess("stand_in_engines.plain", "build")
process.open("s", "counter", 0)
process.submit("sleep", 600)
process.submit("with_grandchild", sys.argv[1])
process.spawn("service", "serve", "x")
print(process.pid, flush=True)
time.sleep(600)
"""


def test_nothing_outlives_an_owner_that_was_killed(
    tmp_path: Path, eventually: Eventually, running: Running
) -> None:
    note = tmp_path / "pid"
    owner = subprocess.Popen(
        [sys.executable, "-c", _OWNER, str(note)], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    try:
        assert owner.stdout is not None
        host = int(owner.stdout.readline())
        eventually(lambda: note.exists() and note.read_text(), "the grandchild is there")
        pids = [host, *(child.pid for child in psutil.Process(host).children(recursive=True))]
        assert len(pids) == 6
    finally:
        owner.kill()
        owner.wait()
    eventually(lambda: not any(map(running, pids)), "nothing of it is left")


@pytest.mark.parametrize(("role", "has_it"), [("search", True), ("build", False), ("measure", False)])
def test_searches_alone_run_with_another_allocator(role: Role, *, has_it: bool) -> None:
    with EngineProcess("stand_in_engines.plain", role) as process:
        process.start()
        maps = Path(f"/proc/{process.pid}/maps").read_text()
    assert ("libjemalloc" in maps) is has_it


def test_measuring_imports_nothing_that_its_process_has_not() -> None:
    # Each measurement is a fork of a warm process, and what it imports itself it imports every time.
    program = """
import sys
from workers.environments.packages import load
load("metaschedule").warm("measure")
warm = set(sys.modules)
from tvm.runtime.module import BenchmarkResult
BenchmarkResult((0.1,))
"localhost".encode("idna")
print(sorted(set(sys.modules) - warm))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.skipif(os.geteuid() != 0, reason="a file system of its own takes root")
def test_a_call_that_dies_where_there_is_no_space_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)]).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        (tmp_path / "most of it").write_bytes(bytes(1_000_000))
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        with (
            EngineProcess("stand_in_engines.plain", "build") as process,
            pytest.raises(EngineLostError) as lost,
        ):
            process.call("crash")
        assert str(lost.value) == (
            "its process was killed by signal 11 (SIGSEGV) while crashing; "
            f"{tmp_path} is full: free some space, or set TMPDIR to another folder"
        )
    finally:
        subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)
