"""A library's weights, where they are beside it: an archive in a message, or in a file where it is large."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Mapping
from typing import Any, BinaryIO

from workers.messages import CompiledModel, PreparedModel

__all__ = ["archived", "opened", "too_large_for_a_library"]

# Weights of this size and more are in a file: a message is copied for each process that it passes.
_IN_A_FILE = 1 << 30
# A library is addressed by 32 bits with a sign, its code and all.
_LIBRARY_BYTES = 2**31 - 2**27


def too_large_for_a_library(model: PreparedModel) -> bool:
    """Say whether a model's weights have to lie beside its library."""
    return bool(model.weights) and os.path.getsize(model.weights) > _LIBRARY_BYTES


def archived(params: Mapping[str, Any], model: PreparedModel) -> tuple[bytes | None, str]:
    """Return weights as an ``.npz`` archive: its bytes, or the file that it is in, beside the model's own."""
    import numpy as np

    if not model.weights or sum(value.nbytes for value in params.values()) < _IN_A_FILE:
        buffer = io.BytesIO()
        np.savez(buffer, **params)
        return buffer.getvalue(), ""
    descriptor, name = tempfile.mkstemp(prefix="params-", dir=os.path.dirname(model.weights))
    with os.fdopen(descriptor, "wb") as file:
        np.savez(file, **params)
    return None, name


def opened(compiled: CompiledModel) -> BinaryIO | None:
    """Open the archive of a library's weights; None where the weights are inside."""
    if compiled.params_file:
        return open(compiled.params_file, "rb")
    return None if compiled.params is None else io.BytesIO(compiled.params)
