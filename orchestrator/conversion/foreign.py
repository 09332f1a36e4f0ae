"""Files that people try and that no converter takes, told by their first bytes, with what to do instead."""

from __future__ import annotations

import zipfile
from pathlib import Path

__all__ = ["why_foreign"]

_HEAD = 4096
_WEIGHTS = "holds weights without a model; convert what builds the model and loads them"
# Where a file begins so.
_MAGICS = {
    b"GGUF": "is a GGUF file: weights for another runtime, without the model's operators",
    b"\x12\x01\x00\x00\x00\x00\x00\x00": f"is MXNet's parameters: it {_WEIGHTS}",
    b"ftrt": "is a TensorRT engine, made for one GPU: convert the model that it was built from",
    b"\x89HDF\r\n\x1a\n": "is an HDF5 file that no converter here knows; Keras reads those of its own: "
    "load it there, and save it as .keras",
    b"\x93NUMPY": f"is a numpy array: it {_WEIGHTS}",
    b"CBM1": "is a CatBoost model; no converter here reads those, and CatBoost writes ONNX itself: "
    "model.save_model('model.onnx', format='onnx')",
    b"7767517\n": "is an ncnn network; no converter here reads those",
    b"\x1f\x8b": "is packed (gzip): unpack it, and name what is in it",
}
# What hubs keep a model's weights in, beside a config.json.
_HUB = ("*.safetensors", "pytorch_model*.bin", "tf_model.h5", "flax_model.msgpack")


def why_foreign(path: Path) -> str:
    """Say what a file is that can't be converted, as the rest of a sentence; empty where nothing is known."""
    if path.is_dir():
        return _why_foreign_folder(path)
    if path.suffix == ".py":
        return f"is Python: name the function in it that returns the model, {path.name}:function"
    if path.suffix == ".ipynb":
        return "is a notebook: write its function to a file, and convert file.py:function"
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return ""
    for magic, what in _MAGICS.items():
        if head.startswith(magic):
            return what
    if len(head) > 9 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 2**32:
        return f"is a safetensors file: it {_WEIGHTS}"
    if head.lstrip()[:1] == b"{" and b'"nodes"' in head and (b'"attrs"' in head or b'"op": "null"' in head):
        return (
            "is an MXNet symbol; MXNet is archived: its last release, 1.9.1, writes ONNX itself, with "
            "mxnet.onnx.export_model"
        )
    if head[4:7] == b"ET1":
        return "is an ExecuTorch program, compiled for phones: convert what torch.export.save writes of it"
    if head.lstrip()[:1] == b"{" and b'"modelTopology"' in head:
        return "is a TensorFlow.js model: convert the SavedModel folder or Keras file that it was made from"
    if b"<net name=" in head:
        return "is an OpenVINO network; no converter here reads those: convert what it was made from"
    if head[257:262] == b"ustar":
        return "is a tar archive: unpack it, and name what is in it"
    if b"\nlayer {" in head or b"\nlayers {" in head:
        return "is a Caffe network; no converter here reads Caffe's files"
    if head.startswith(b"[net]"):
        return "is a Darknet network; no converter here reads Darknet's files"
    if head[:2] == b"PK" and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if all(name.endswith(".npy") for name in archive.namelist()):
                return f"is an archive of numpy arrays: it {_WEIGHTS}"
        return "is a ZIP archive of something that no converter here knows"
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "is a pickle of something that no converter here knows"
    return ""


def _why_foreign_folder(path: Path) -> str:
    if (path / "config.json").is_file() and any(next(path.glob(weights), None) for weights in _HUB):
        return (
            "is a folder of Hugging Face's, weights and settings without code: write a function, as "
            f"`def net(): return transformers.AutoModel.from_pretrained({path.name!r})`, and convert "
            "file.py:function; or have Optimum export it to ONNX"
        )
    return ""
