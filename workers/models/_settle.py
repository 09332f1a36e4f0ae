"""Where the weights of a prepared model stay."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import onnx

from workers.errors import ModelError
from workers.models import _mapped

__all__ = ["settle"]

# Up to here they travel in the message: a copy takes less time than to look after a file.
_INSIDE_BYTES = 128 * 1024 * 1024
# Of protobuf, less what the model takes besides its large weights.
_MESSAGE_BYTES = 2**31 - 2**24


def settle(model: onnx.ModelProto, path: Path, folder: str | os.PathLike[str] | None) -> str:
    """Put a model's large weights into it, or into one file for all of them, in place.

    Parameters
    ----------
    path : Path
        For messages.
    folder : path or None
        For that file; without one, all go in.

    Returns
    -------
    str
        The file; empty where there is none.

    Raises
    ------
    ModelError
        They don't go in, and there is no folder; or it has no room for them.
    """
    tensors = list(_mapped.outside(model))
    places = {_mapped.place_of(tensor) for tensor in tensors}
    size = sum(place[2] for place in places if place is not None)
    if size <= _INSIDE_BYTES or folder is None:
        inside = sum(len(_mapped.mapped(tensor)) for tensor in tensors)
        if inside > _MESSAGE_BYTES:
            raise ModelError(
                f"{path} holds {inside / 2**30:.1f} GiB of weights: above 2 GiB a folder is needed for them"
            )
        _mapped.fill(tensors)
        return ""
    moved: dict[tuple[str, int, int], int] = {}
    try:
        descriptor, name = tempfile.mkstemp(prefix="weights-", dir=folder)
        with os.fdopen(descriptor, "wb") as file:
            for tensor in tensors:
                place = _mapped.place_of(tensor)
                assert place is not None
                if place not in moved:
                    moved[place] = _mapped.write_aligned(file, _mapped.mapped(tensor))
                _mapped.put_at(tensor, name, moved[place], place[2])
    except OSError as error:
        raise ModelError(
            f"{path}: its {size / 2**30:.1f} GiB of weights can't be written to {os.fspath(folder)}: "
            f"{error.strerror}; set TMPDIR to a folder that has the room"
        ) from None
    return name
