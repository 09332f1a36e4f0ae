"""The doctor's checks, one by one and together."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import socket
import time
from pathlib import Path

import pytest

from orchestrator.doctor import Check, Status
from orchestrator.doctor.database import check_database
from orchestrator.doctor.engine import check_engine
from orchestrator.doctor.machine import (
    check_cuda,
    check_disk,
    check_home,
    check_ports,
    check_shared_memory,
)
from orchestrator.doctor.packages import check_compiler, check_jobs, check_package
from orchestrator.storage import Storage
from tests.kit.cli_builders import Cli
from tests.kit.stand_ins import CannedToolbox


def test_a_package_within_its_bounds_is_fine() -> None:
    check = check_package("sqlalchemy<3,>=2.0.40")
    assert check.status is Status.OK


def test_the_tvm_ffi_that_segfaults_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "0.1.15.post2")
    check = check_package("apache-tvm-ffi<0.1.15,>=0.1.14")
    assert check.status is Status.FAIL
    assert "segfaults" in check.found
    assert check.mend == "pip install 'apache-tvm-ffi<0.1.15,>=0.1.14'"


def test_a_missing_package_is_found() -> None:
    check = check_package("no-such-distribution[extra]>=1; python_version > '3'")
    assert (check.name, check.status) == ("no-such-distribution", Status.FAIL)
    assert "missing" in check.found


def test_a_package_for_cpus_alone_takes_the_place_of_the_one_for_gpus(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def version(name: str) -> str:
        if name != "xgboost-cpu":
            raise importlib.metadata.PackageNotFoundError(name)
        return "3.2.0"

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert check_package("xgboost<4,>=3.2").status is Status.OK
    assert check_package("xgboost<3").status is Status.FAIL
    assert check_package("ray>=2.60").status is Status.FAIL


def test_a_compiler_that_is_not_there_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", "")
    check = check_compiler()
    assert check.status is Status.FAIL
    assert "apt-get install" in check.mend
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert "CXX names 'no-such-compiler', which is no program here" in check_compiler().found


def test_what_is_no_compiler_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_compiler().status is Status.OK
    # It ends well, and says its version, as one does.
    monkeypatch.setenv("CXX", "true")
    check = check_compiler()
    assert (check.status, check.found) == (Status.FAIL, "true makes no library")


def test_a_folder_for_temporary_files_that_ray_can_not_use_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv("TMPDIR", "/tmp")
    assert check_home().status is Status.OK
    long = tmp_path / ("n" * 60)
    long.mkdir()
    for folder, what in (
        (long, r"\d+ bytes too long for the sockets that Ray has in it"),
        ("/tmp/not-there", "where there is no folder"),
        ("tmp", "no absolute path"),
        ("/proc/sys", "can't be written to|too long|is full"),
    ):
        for variable in ("TMPDIR", "RAY_TMPDIR"):
            monkeypatch.setenv(variable, str(folder))
            check = check_home()
            assert check.status is Status.FAIL
            assert re.search(f"{variable} is .*({what})", check.found)
            assert f"set {variable} to another folder" in check.mend
            monkeypatch.delenv(variable)


def test_a_home_that_is_not_there_or_not_known_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "gone"))
    assert check_home().found == f"there is no folder {tmp_path / 'gone'}"
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    check = check_home()
    assert (check.status, check.found) == (Status.FAIL, "no home folder is known")


def test_a_database_to_be_made_is_fine(tmp_path: Path) -> None:
    check = check_database(str(tmp_path / "new.db"))
    assert check.status is Status.OK
    assert not (tmp_path / "new.db").exists()


def test_databases_that_can_not_be_used_are_found(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("text that is no database " * 100)
    assert "is not a SQLite database" in check_database(str(tmp_path / "text.db")).found
    assert "there is no folder" in check_database(f"sqlite:///{tmp_path}/no/x.db").found
    assert check_database("mysql://host/x").status is Status.FAIL


@pytest.mark.parametrize("db", ["host=h password=hunter2", "postgresql://u:a@hunter2@h/d"])
def test_a_database_that_can_not_be_meant_is_named_without_its_password(db: str) -> None:
    check = check_database(db)
    assert check.status is Status.FAIL
    assert "postgresql://" in check.found
    assert "hunter2" not in f"{check.found} {check.mend}"


def test_a_sound_database_is_named_with_its_schema(store: Storage) -> None:
    check = check_database(str(store.path))
    assert check.status is Status.OK
    assert ", schema " in check.found


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anything")
def test_a_read_only_database_is_found(store: Storage) -> None:
    path = store.path
    assert path is not None
    store.close()
    path.chmod(0o444)
    assert "read only" in check_database(str(path)).found


def test_ports_that_are_all_taken_are_found() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        check = check_ports("port", (port, port + 1))
    assert check.status is Status.WARN


def test_little_disk_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Usage:
        free = 10 * 2**20

    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage)
    assert check_disk("disk", tmp_path / "not" / "there").status is Status.FAIL
    assert check_shared_memory(tmp_path).status is Status.WARN


def test_a_gpu_that_nothing_can_be_compiled_for_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def machine(*, gpu: bool, runtime: bool, nvcc: str | None) -> Check:
        monkeypatch.setattr(shutil, "which", lambda _: "/bin/nvidia-smi" if gpu else None)
        monkeypatch.setattr("workers.enginekit.cuda.has_runtime", lambda: runtime)
        monkeypatch.setattr("workers.enginekit.cuda.nvcc", lambda: nvcc)
        return check_cuda()

    monkeypatch.delenv("CUDA_PATH", raising=False)
    assert machine(gpu=False, runtime=False, nvcc=None).status is Status.OK
    assert machine(gpu=True, runtime=True, nvcc="/bin/nvcc").found == "compiled with /bin/nvcc"
    without = machine(gpu=True, runtime=True, nvcc=None)
    assert (without.status, "tunefleet[cuda]" in without.mend) == (Status.WARN, True)
    unused = machine(gpu=True, runtime=False, nvcc="/bin/nvcc")
    assert (unused.status, "libcudart" in unused.found) == (Status.WARN, True)


def test_what_rays_jobs_take_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    known = importlib.metadata.version

    def version(name: str) -> str:
        if name in ("colorful", "opencensus"):
            raise importlib.metadata.PackageNotFoundError(name)
        return known(name) if name == "ray" else "1.0"

    monkeypatch.setattr(importlib.metadata, "version", version)
    check = check_jobs()
    # Only clusters of `ray up` need it.
    assert check.status is Status.OK
    assert check.found.startswith("not installed (optional): 2 of the ")
    assert "'.[cluster]'" in check.mend
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "1.0")
    assert check_jobs().mend == ""


def test_an_engine_that_hangs_is_given_up(
    toolbox: type[CannedToolbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(*_: object) -> None:
        time.sleep(5)

    monkeypatch.setattr(toolbox, "resolve_target", hang)
    check = check_engine("metaschedule", timeout_s=0.1, toolbox=toolbox)
    assert check.status is Status.FAIL
    assert "no answer within" in check.found


def test_the_doctor_lists_every_check(cli: Cli, toolbox: type[CannedToolbox]) -> None:
    answer = cli("doctor", "--json")
    names = [check["name"] for check in answer.document["checks"]]
    assert {
        "Python",
        "apache-tvm",
        "apache-tvm-ffi",
        "ray",
        "xgboost",
        "C compiler",
        "metaschedule engine",
    } <= set(names)
    assert {"GPU", "Ray's jobs", "database", "free disk"} <= set(names)
    assert {"tracker port", "machine", "shared memory"} <= set(names)
    assert answer.document["ok"] is (answer.code == 0)


def test_the_doctor_fails_where_something_would(cli: Cli, toolbox: type[CannedToolbox]) -> None:
    answer = cli("doctor", "--db", "/no/such/folder/x.db", db=False)
    assert answer.code == 1
    assert "FAIL" in answer.out
    assert "→ make it, or name another file with --db" in answer.out
    assert "checks failed: " in answer.err
