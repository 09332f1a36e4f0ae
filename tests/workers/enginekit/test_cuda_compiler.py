"""The version of what compiles CUDA's kernels; a script stands for NVIDIA's compiler."""

from __future__ import annotations

from pathlib import Path

import pytest

from workers.enginekit import cuda


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("echo 'Cuda compilation tools, release 13.0, V13.0.88'", "nvcc 13.0.88"),
        ("echo 'something else'", ""),
        ("exit 1", ""),
    ],
)
def test_the_compiler_is_told_by_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, version: str
) -> None:
    path = tmp_path / "nvcc"
    path.write_text(f"#!/bin/sh\n{said}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("TVM_CUDA_COMPILE_MODE", "nvcc")
    assert cuda.compiler_version() == version


def test_where_there_is_none_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "compiler", lambda: "")
    assert cuda.compiler_version() == ""
