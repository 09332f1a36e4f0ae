"""What links libraries: found before anything is compiled, and named where it isn't there or is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from workers.enginekit.linkers import cross_linker, host_linker, linking, require_any_linker
from workers.engines.metaschedule.build import build_candidate
from workers.engines.metaschedule.known import known_kernel
from workers.engines.metaschedule.model import compile_model
from workers.engines.metaschedule.targets import parse_target
from workers.engines.metaschedule.traits import NAME
from workers.errors import EngineError
from workers.messages import PreparedModel, RecordChoice
from workers.process.engine_process import EngineProcess

_TARGET = "llvm -num-cores=1"


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A path with nothing on it."""
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def program(path: Path, text: str = "#!/bin/sh\nexit 0\n") -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_the_first_compiler_of_tvm_s_list_is_taken_or_the_one_that_is_named(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(bare / "clang")
    assert host_linker() == str(bare / "clang")
    program(bare / "g++")
    assert host_linker() == str(bare / "g++")
    monkeypatch.setenv("CC", "clang")
    assert host_linker() == "clang"
    monkeypatch.setenv("CXX", str(bare / "g++"))
    assert host_linker() == str(bare / "g++")


def test_no_compiler_is_said_before_anything_is_compiled(bare: Path, model: PreparedModel) -> None:
    target = parse_target(_TARGET)
    told = r"there is no compiler on the path \(none of g\+\+, .*apt-get install g\+\+"
    with pytest.raises(EngineError, match=told):
        build_candidate(known_kernel(target, NAME)[0], target, known_kernel(target, NAME)[1])
    with pytest.raises(EngineError, match=told):
        compile_model(model, target, RecordChoice("untuned"), params_beside=False)


def test_a_node_without_a_compiler_is_none_that_builds(bare: Path) -> None:
    with (
        EngineProcess("metaschedule", "build") as process,
        pytest.raises(EngineError, match=r"^the metaschedule engine can't start: there is no compiler"),
    ):
        process.start()
    with pytest.raises(EngineError):
        require_any_linker()
    # One that builds for boards alone needs none of its own.
    program(bare / "aarch64-linux-gnu-g++")
    require_any_linker()


@pytest.mark.parametrize(
    ("named", "told"),
    [
        (
            "/no/such/g++",
            r"CXX names '/no/such/g\+\+', which is no program here; .* correct CXX, or unset it",
        ),
        ("ccache g++", r"CXX names 'ccache g\+\+', .*TVM takes one program without arguments"),
        ("true", "true wrote no library: it is no compiler"),
        ("false", "false can't link the library: it said nothing"),
        ("cat", "cat can't link the library: cat: invalid option"),
    ],
)
def test_a_cxx_that_is_no_compiler_is_named(named: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", named)
    target = parse_target(_TARGET)
    workload, candidate = known_kernel(target, NAME)
    with pytest.raises(EngineError, match=told) as refused:
        build_candidate(workload, target, candidate)
    assert "\n" not in str(refused.value)


def test_a_program_that_the_system_does_not_run_is_named(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", str(program(bare / "odd", "no program")))
    target = parse_target(_TARGET)
    with pytest.raises(EngineError, match=r"odd can't be run to link the library: Exec format error"):
        build_candidate(known_kernel(target, NAME)[0], target, known_kernel(target, NAME)[1])


def test_a_cross_compiler_that_fails_says_what(bare: Path, raising: Callable[[str], None]) -> None:
    program(bare / "aarch64-linux-gnu-g++")
    linker = cross_linker("aarch64-unknown-linux-gnu")
    assert linker == "aarch64-linux-gnu-g++"
    text = "Compilation error:\n/usr/bin/ld: no such thing\ncollect2: error\n\nCommand line: g++ -shared"
    told = r"^aarch64-linux-gnu-g\+\+ can't link the library: /usr/bin/ld: no such thing; collect2: error$"
    with pytest.raises(EngineError, match=told), linking(linker):
        raising(text)
    # What is TVM's own stays TVM's.
    with pytest.raises(RuntimeError, match="Check failed"), linking(linker):
        raising("Check failed: (x)")


@pytest.fixture
def raising() -> Callable[[str], None]:
    def fail(text: str) -> None:
        raise RuntimeError(text)

    return fail
