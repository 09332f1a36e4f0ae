"""TensorFlow's models as ONNX: SavedModel folders, frozen graphs, TFLite files."""

from workers.converters.contract import Converter, Kind
from workers.converters.tensorflow.recognise import (
    CHECKPOINT,
    FROZEN,
    SAVED_MODEL,
    SAVED_MODEL_FILES,
    TFLITE,
    recognises,
)

__all__ = ["CONVERTER"]

CONVERTER = Converter(
    name="tensorflow",
    title="TensorFlow",
    kinds=(
        Kind(
            SAVED_MODEL,
            "tf.saved_model.save(model, 'folder'), or Keras' model.export('folder')",
            signatures=True,
        ),
        Kind(
            SAVED_MODEL_FILES,
            "the same, with operators that read or write files or call Python",
            "loading and running it reads and writes files of this machine, as whoever saved it wished",
            signatures=True,
        ),
        Kind(FROZEN, "a graph with its weights as constants (.pb), of TensorFlow 1 too"),
        Kind(TFLITE, "tf.lite.TFLiteConverter's file (.tflite), as far as tf2onnx reads it", signatures=True),
        Kind(
            CHECKPOINT,
            "tf.train.Checkpoint's or tf.train.Saver's files",
            refused="is a checkpoint, weights without the model: save a SavedModel, "
            "tf.saved_model.save(model, 'folder'), or freeze the graph, in TensorFlow 1 with "
            "tf.graph_util.convert_variables_to_constants(session, graph, outputs)",
        ),
    ),
    recognises=recognises,
    megabytes=1640,
    minutes=4,
    exporters=("tf2onnx",),
)
