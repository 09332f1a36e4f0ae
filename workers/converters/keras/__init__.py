"""Keras' models as ONNX: its own files, and functions that return a model."""

from workers.converters.contract import CODE, Converter, Kind
from workers.converters.keras.recognise import (
    DAMAGED,
    HDF5,
    HDF5_LAMBDA,
    KERAS,
    KERAS_LAMBDA,
    WEIGHTS,
    recognises,
)

__all__ = ["CONVERTER"]

_LAMBDA = "its Lambda layers are Python code of whoever saved it, which is run to get the model"

CONVERTER = Converter(
    name="keras",
    title="Keras",
    kinds=(
        Kind(KERAS, "model.save('model.keras') of Keras 3"),
        Kind(KERAS_LAMBDA, "the same, with layers of Python functions", _LAMBDA),
        Kind(HDF5, "model.save('model.h5'), of Keras 2 too"),
        Kind(HDF5_LAMBDA, "the same, with layers of Python functions", _LAMBDA),
        Kind(
            CODE,
            "package.module:function or file.py:function, which returns a keras.Model",
            trust="a function is run to get its model, with all that its file imports",
        ),
        Kind(
            WEIGHTS,
            "model.save_weights('model.weights.h5')",
            refused="holds a Keras model's weights without the model: save the whole of it, "
            "model.save('model.keras'), or convert a function that makes the model and loads them, "
            "file.py:function",
        ),
        Kind(
            DAMAGED,
            "a cut off file",
            refused="is damaged or cut off: a .keras file is a ZIP archive with a config.json and a "
            "metadata.json; save or copy it again",
        ),
    ),
    recognises=recognises,
    megabytes=1640,
    minutes=4,
    note="TensorFlow is most of it: it is what Keras' models are traced with",
    exporters=("tf2onnx", "keras"),
    imports=("tensorflow", "keras_hub", "keras_cv", "keras_nlp"),
)
