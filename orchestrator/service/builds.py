"""Libraries that are built for who asks: by the command `build`, in processes of their own, one by one."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.errors import NotFoundError
from orchestrator.service.refusals import RefusedError

__all__ = ["Build", "Builds"]

_LIMIT_SECONDS = 3600
_KEPT = 20
_WAITING = 20
_COMMAND = "import os; os.nice(10); from orchestrator.cli import main; main()"


@dataclass
class Build:
    """A library that was asked for.

    Attributes
    ----------
    state : {'waiting', 'building', 'done', 'failed'}
    report : dict
        The document of `tunefleet build`; empty before it is done.
    error : str
        Why it failed.
    """

    id: str
    model_id: int
    device_class: str
    state: str = "waiting"
    report: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    library: Path | None = None


class Builds:
    """The libraries of this service, the last twenty of them; they are gone when it ends.

    Parameters
    ----------
    db : str or None
        The database's URL, as it was given to this service.
    """

    def __init__(self, db: str | None) -> None:
        self._db = db
        self._lock = threading.Lock()
        self._builds: dict[str, Build] = {}
        # One at a time: a build takes all cores, and what is measured here meanwhile suffers by it.
        self._pool = ThreadPoolExecutor(1, "tunefleet-build")
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def start(
        self, model_id: int, device_class: str, arguments: Sequence[str], file: str = "model.so"
    ) -> Build:
        """Ask for a library.

        Parameters
        ----------
        arguments : sequence of str
            Of the command `build`, without where it is written to.
        file : str, optional
            What the library is called.

        Raises
        ------
        RefusedError
            Too many are waiting.
        """
        build = Build(uuid.uuid4().hex, model_id, device_class)
        with self._lock:
            waiting = sum(one.state in ("waiting", "building") for one in self._builds.values())
            if waiting >= _WAITING:
                raise RefusedError(
                    429, f"{waiting} libraries are being built or wait for that: ask again later"
                )
            self._builds[build.id] = build
            while len(self._builds) > _KEPT:
                old = next((one for one in self._builds.values() if one.state in ("done", "failed")), None)
                if old is None:
                    break
                del self._builds[old.id]
                if old.library is not None:
                    shutil.rmtree(old.library.parent, ignore_errors=True)
        self._pool.submit(self._run, build, list(arguments), file)
        return build

    def get(self, build_id: str) -> Build:
        """Return a library that was asked for.

        Raises
        ------
        NotFoundError
            None of that id, or so many came after it that it is gone.
        """
        with self._lock:
            build = self._builds.get(build_id)
        if build is None:
            raise NotFoundError(
                f"there is no build {build_id[:64]!r}: the last {_KEPT} are kept; ask for it anew"
            )
        return build

    def stop(self) -> None:
        """End what is being built, and remove what was."""
        self._stopped = True
        process = self._process
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        self._pool.shutdown(wait=True, cancel_futures=True)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, build: Build, arguments: list[str], file: str) -> None:
        if self._stopped:
            return
        build.state = "building"
        try:
            self._build(build, arguments, file)
        except Exception as error:
            build.error, build.state = f"the command could not be run: {error}", "failed"

    def _build(self, build: Build, arguments: list[str], file: str) -> None:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="tunefleet-builds-"))
        folder = self._folder / build.id
        folder.mkdir()
        library = folder / file
        # The database's URL may hold a password, which a command line would show to everyone here.
        environment = {**os.environ, **({"TUNEFLEET_DB": self._db} if self._db else {})}
        # Its own store is meant, whatever the one who started this works with otherwise.
        environment.pop("TUNEFLEET_SERVER", None)
        self._process = subprocess.Popen(
            [sys.executable, "-c", _COMMAND, "build", *arguments, "-o", str(library), "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        try:
            out, _ = self._process.communicate(timeout=_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.terminate()
            self._process.communicate()
            build.error, build.state = f"it took longer than {_LIMIT_SECONDS} s", "failed"
            return
        finally:
            self._process = None
        try:
            report = json.loads(out)
        except ValueError:
            report = {}
        if library.is_file() and "error" not in report:
            build.report, build.library, build.state = report, library, "done"
            return
        shutil.rmtree(folder, ignore_errors=True)
        build.error = report.get("error", {}).get("message", "the command ended without a word")
        build.state = "failed"
