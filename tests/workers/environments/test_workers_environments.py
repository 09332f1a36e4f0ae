"""Environments of engines: which Python is taken, what makes one, and that half of one is never taken."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import workers
from workers import environments
from workers.environments.packages import VARIABLE
from workers.errors import EngineError, UsageError
from workers.process.engine_process import EngineProcess

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


class World:
    """Engine packages that a test makes up, and an engines folder of its own."""

    def __init__(self, path: Path) -> None:
        self.packages, self.engines = path / "packages", path / "engines"

    def engine(self, name: str, *, check: str = "import json", python: str = HERE) -> str:
        """Make an engine that needs an environment, in which nothing is to be installed."""
        package = self.packages / name
        package.mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").touch()
        (package / "requirements.txt").write_text(f"# python: {python}\n# check: {check}\n")
        return name

    def made(self) -> list[str]:
        """What is in the engines folder, locks apart."""
        return sorted(p.name for p in self.engines.iterdir() if not p.name.endswith(".lock"))

    @contextlib.contextmanager
    def entered(self) -> Iterator[World]:
        """Have these be the engines."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(VARIABLE, str(self.packages))
            patch.setenv("TUNEFLEET_ENGINES", str(self.engines))
            yield self


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world with one engine whose environment was made, which takes seconds."""
    with World(tmp_path_factory.mktemp("world")).entered() as world:
        environments.install(world.engine("installed"))
    return world


@pytest.fixture
def world(lasting: World) -> Iterator[World]:
    with lasting.entered():
        yield lasting


@pytest.fixture
def installed(world: World) -> str:
    """An engine whose environment was made."""
    return "installed"


# -- which Python


def test_an_engine_without_requirements_runs_on_this_python(world: World) -> None:
    (world.packages / "simple").mkdir(parents=True)
    (world.packages / "simple" / "__init__.py").touch()
    for name in ("simple", "workers.reference", "no_such_engine"):
        assert environments.interpreter(name) == sys.executable


def test_a_missing_environment_is_refused_with_what_makes_it(world: World) -> None:
    name = world.engine("missing")
    with pytest.raises(EngineError, match=r"not installed on .*`tunefleet engines install missing`") as error:
        environments.interpreter(name)
    assert f"CPython {HERE}" in str(error.value)
    assert "`tunefleet engines use missing --python PATH`" in str(error.value)
    found = environments.status(name)
    assert (found.ready, found.own, found.python) == (False, True, None)


def test_an_engine_process_looks_for_its_python_when_it_starts(world: World) -> None:
    process = EngineProcess(world.engine("missing"), "build")
    with pytest.raises(EngineError, match="tunefleet engines install missing"):
        process.call("add", 1)


def test_what_was_installed_runs_the_engine(world: World, installed: str) -> None:
    python = world.engines / installed / "bin" / "python"
    assert environments.interpreter(installed) == str(python)
    found = environments.status(installed)
    assert found.ready
    assert found.python_version == ".".join(map(str, sys.version_info[:3]))
    # It is where it says it is, although it was made elsewhere.
    command = [str(python), "-c", "import sys; print(sys.prefix)"]
    prefix = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert prefix == str(world.engines / installed)


def test_a_person_s_own_python_goes_first_until_install_takes_it_back(world: World, installed: str) -> None:
    environments.use(installed, sys.executable)
    assert environments.interpreter(installed) == sys.executable
    environments.install(installed)
    assert environments.interpreter(installed) == str(world.engines / installed / "bin" / "python")


def test_a_variable_goes_before_all(
    world: World, installed: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TUNEFLEET_INSTALLED_PYTHON", sys.executable)
    assert environments.interpreter(installed) == sys.executable
    monkeypatch.setenv("TUNEFLEET_INSTALLED_PYTHON", str(tmp_path / "gone"))
    with pytest.raises(EngineError, match="correct TUNEFLEET_INSTALLED_PYTHON, or unset it"):
        environments.interpreter(installed)


def test_a_python_that_went_away_is_missing(world: World, tmp_path: Path) -> None:
    name = world.engine("moved")
    link = tmp_path / "python"
    link.symlink_to(sys.executable)
    environments.use(name, str(link))
    assert environments.interpreter(name) == str(link)
    link.unlink()
    assert "names" in environments.status(name).missing
    link.write_text("#!/bin/sh\nexit 3\n")
    link.chmod(0o755)
    found = environments.status(name)
    assert not found.ready
    assert "exit code 3" in found.missing


def test_an_environment_of_another_release_is_not_taken(world: World) -> None:
    name = world.engine("aged")
    made = world.engines / name
    (made / "bin").mkdir(parents=True)
    (made / "bin" / "python").symlink_to(sys.executable)
    (made / "requirements.txt").write_text("# what an older release asked for\n")
    assert "another release's" in environments.status(name).missing


# -- making one


def test_installing_again_does_nothing(world: World, installed: str) -> None:
    before = (world.engines / installed).stat().st_ino
    said: list[str] = []
    environments.install(installed, say=said.append)
    assert "already" in said[-1]
    assert (world.engines / installed).stat().st_ino == before


def test_nothing_is_installed_for_an_engine_that_needs_nothing(world: World) -> None:
    with pytest.raises(UsageError, match="nothing to install"):
        environments.install("no_such_engine")


def test_a_python_of_another_version_is_refused(world: World, tmp_path: Path) -> None:
    name = world.engine("future", python="3.99")
    with pytest.raises(UsageError, match=rf"is Python {HERE}; the future engine needs CPython 3\.99"):
        environments.install(name, sys.executable)
    with pytest.raises(UsageError, match="is no Python"):
        environments.install(name, "true")
    with pytest.raises(UsageError, match="is no program"):
        environments.install(name, str(tmp_path / "gone"))
    with pytest.raises(EngineError, match=r"no python3\.99 on the path .* install future --python PATH"):
        environments.install(name)


@pytest.mark.slow
def test_what_does_not_import_is_not_installed(world: World) -> None:
    name = world.engine("broken", check="import a_tvm_that_is_not_there")
    with pytest.raises(EngineError, match="No module named 'a_tvm_that_is_not_there'"):
        environments.install(name)
    assert not [entry for entry in world.made() if "broken" in entry]
    with pytest.raises(UsageError, match="can't run the broken engine"):
        environments.use(name, sys.executable)
    assert not environments.status(name).ready


_INSTALL = """
import sys
from workers import environments
environments.install(sys.argv[1])
"""


@pytest.mark.slow
def test_a_killed_installation_leaves_nothing_that_looks_finished(
    world: World, tmp_path: Path, eventually: Callable[..., None], running: Callable[[int], bool]
) -> None:
    note = tmp_path / "pid"
    slow = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    name = world.engine("killed", check=slow)
    command = [sys.executable, "-c", _INSTALL, name]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        eventually(lambda: note.exists() and note.read_text(), "it is nearly installed", 60)
        with pytest.raises(EngineError, match="another process is changing the environment"):
            environments.install(name)
        process.send_signal(signal.SIGKILL)
    eventually(lambda: not running(int(note.read_text())), "what it had started is gone")
    assert not environments.status(name).ready
    world.engine(name)
    environments.install(name)
    assert environments.status(name).ready
    assert [entry for entry in world.made() if name in entry] == [name]


# -- running there

_PROBE = """
import importlib.util, sys
class Probe:
    def warm(self, role): pass
    def sees(self, *names): return [importlib.util.find_spec(name) is not None for name in names]
    def executable(self): return sys.executable
ENGINE = Probe()
"""

_OWNER = """
import sys
from workers.process.engine_process import EngineProcess
with EngineProcess("probes.probe", "build", sys.argv[1]) as process:
    print(process.call("executable"), *process.call("sees", "workers.messages", "a_neighbour"))
"""


def test_another_python_sees_this_package_and_none_of_the_libraries_beside_it(
    world: World, installed: str, tmp_path: Path
) -> None:
    # As where tunefleet is installed: beside it is what was built for another Python.
    site, probes = tmp_path / "site", tmp_path / "own" / "probes"
    shutil.copytree(next(iter(workers.__path__)), site / "workers")
    (site / "a_neighbour.py").touch()
    probes.mkdir(parents=True)
    (probes / "probe.py").write_text(_PROBE)
    python = environments.interpreter(installed)
    owner = f"import sys; sys.path.insert(0, {str(site)!r})\n{_OWNER}"
    done = subprocess.run(
        [sys.executable, "-c", owner, python],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(probes.parent), "VIRTUAL_ENV": str(tmp_path / "nowhere")},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [python, "True", "False"]


def test_variables_of_this_python_do_not_reach_another(
    installed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PYTHONHOME", "VIRTUAL_ENV"):
        monkeypatch.setenv(name, "/of/this/python")
    with EngineProcess("stand_in_engines.plain", "build", environments.interpreter(installed)) as process:
        assert process.call("add", 2, 3) == 5


@pytest.mark.usefixtures("autotvm_environment")
def test_the_environment_of_autotvm_holds_what_it_is_to_hold() -> None:
    found = environments.status("autotvm")
    assert found.versions["tvm"] == "3.2.3"
    assert set(found.versions) == {"tvm", "numpy", "xgboost"}
