"""Weights beside a library: their file, and when they have to be there."""

from __future__ import annotations

import os
import pathlib
import shutil

from orchestrator.builds.arrays import bytes_of
from orchestrator.errors import UsageError
from orchestrator.files import write, writing
from workers.enginekit.archives import too_large_for_a_library
from workers.messages import CompiledModel, PreparedModel

__all__ = ["read_params", "require_weights_inside", "write_params"]

# Above, a file is named to the process that reads it; below, any engine takes its bytes.
_IN_A_MESSAGE = 1 << 30


def require_weights_inside(model: PreparedModel) -> None:
    """Refuse to build a library that can't hold a model's weights, before it is compiled.

    Raises
    ------
    UsageError
    """
    if too_large_for_a_library(model):
        size = os.path.getsize(model.weights) / 2**30
        raise UsageError(
            f"the weights of {model.name} are {size:.1f} GiB, and a shared library can't hold 2: name a file "
            f"for them with --params, such as --params {model.name}.npz"
        )


def write_params(path: pathlib.Path, compiled: CompiledModel) -> None:
    """Write a library's weights (``.npz``), whole or not at all."""
    if not compiled.params_file:
        assert compiled.params is not None
        write(path, compiled.params)
        return
    with open(compiled.params_file, "rb") as source, writing(path) as file:
        shutil.copyfileobj(source, file, 1 << 20)
    os.unlink(compiled.params_file)


def read_params(path: str | os.PathLike[str]) -> tuple[bytes | None, str]:
    """Return the bytes of a file of weights, or its name where it is too large to be sent around.

    Raises
    ------
    UsageError
        It can't be read.
    """
    file = pathlib.Path(path).absolute()
    if file.is_file() and file.stat().st_size > _IN_A_MESSAGE and os.access(file, os.R_OK):
        return None, str(file)
    return bytes_of(path), ""
