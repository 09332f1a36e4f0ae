"""A campaign that another process follows, watched from outside, and all processes that one ever started."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from orchestrator.storage import Storage

_FOLLOW = """
import json, sys
import orchestrator as tf

class Aloud:
    def activity(self, text):
        print("activity", text, flush=True)
    def changed(self, campaign_id):
        pass

store = tf.Storage.open(sys.argv[1])
try:
    outcome = tf.follow(store, int(sys.argv[2]), listener=Aloud())
except tf.TunefleetError as error:
    print("error", json.dumps([type(error).__name__, str(error)]), flush=True)
    sys.exit(1)
print("outcome", json.dumps({
    "state": outcome.campaign.state.value,
    "measured": outcome.measured,
    "already_stored": outcome.already_stored,
    "interrupted": outcome.interrupted,
    "reports": len(outcome.reports),
}), flush=True)
"""


_COORDINATE = """
import json, sys
import orchestrator as tf

class Aloud:
    def activity(self, text):
        print("activity", text, flush=True)
    def changed(self, campaign_id):
        pass

interrupted = False
try:
    tf.coordinate(tf.Storage.open(sys.argv[1]), listener=Aloud(), until_idle=True)
except KeyboardInterrupt:
    interrupted = True
print("outcome", json.dumps({"interrupted": interrupted}), flush=True)
"""


class Followed:
    """A process that follows a campaign; without one, a coordinator of all that wait."""

    def __init__(self, url: str, campaign: int | None = None) -> None:
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-c", _COORDINATE, url]
            if campaign is None
            else [sys.executable, "-c", _FOLLOW, url, str(campaign)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Its own group, as a shell would give it; a Ctrl-C goes to the whole group.
            start_new_session=True,
        )
        self.activities: list[str] = []
        self.said: dict[str, Any] = {}
        self.family: dict[tuple[int, float], psutil.Process] = {}
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._read, self._watch)]
        self._errors = ""
        for thread in self._threads:
            thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            kind, _, rest = line.strip().partition(" ")
            if kind == "activity":
                self.activities.append(rest)
            elif kind in ("outcome", "error"):
                self.said[kind] = json.loads(rest)

    def _watch(self) -> None:
        try:
            root = psutil.Process(self.process.pid)
            while self.process.poll() is None:
                for process in root.children(recursive=True):
                    self.family[process.pid, process.create_time()] = process
                time.sleep(0.1)
        except psutil.NoSuchProcess:
            pass

    # -- what it does

    def living(self) -> list[str]:
        """Return what of all it ever started still runs."""
        found = []
        for process in list(self.family.values()):
            try:
                if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(f"{process.pid} {' '.join(process.cmdline())[:120]}")
            except psutil.NoSuchProcess:
                continue
        return found

    def named(self, *words: str) -> list[psutil.Process]:
        """Return its living processes whose command line has all these words, without forks of them."""
        found = []
        for process in list(self.family.values()):
            try:
                command, parent = process.cmdline(), process.parent()
                forked = parent is not None and parent.cmdline() == command
                if not forked and all(word in " ".join(command) for word in words):
                    found.append(process)
            except psutil.NoSuchProcess:
                continue
        return found

    def wait_until(self, condition: Callable[[], object], what: str, seconds: float = 240.0) -> None:
        until = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, f"it ended before {what}: {self.said} {self.errors()}"
            assert time.monotonic() < until, f"not after {seconds:g} s: {what}; last: {self.activities[-3:]}"
            time.sleep(0.02)

    def wait_for_trials(self, store: Storage, campaign: int, count: int) -> None:
        self.wait_until(lambda: trials(store, campaign) >= count, f"{count} trials are stored")

    def interrupt(self, number: int = signal.SIGINT) -> None:
        """Do what a terminal does at Ctrl-C."""
        psutil.Process(self.process.pid).send_signal(number)

    def end(self, seconds: float = 240.0) -> dict[str, Any]:
        """Wait for its end and return what it said last."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"it does not end; last: {self.activities[-3:]}") from None
        for thread in self._threads:
            thread.join(5)
        assert self.said, f"it ended with {self.process.returncode}: {self.errors()}"
        result: dict[str, Any] = self.said.get("outcome") or {"error": self.said["error"]}
        return result

    def errors(self) -> str:
        assert self.process.stderr is not None
        if self.process.poll() is not None and not self._errors:
            self._errors = self.process.stderr.read()
        return self._errors[-2000:]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def trials(store: Storage, campaign: int) -> int:
    """Count the stored trials of a campaign's tasks."""
    return sum(row.stored for row in store.tasks.of_campaign(campaign))


#: A node's helpers: where Ray was killed, they try for a minute to tell its head, which is gone too.
RAYS_OWN = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")


def everything_is_gone(followed: Followed, seconds: float = 20.0, but: tuple[str, ...] = ()) -> None:
    """Fail where anything it started outlives it by more than this."""
    until = time.monotonic() + seconds
    while left := [line for line in followed.living() if not any(name in line for name in but)]:
        assert time.monotonic() < until, "still there:\n" + "\n".join(left)
        time.sleep(0.2)


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"
