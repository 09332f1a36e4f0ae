"""An engine is one folder: one that lies elsewhere is tuned with, built with and run, with no other edit."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.kit.chains import save_chain
from workers import environments
from workers.environments.packages import VARIABLE

FOLDER = Path(__file__).parents[1] / "kit" / "toy_engine"
TRIALS = 9


class Place:
    """A database, a model, and a command line that knows where the engine lies."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.model = folder, save_chain(folder / "chain.onnx")

    engines = FOLDER

    def upgrade(self) -> None:
        """Have the engine make other code of a schedule from now on, and say so."""
        self.engines = self.folder / "newer"
        shutil.copytree(FOLDER, self.engines)
        toolchain = self.engines / "toy" / "toolchain.py"
        told = toolchain.read_text()
        toolchain.write_text(told.replace('"engine": VERSION', '"kernels": "2", "engine": VERSION'))
        build = self.engines / "toy" / "build.py"
        build.write_text(build.read_text().replace('"-O2"', '"-O0"'))

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", "from orchestrator.cli import main; main()", *words],
            cwd=self.folder,
            env={**os.environ, VARIABLE: str(self.engines), "TUNEFLEET_DB": str(self.folder / "records.db")},
            capture_output=True,
            text=True,
            timeout=600,
        )

    def best(self) -> Any:
        return self.document("best", "chain.onnx", "--engine", "toy")["tasks"]

    def document(self, *words: str) -> Any:
        done = self.run(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Where it was tuned with, once."""
    made = Place(tmp_path_factory.mktemp("place"))
    tuned = made.run(
        "tune", "chain.onnx", "--engine", "toy", "--trials", str(TRIALS), "--search", "largest=32"
    )
    assert tuned.returncode == 0, tuned.stderr
    return made


def test_an_engine_is_found_where_a_variable_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "toy" not in environments.names()
    monkeypatch.setenv(VARIABLE, str(FOLDER))
    assert set(environments.names()) >= {"toy", "metaschedule", "autotvm"}
    assert environments.status("toy").ready


def test_an_engine_is_found_by_its_entry_point(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package, about = tmp_path / "a_distribution", tmp_path / "a_distribution-1.dist-info"
    package.mkdir()
    about.mkdir()
    (package / "__init__.py").write_text("raise AssertionError('only looked for')\n")
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: a-distribution\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[tunefleet.engines]\nentered = a_distribution\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = environments.find_package("entered")
    assert found is not None
    assert (found.module, found.folder, found.own) == ("a_distribution", package, False)


@pytest.mark.slow
def test_what_it_measured_is_stored(place: Place) -> None:
    tasks = place.document("best", "chain.onnx", "--engine", "toy")["tasks"]
    assert len(tasks) == 3
    # With the schedule of the best, as the engine describes it.
    assert all("for (int i0 = 0; i0 < M; i0 += " in json.dumps(task["best"][0]) for task in tasks)


@pytest.mark.slow
def test_a_library_is_built_from_it_and_computes_the_model(place: Place) -> None:
    built = place.run("build", "chain.onnx", "--engine", "toy", "-o", "chain.so")
    assert built.returncode == 0, built.stderr
    report = place.document("run", "chain.so", "--check", "chain.onnx")
    assert (report["engine"], report["tasks_tuned"], report["tasks_total"]) == ("toy", 3, 3)
    assert report["check"]["outputs_agree"]


def test_a_setting_it_does_not_have_is_refused_with_those_it_has(tmp_path: Path) -> None:
    place = Place(tmp_path)
    refused = place.run("tune", "chain.onnx", "--engine", "toy", "--search", "smallest=3")
    assert refused.returncode == 2
    assert "no setting 'smallest'" in refused.stderr
    assert "largest" in refused.stderr
    refused = place.run("tune", "chain.onnx", "--engine", "toy", "--dry-run", "--verify-candidates")
    assert refused.returncode == 2
    assert "the toy engine can't compare what candidates compute" in refused.stderr


@pytest.mark.slow
def test_after_an_upgrade_a_few_of_each_task_are_measured_anew(place: Place) -> None:
    before = {one["name"]: one["best"][0] for one in place.best()}
    place.upgrade()
    assert all(one["best"][0]["stale"] for one in place.best())
    built = place.run("build", "chain.onnx", "--engine", "toy", "-o", "stale.so")
    assert built.returncode == 0, built.stderr
    assert "3 of 3 records are stale" in built.stderr
    # In a campaign, before anything is searched; and without one, on another copy of the same records.
    shutil.copy(place.folder / "records.db", place.folder / "copy.db")
    tuned = place.document("tune", "chain.onnx", "--engine", "toy", "--trials", str(TRIALS))
    assert tuned["trials_revalidated"] + tuned["trials_measured"] == TRIALS
    assert 3 <= tuned["trials_revalidated"] <= 3 * 3
    again = place.document(
        "records", "revalidate", "chain.onnx", "--engine", "toy", "--db", str(place.folder / "copy.db")
    )
    assert (again["workloads"], again["best_stale"], again["toolchain"]["kernels"]) == (3, 0, "2")
    assert 3 <= again["trials_measured"] <= 3 * 3
    for task in place.best():
        now, old = task["best"][0], before[task["name"]]
        assert (now["stale"], now["versions"]["kernels"]) == (False, "2")
        # Without optimizations the same schedules take far longer.
        assert now["cost_s"] > old["cost_s"]
    shutil.rmtree(place.engines)
    place.engines = FOLDER
