"""Small Keras models, saved: python keras_models.py FUNCTION FOLDER. Prints the path."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}

import keras
import numpy as np
from keras import layers


def _saved(model: Any, folder: Path, name: str = "model.keras") -> Path:
    model.save(folder / name)
    return folder / name


def _images() -> Any:
    return keras.Sequential(
        [
            keras.Input((16, 16, 3), name="image"),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax", name="scores"),
        ]
    )


def images(folder: Path) -> Path:
    """Convolution, normalization and dropout, which does nothing at inference."""
    return _saved(_images(), folder)


def images_hdf5(folder: Path) -> Path:
    """The same in the format of Keras 2."""
    return _saved(_images(), folder, "model.h5")


def _application(name: str, **settings: float) -> Any:
    make = getattr(keras.applications, name)
    model = make(weights=None, input_shape=(64, 64, 3), classes=10, **settings)
    # With statistics that normalize nothing, a deep model says the same of every image.
    images = np.random.default_rng(1).uniform(0, 255, (8, 64, 64, 3)).astype("float32")
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.0
    for _ in range(2):
        model(images, training=True)
    return model


def mobilenet(folder: Path) -> Path:
    """Its batch normalizations as trained ones are: of images."""
    return _saved(_application("MobileNetV2", alpha=0.35), folder)


def efficientnet(folder: Path) -> Path:
    """The same, with its preprocessing as layers."""
    return _saved(_application("EfficientNetB0"), folder)


def gelu(folder: Path) -> Path:
    """An activation that tf2onnx has no form of by itself."""
    made = keras.Sequential([keras.Input((8,), name="x"), layers.Dense(8, activation="gelu")])
    return _saved(made, folder)


def words_as_text(folder: Path) -> Path:
    """Reads text."""
    words = keras.Input((1,), dtype="string", name="words")
    known = layers.TextVectorization(vocabulary=["good", "bad"])(words)
    return _saved(keras.Model(words, layers.Embedding(5, 4)(known)), folder)


def untrained(folder: Path) -> Path:
    """Layers that make all images the same."""
    model = _images()
    model.get_layer("scores").set_weights([np.zeros((4, 3)), np.ones(3)])
    return _saved(model, folder)


def two_inputs(folder: Path) -> Path:
    """Two inputs and two outputs with names."""
    left, right = keras.Input((8,), name="left"), keras.Input((4,), name="right")
    both = layers.Concatenate()([layers.Dense(8, activation="relu")(left), right])
    outputs = [layers.Dense(2, name="second")(both), layers.Dense(3, name="first")(both)]
    return _saved(keras.Model([left, right], outputs), folder)


def by_name(folder: Path) -> Path:
    """Inputs and outputs in dicts."""
    zeta, alpha = keras.Input((8,), name="zeta"), keras.Input((8,), name="alpha")
    outputs = {"b": layers.Dense(2)(layers.Subtract()([zeta, alpha])), "a": layers.Dense(1)(zeta)}
    return _saved(keras.Model({"zeta": zeta, "alpha": alpha}, outputs), folder)


def without_names(folder: Path) -> Path:
    """The file of functions whose tensors are called otherwise than their layers, or than a dict's keys."""
    (folder / "zoo.py").write_text(
        "import keras\n"
        "from keras import layers\n"
        "def second():\n"
        "    keras.Sequential([keras.Input((3,)), layers.Dense(2)])\n"
        "    return keras.Sequential([keras.Input((3,)), layers.Dense(2, name='scores')])\n"
        "def by_keys():\n"
        "    one, other = keras.Input((8,), name='one'), keras.Input((8,), name='other')\n"
        "    given = {'zeta': one, 'alpha': other}\n"
        "    return keras.Model(given, {'y': layers.Subtract()([one, other])})\n"
    )
    return folder / "zoo.py"


def text(folder: Path) -> Path:
    """Words of an open number through an LSTM."""
    words = keras.Input((None,), dtype="int32", name="words")
    hidden = layers.LSTM(12)(layers.Embedding(20, 8)(words))
    return _saved(keras.Model(words, layers.Dense(3, name="topic")(hidden)), folder)


def constants(folder: Path) -> Path:
    """A layer that holds constants, at which Keras' own exporter fails."""
    scaled = layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[1.0, 4.0, 9.0])
    return _saved(keras.Sequential([keras.Input((3,), name="x"), scaled, layers.Dense(2)]), folder)


def function_layer(folder: Path) -> Path:
    """A layer that is a Python function."""
    twice = layers.Lambda(lambda x: x * 2)
    return _saved(keras.Sequential([keras.Input((3,)), twice, layers.Dense(2)]), folder)


def own_layer(folder: Path) -> Path:
    """A layer whose class lies in another file; the file of a function that has both."""
    (folder / "zoo.py").write_text(
        "import keras\n"
        "class Twice(keras.layers.Layer):\n"
        "    def call(self, x):\n"
        "        return x * 2\n"
        "def net():\n"
        "    return keras.saving.load_model('model.keras', custom_objects={'Twice': Twice})\n"
        "def needy(width):\n"
        "    return width\n"
        "def failing():\n"
        "    return {}['weights']\n"
        "def numbers():\n"
        "    return [1, 2]\n"
    )
    sys.path.insert(0, str(folder))
    zoo: Any = __import__("zoo")
    _saved(keras.Sequential([keras.Input((3,), name="x"), zoo.Twice(), layers.Dense(2)]), folder)
    return folder / "zoo.py"


def shapeless(folder: Path) -> Path:
    """Layers that were never told what comes in."""
    return _saved(keras.Sequential([layers.Dense(4), layers.Dense(2)]), folder)


def fourier(folder: Path) -> Path:
    """An operator that tf2onnx has no form of, in a layer."""
    given = keras.Input((4, 8), name="x")
    real, _ = keras.ops.fft2((given, given))
    return _saved(keras.Model(given, layers.Dense(1)(real)), folder)


def newer(folder: Path) -> Path:
    """A file of a Keras that isn't out yet, with a layer that this one doesn't have."""
    import json
    import zipfile

    made = images(folder)
    with zipfile.ZipFile(made) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["metadata.json"] = json.dumps({"keras_version": "9.1.0"}).encode()
    parts["config.json"] = parts["config.json"].replace(b'"Conv2D"', b'"Conv9D"')
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return made


if __name__ == "__main__":
    keras.utils.set_random_seed(1)
    print(globals()[sys.argv[1]](Path(sys.argv[2])))
