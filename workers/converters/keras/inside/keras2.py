"""HDF5 files of Keras 2, as Keras 3 reads them.

Both have the same form, but some layers wrote settings down that Keras 3 has no more: a depthwise
convolution its one group, a recurrent layer that time isn't its first axis. Keras 3 refuses such a file.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

__all__ = ["for_keras_3", "version_of"]

_TRANSPOSED = {f"Conv{axes}DTranspose" for axes in (1, 2, 3)}
_SEPARABLE = {"SeparableConv1D", "SeparableConv2D"}
_DEPTHWISE = {"DepthwiseConv1D", "DepthwiseConv2D"}
_RECURRENT = {"RNN", "SimpleRNN", "LSTM", "GRU", *(f"ConvLSTM{axes}D" for axes in (1, 2, 3))}
# What is left out, by the layers' class: where it has this value, or whatever it has.
_ANY = object()
_LEFT_OUT: dict[str, dict[str, Any]] = {
    **{name: {"groups": 1} for name in (*_TRANSPOSED, *_DEPTHWISE)},
    **{
        name: {"groups": 1, "kernel_initializer": _ANY, "kernel_regularizer": _ANY, "kernel_constraint": _ANY}
        for name in _SEPARABLE
    },
    **{name: {"time_major": False} for name in _RECURRENT},
    **{f"SpatialDropout{axes}D": {"noise_shape": None, "trainable": _ANY} for axes in (1, 2, 3)},
    "MultiHeadAttention": {"query_shape": _ANY, "key_shape": _ANY, "value_shape": _ANY},
}


def for_keras_3(path: str, folder: str) -> str:
    """Return a file of the same model that Keras 3 reads: the same, or a copy in a folder."""
    import h5py

    with h5py.File(path) as file:
        config = _text(file.attrs.get("model_config", ""))
    if not version_of(path).startswith(("1.", "2.")) or not config:
        return path
    read = json.dumps(_without(json.loads(config)))
    if json.loads(read) == json.loads(config):
        return path
    copy = str(Path(folder) / "model.h5")
    shutil.copyfile(path, copy)
    with h5py.File(copy, "r+") as file:
        # As Keras writes it: bytes, which have no limit of length.
        file.attrs["model_config"] = read.encode()
    return copy


def version_of(path: str) -> str:
    """Return the version of Keras that wrote an HDF5 file; empty for other files, and where none is said."""
    import h5py

    if not h5py.is_hdf5(path):
        return ""
    with h5py.File(path) as file:
        return _text(file.attrs.get("keras_version", ""))


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _without(config: Any) -> Any:
    if isinstance(config, list):
        return [_without(one) for one in config]
    if not isinstance(config, dict):
        return config
    found = {key: _without(value) for key, value in config.items()}
    left_out = _LEFT_OUT.get(str(found.get("class_name")), {})
    settings = found.get("config")
    if left_out and isinstance(settings, dict):
        found["config"] = {
            key: value
            for key, value in settings.items()
            if key not in left_out or (left_out[key] is not _ANY and left_out[key] != value)
        }
    return found
