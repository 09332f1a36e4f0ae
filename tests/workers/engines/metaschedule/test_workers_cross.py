"""Code for another architecture than this machine's: objects of candidates, and linked libraries."""

from __future__ import annotations

import io
import platform
import shutil
import struct
import tarfile
from pathlib import Path

import pytest

from workers.actors import BuildActor
from workers.clients import EngineClient
from workers.enginekit.linkers import cross_linker
from workers.enginekit.machine import architecture, is_own, system
from workers.engines.metaschedule.build import _linker
from workers.engines.metaschedule.targets import parse_target, resolve_target, unfit_for
from workers.errors import EngineError, TargetError
from workers.messages import DeviceInfo, PreparedModel, RecordChoice
from workers.process.engine_process import EngineProcess

LINKER = "aarch64-linux-gnu-g++"
#: ``e_machine`` of AArch64 in the ELF header.
EM_AARCH64 = 183

pytestmark = pytest.mark.skipif(
    platform.machine() == "aarch64", reason="aarch64 is no other architecture here"
)
linked = pytest.mark.skipif(
    shutil.which(LINKER) is None, reason=f"{LINKER} is not installed (Debian's package g++-aarch64-linux-gnu)"
)


def machine_of(data: bytes) -> int:
    assert data[:4] == b"\x7fELF"
    return int(struct.unpack_from("<H", data, 18)[0])


@pytest.fixture(scope="module")
def board(engine: EngineClient) -> DeviceInfo:
    spec = "llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72 -num-cores=4"
    return engine.resolve_target(spec)


def test_a_candidate_for_another_architecture_is_objects_that_the_device_links(
    engine: EngineClient, builder: BuildActor, board: DeviceInfo
) -> None:
    workload, candidate = engine.known_kernel(board.target)
    result, artifact = builder.build(workload, board.target, candidate, 60.0)
    assert artifact is not None, result.message
    assert artifact.suffix == ".tar"
    with tarfile.open(fileobj=io.BytesIO(artifact.data)) as archive:
        files = [archive.extractfile(member) for member in archive.getmembers()]
        # Its kernel, and the threads for its loops.
        assert [machine_of(file.read()) for file in files if file is not None] == [EM_AARCH64] * 2


@linked
def test_a_library_for_another_architecture_is_linked_by_its_cross_compiler(
    engine: EngineClient, model: PreparedModel, board: DeviceInfo
) -> None:
    compiled = engine.compile(model, board.target, RecordChoice("untuned")).result()
    assert machine_of(compiled.library) == EM_AARCH64
    assert cross_linker("aarch64-unknown-linux-gnu") == LINKER


def test_without_a_cross_compiler_the_package_that_has_it_is_named_before_anything_is_compiled(
    model: PreparedModel, board: DeviceInfo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # The interpreter is found by its full path, the linker is not.
    monkeypatch.setenv("PATH", str(tmp_path))
    with EngineProcess("metaschedule", "model") as engine, pytest.raises(EngineError) as refused:
        EngineClient(engine).compile(model, board.target, RecordChoice("untuned")).result()
    assert str(refused.value) == (
        f"a library for aarch64-linux-gnu is linked with {LINKER}, which is not installed here "
        "(Debian has it in the package g++-aarch64-linux-gnu)"
    )
    assert refused.value.stage == "starting"


@pytest.mark.parametrize(
    ("triple", "name"),
    [
        ("x86_64-conda-linux-gnu", "x86_64"),
        ("arm64-apple-darwin", "aarch64"),
        ("armv7l-unknown-linux-gnueabihf", "arm"),
        ("i586-linux-gnu", "i686"),
        ("riscv64-linux-gnu", "riscv64"),
    ],
)
def test_an_architecture_has_one_name_however_systems_write_it(triple: str, name: str) -> None:
    assert architecture(triple) == name


@pytest.mark.parametrize(
    ("triple", "name"),
    [
        ("x86_64-pc-windows-msvc", "windows"),
        ("x86_64-w64-mingw32", "windows"),
        ("arm64-apple-darwin", "darwin"),
        ("aarch64-linux-android", "android"),
        ("x86_64-conda-linux-gnu", "linux"),
        ("thumbv7em-none-eabihf", "none"),
        ("x86_64", ""),
    ],
)
def test_a_system_has_one_name_however_triples_write_it(triple: str, name: str) -> None:
    assert system(triple) == name


def test_another_system_on_the_same_architecture_is_another_machine() -> None:
    machine = platform.machine()
    for triple in (machine, f"{machine}-linux-gnu", f"{machine}-conda-linux-gnu"):
        assert is_own(triple)
    for triple in (f"{machine}-pc-windows-msvc", f"{machine}-apple-darwin", f"{machine}-linux-android"):
        target = parse_target(f"llvm -mtriple={triple} -num-cores=1")
        assert _linker(target)[0] == ".tar"
        assert resolve_target(f"llvm -mtriple={triple} -num-cores=1").unfit == (
            f"it is for {system(triple)}, this machine is linux"
        )
        unfit = f"it is for {system(triple)}, the device is linux"
        assert unfit_for(target, True, f"{machine}-unknown-linux-gnu", "") == unfit
    with pytest.raises(EngineError, match=r"x86_64-pc-windows-msvc is not linked here: docs/windows.md"):
        cross_linker("x86_64-pc-windows-msvc")


@pytest.mark.parametrize("kind", ["c", "nvptx", "test"])
def test_a_kind_that_no_device_runs_is_refused_by_name(kind: str) -> None:
    with pytest.raises(TargetError, match=rf"'{kind}' is of a kind that no device runs .* take llvm"):
        resolve_target(kind)


@pytest.mark.parametrize(
    ("cpu", "answer"),
    [
        ("cortex-a76", ""),
        ("neoverse-n1", ""),
        ("cortex-a72", "its CPU, cortex-a72, lacks dotprod, fullfp16"),
        # An LLVM that doesn't know the CPU calls it so, and says nothing with it.
        ("generic", ""),
        ("", ""),
    ],
)
def test_a_board_is_refused_for_what_its_cpu_lacks_and_not_for_what_is_not_known_of_it(
    cpu: str, answer: str
) -> None:
    target = parse_target("llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a76 -num-cores=4")
    assert unfit_for(target, True, "aarch64-unknown-linux-gnu", cpu) == answer
    assert unfit_for(target, True, "", cpu) == answer
    assert unfit_for(target, True, "armv7l-linux-gnueabihf", cpu) == "it is for aarch64, the device is arm"
