"""What tuning needs on this machine: found or not, and how to mend it.

Nothing here changes anything, and every check ends: whatever could hang has a time limit.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import pathlib
import platform
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from orchestrator.errors import TunefleetError, UsageError
from workers import cuda, environments

__all__ = ["Check", "Status", "examine"]

DISTRIBUTION = "tunefleet"
#: What is worth a line of its own; the rest of the requirements is one line together.
_TOLD = ("apache-tvm", "apache-tvm-ffi", "ray", "xgboost", "onnx", "onnxruntime", "sqlalchemy")
#: Why a bound is there, where a person would wonder.
_REASONS = {
    "apache-tvm": "MetaSchedule lives under another name in every other release",
    "apache-tvm-ffi": "0.1.15.post2 segfaults when it saves a schedule",
}
# The order in which TVM looks for what links its libraries.
_COMPILERS = ("g++", "gcc", "clang++", "clang", "c++", "cc")
_TRACKER_PORTS = (9190, 9890)
_SERVER_PORTS = (9090, 9890)
_PORTS_TRIED = 20

_ENGINE_SECONDS = 120.0
_TOOL_SECONDS = 10.0
_DATABASE_SECONDS = 5.0

_MIB = 2**20
_GIB = 2**30
# An engine process with TVM in it takes some 250 MiB, and there are several for each core.
_MEMORY_WARN = 3 * _GIB
# Ray's shared memory; with less it falls back to a folder on disk, with a warning of its own.
_SHM_WARN = 256 * _MIB
_DISK_WARN = 1 * _GIB
_DISK_FAIL = 50 * _MIB


class Status(str, Enum):
    """How a check came out."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Check:
    """One finding.

    Attributes
    ----------
    name : str
    status : Status
        ``warn`` says that tuning works, but not well, or not everywhere.
    found : str
        What is there.
    mend : str
        What to do about it; empty where nothing is to be done.
    """

    name: str
    status: Status
    found: str
    mend: str = ""


def examine(
    db: str | None = None, engine: str = "metaschedule", say: Callable[[str], None] = lambda _: None
) -> list[Check]:
    """Make all checks; takes seconds, and two minutes at the very most where an engine hangs.

    Parameters
    ----------
    db : str or None
        Database URL; None for the default file.
    say : callable
        Told what is being looked at.
    """
    checks = [check_python(), *check_packages(), check_compiler()]
    own = check_environment(engine)
    checks += [own] if own is not None else []
    # It would fail of what was found already.
    if own is None or own.status is Status.OK:
        say(f"starting the {engine} engine")
        checks.append(check_engine(engine))
    say("looking around")
    others = [check_environment(name, optional=True) for name in environments.names() if name != engine]
    checks += [check for check in others if check is not None]
    checks += [
        check_gpu(),
        check_cuda(),
        check_jobs(),
        check_database(db),
        check_disk("free disk", _database_folder(db)),
        check_ports("tracker port", _TRACKER_PORTS),
        check_ports("RPC server port", _SERVER_PORTS),
        check_machine(),
        check_shared_memory(),
        check_home(),
    ]
    return checks


def check_python() -> Check:
    """Is this Python one that the project runs on?"""
    found = f"{platform.python_version()} ({sys.executable})"
    wanted = _metadata_text("Requires-Python") or ">=3.11"
    if _satisfies(platform.python_version(), wanted) is False:
        return Check("Python", Status.FAIL, found, f"make a virtual environment with Python {wanted}")
    return Check("Python", Status.OK, found)


def check_packages() -> list[Check]:
    """Are the packages there, in versions within the bounds?"""
    try:
        requirements = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return [
            Check(
                DISTRIBUTION,
                Status.FAIL,
                "not installed as a package",
                "pip install . in the project's folder",
            )
        ]
    checks: list[Check] = []
    others: list[str] = []
    for requirement in requirements:
        if "extra ==" in requirement:
            continue
        check = check_package(requirement)
        if check.name in _TOLD or check.status is not Status.OK:
            checks.append(check)
        else:
            others.append(f"{check.name} {check.found.partition(' ')[0]}")
    if others:
        checks.append(Check("other packages", Status.OK, ", ".join(others)))
    return checks


def check_package(requirement: str) -> Check:
    """Is what a requirement asks for installed?"""
    requirement = requirement.partition(";")[0].strip()
    name = _name(requirement)
    bounds = requirement[len(name) :].strip()
    mend = f"pip install '{requirement}'"
    why = f" ({_REASONS[name]})" if name in _REASONS else ""
    version = _version(name)
    if version is None:
        return Check(name, Status.FAIL, f"missing, needs {bounds}", mend)
    fits = _satisfies(version, bounds)
    if fits is None:
        return Check(
            name, Status.WARN, f"{version}, could not be compared with {bounds}", "pip install packaging"
        )
    if not fits:
        return Check(name, Status.FAIL, f"{version}, needs {bounds}{why}", mend)
    return Check(name, Status.OK, f"{version} ({bounds})")


def check_compiler() -> Check:
    """Is there something that links what TVM compiles?"""
    named = os.environ.get("CXX") or os.environ.get("CC")
    candidates = [named] if named else list(_COMPILERS)
    path = next(filter(None, map(shutil.which, candidates)), None)
    if path is None:
        where = (
            f"{named!r}, named by CXX or CC, is not there" if named else f"none of {', '.join(_COMPILERS)}"
        )
        return Check(
            "C compiler", Status.FAIL, where, "apt-get install gcc g++, or what your system calls them"
        )
    text = _output(path, "--version")
    if text is None:
        return Check(
            "C compiler", Status.FAIL, f"{path} doesn't run", "install it anew, or name another with CXX"
        )
    return Check("C compiler", Status.OK, f"{path}: {text.splitlines()[0] if text else 'no version'}")


def check_environment(engine: str, *, optional: bool = False) -> Check | None:
    """Is the environment there that an engine needs? None where it runs in this one.

    Parameters
    ----------
    optional : bool
        Without it other engines work: that is no fault.
    """
    name = f"{engine} environment"
    found = environments.status(engine)
    if not found.ready:
        if optional and found.python is None:
            return Check(name, Status.OK, "not installed (optional)", found.mend)
        return Check(name, Status.WARN if optional else Status.FAIL, found.missing, found.mend)
    if not found.own:
        return None
    versions = "".join(f", {library} {version}" for library, version in found.versions.items())
    return Check(name, Status.OK, f"Python {found.python_version} ({found.python}){versions}")


def check_engine(engine: str, *, timeout_s: float = _ENGINE_SECONDS) -> Check:
    """Does the engine start, and what target does it find?"""
    from orchestrator.fleet import Toolbox

    name = f"{engine} engine"
    results: list[Check] = []
    tools = Toolbox(engine)

    def ask() -> None:
        try:
            device = tools.resolve_target("auto")
            results.append(
                Check(name, Status.OK, f"{tools.engine_version()}, target {device.target} on {device.model}")
            )
        except TunefleetError as error:
            results.append(
                Check(name, Status.FAIL, str(error), "mend what failed above, then run this again")
            )
        except Exception as error:  # a broken installation may raise anything
            results.append(
                Check(name, Status.FAIL, f"{type(error).__name__}: {error}", "install the project anew")
            )

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(timeout_s)
    found = list(results)
    # It also ends a start that hangs.
    tools.stop()
    if not found:
        return Check(
            name, Status.FAIL, f"no answer within {timeout_s:.0f} s", "is the machine overloaded? try again"
        )
    return found[0]


def check_gpu() -> Check:
    """Is there a GPU? Without one, tuning is for the CPU."""
    tool = shutil.which("nvidia-smi")
    text = (
        _output(tool, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")
        if tool
        else None
    )
    if not text:
        return Check("GPU", Status.OK, "none found; tuning is for the CPU")
    return Check("GPU", Status.OK, "; ".join(line.strip() for line in text.splitlines()))


def check_cuda() -> Check:
    """Can kernels for a GPU be compiled here, and does TVM get to a GPU that is here?

    Neither is missed where there is no GPU and none is built for.
    """
    name = "CUDA"
    here = shutil.which("nvidia-smi") is not None
    compiler = cuda.compiler()
    found = cuda.nvcc() if compiler == "nvcc" else compiler
    if here and not cuda.has_runtime():
        mend = f"pip install '{DISTRIBUTION}[cuda]', or the CUDA 13 toolkit"
        return Check(name, Status.WARN, f"TVM can't use the GPU without {cuda.RUNTIME}", mend)
    if compiler:
        return Check(name, Status.OK, f"compiled with {found}")
    if not here:
        return Check(
            name, Status.OK, "no compiler; libraries for a GPU hold source, which its machine compiles"
        )
    mend = f"pip install '{DISTRIBUTION}[cuda]', or the CUDA toolkit with nvcc on the path"
    return Check(name, Status.WARN, "no compiler, so that nothing can be measured on the GPU", mend)


def check_jobs() -> Check:
    """Is there what Ray's jobs take, with which a cluster of `ray up` runs its coordinator?

    Nothing else needs it, so that it is no fault where it isn't there.
    """
    name = "Ray's jobs"
    try:
        requirements = importlib.metadata.requires("ray") or []
    except importlib.metadata.PackageNotFoundError:
        return Check(name, Status.OK, "no Ray, see above")
    # What others of Ray's extras bring too is named by several.
    wanted = dict.fromkeys(_name(each) for each in requirements if 'extra == "default"' in each)
    missing = [each for each in wanted if _version(each) is None]
    if missing:
        mend = "for `ray job` and clusters of `ray up`: pip install -c constraints.txt -e '.[cluster]'"
        found = f"not installed (optional): {len(missing)} of the {len(wanted)} packages of ray[default]"
        return Check(name, Status.OK, found, mend)
    return Check(name, Status.OK, "what ray[default] brings is here")


def check_database(db: str | None) -> Check:
    """Can the database be read and written, and is its schema this release's?"""
    from orchestrator.storage import Storage, default_path, safe_url

    name = "database"
    path = _database_path(db)
    where = str(path) if path else safe_url(db or "")
    if path is not None and not path.exists():
        folder = path.parent
        if db is not None and not folder.is_dir():
            return Check(
                name, Status.FAIL, f"there is no folder {folder}", "make it, or name another file with --db"
            )
        folder = _nearest_folder(folder)
        if not os.access(folder, os.W_OK | os.X_OK):
            return Check(name, Status.FAIL, f"{folder} can't be written to", "name another file with --db")
        return Check(name, Status.OK, f"{where} (will be made)")
    try:
        revision = Storage.check(db, patience_s=_DATABASE_SECONDS)
    except TunefleetError as error:
        # The text says what to do.
        return Check(name, Status.FAIL, str(error))
    if path is not None and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK | os.X_OK)):
        mend = f"give yourself write permission on it and on {path.parent}"
        return Check(name, Status.FAIL, f"{where} can be read only", mend)
    default = " (the default)" if path == default_path() else ""
    return Check(name, Status.OK, f"{where}{default}, schema {revision}")


def check_disk(name: str, folder: pathlib.Path) -> Check:
    """Is there room for records?"""
    try:
        free = shutil.disk_usage(_nearest_folder(folder)).free
    except OSError as error:
        return Check(name, Status.WARN, f"{folder}: {error.strerror}")
    found = f"{_size(free)} in {folder}"
    if free < _DISK_FAIL:
        return Check(name, Status.FAIL, found, "free some space, or keep the database elsewhere with --db")
    if free < _DISK_WARN:
        return Check(name, Status.WARN, found, "free some space")
    return Check(name, Status.OK, found)


def check_ports(name: str, ports: tuple[int, int]) -> Check:
    """Is a loopback port free where the tracker or a server will look for one?"""
    first, last = ports
    for port in range(first, min(last, first + _PORTS_TRIED)):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return Check(name, Status.OK, f"{port} on loopback is free")
    mend = "end what listens there (`ss -ltnp` lists it)"
    return Check(
        name, Status.WARN, f"{first} to {port} on loopback are all taken; later ones will be tried", mend
    )


def check_machine() -> Check:
    """How many cores, how much memory?"""
    import psutil

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = psutil.virtual_memory()
    found = f"{cores} cores, {_size(memory.available)} of {_size(memory.total)} memory available"
    if memory.available < _MEMORY_WARN:
        return Check("machine", Status.WARN, found, "end other programs, or use fewer cores with --slots")
    if cores < 2:
        return Check("machine", Status.WARN, found, "search and measurement will take turns on the one core")
    return Check("machine", Status.OK, found)


def check_shared_memory(folder: pathlib.Path = pathlib.Path("/dev/shm")) -> Check:
    """Is there shared memory for Ray?"""
    name = "shared memory"
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return Check(
            name, Status.WARN, f"there is no {folder}", "Ray will use a folder on disk, which is slower"
        )
    found = f"{_size(free)} free in {folder}"
    if free < _SHM_WARN:
        return Check(name, Status.WARN, found, "give more of it (in a container: --shm-size=1g)")
    return Check(name, Status.OK, found)


def check_home() -> Check:
    """Can Ray keep its token and its logs?"""
    name = "home and temporary folder"
    # Ray 2.60 writes a token under the home directory, and its session under the temporary one.
    home, temporary = pathlib.Path.home(), pathlib.Path(os.environ.get("TMPDIR", "/tmp"))
    for folder in (home, temporary):
        if not os.access(folder, os.W_OK | os.X_OK):
            return Check(
                name, Status.FAIL, f"{folder} can't be written to", "set HOME and TMPDIR to folders of yours"
            )
    return Check(name, Status.OK, f"{home}, {temporary}")


# -- helpers


def _name(requirement: str) -> str:
    for mark in "<>=!~ [;":
        requirement = requirement.partition(mark)[0]
    return requirement


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _metadata_text(field: str) -> str | None:
    try:
        values: list[str] | None = importlib.metadata.metadata(DISTRIBUTION).get_all(field)
    except importlib.metadata.PackageNotFoundError:
        return None
    return values[0] if values else None


def _satisfies(version: str, bounds: str) -> bool | None:
    """Compare by Python's rules for versions; None where the package that knows them is missing."""
    try:
        from packaging.specifiers import SpecifierSet
    except ImportError:
        return None
    return SpecifierSet(bounds).contains(version, prereleases=True)


def _output(*command: str | None) -> str | None:
    """Return what a command says; None where it fails or takes too long."""
    try:
        done = subprocess.run(
            [part for part in command if part],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TOOL_SECONDS,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _database_path(db: str | None) -> pathlib.Path | None:
    """The file of a SQLite database; None for a server, or for a URL that can't be read."""
    from orchestrator.storage import Storage

    try:
        return Storage(db).path
    except UsageError:
        return None


def _database_folder(db: str | None) -> pathlib.Path:
    path = _database_path(db)
    return path.parent if path else pathlib.Path.cwd()


def _nearest_folder(folder: pathlib.Path) -> pathlib.Path:
    """The folder itself, or the first above it that is there."""
    return next((path for path in (folder, *folder.parents) if path.is_dir()), pathlib.Path("/"))


def _size(number: float) -> str:
    return f"{number / _GIB:.1f} GiB" if number >= _GIB else f"{number / _MIB:.0f} MiB"
