"""The version of an NVIDIA driver, as the kernel tells it."""

from __future__ import annotations

from pathlib import Path

import pytest

from workers.enginekit.nvidia import driver_version

CLOSED = """\
NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024
GCC version:  gcc version 12.3.0 (Ubuntu 12.3.0-1ubuntu1~22.04)
"""
OPEN = """\
NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build  (dvs-builder)
GCC version:  gcc version 11.4.0 (Ubuntu 11.4.0-1ubuntu1~22.04)
"""


@pytest.mark.parametrize(
    ("told", "version"), [(CLOSED, "550.54.15"), (OPEN, "570.86.15"), ("something else", "")]
)
def test_the_driver_is_told_by_its_version(tmp_path: Path, told: str, version: str) -> None:
    file = tmp_path / "version"
    file.write_text(told)
    assert driver_version(file) == version


def test_a_machine_without_one_has_none(tmp_path: Path) -> None:
    assert driver_version(tmp_path / "version") == ""
