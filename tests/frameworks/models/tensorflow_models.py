"""Small TensorFlow models, saved: python tensorflow_models.py FUNCTION FOLDER. Prints the path."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}

import numpy as np
import tensorflow as tf

_WEIGHTS = np.random.default_rng(0).standard_normal((3, 3, 3, 4)).astype(np.float32)
_v1 = tf.compat.v1


class _Two(tf.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.kernel = tf.Variable(_WEIGHTS)

    @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 3], name="pixels")])  # type: ignore[untyped-decorator]
    def classify(self, pixels: Any) -> dict[str, Any]:
        hidden = tf.nn.relu(tf.nn.conv2d(pixels, self.kernel, 1, "SAME"))
        return {"scores": tf.nn.softmax(tf.reduce_mean(hidden, [1, 2])), "hidden": hidden}

    @tf.function(input_signature=[tf.TensorSpec([None, None, 3], name="sound")])  # type: ignore[untyped-decorator]
    def embed(self, sound: Any) -> dict[str, Any]:
        return {"embedding": tf.reduce_max(sound * 2.0, 1)}


def _saved(folder: Path, **signatures: str) -> Path:
    model = _Two()
    given = {name: getattr(model, function) for name, function in signatures.items()}
    tf.saved_model.save(model, str(folder / "model"), signatures=given)
    return folder / "model"


def two_signatures(folder: Path) -> Path:
    """One is the usual one."""
    return _saved(folder, serving_default="classify", embed="embed")


def named_signatures(folder: Path) -> Path:
    """None is the usual one."""
    return _saved(folder, look="classify", hear="embed")


def no_signature(folder: Path) -> Path:
    """Functions, and nothing that says which is meant."""
    tf.saved_model.save(tf.Module(), str(folder / "model"))
    return folder / "model"


def texts(folder: Path) -> Path:
    """Reads text."""
    model = tf.Module()
    model.f = tf.function(
        lambda words: {"n": tf.strings.length(words)},
        input_signature=[tf.TensorSpec([None], tf.string, "words")],
    )
    tf.saved_model.save(model, str(folder / "model"), signatures={"serving_default": model.f})
    return folder / "model"


def writes_files(folder: Path) -> Path:
    """Writes a file when it is run."""
    model = tf.Module()

    def write(x: Any) -> dict[str, Any]:
        with tf.control_dependencies([tf.io.write_file(str(folder / "written"), "by the model")]):
            return {"y": x * 2.0}

    model.f = tf.function(write, input_signature=[tf.TensorSpec([None, 2], name="x")])
    tf.saved_model.save(model, str(folder / "model"), signatures={"serving_default": model.f})
    return folder / "model"


def _frozen(folder: Path, build: Any, name: str = "graph.pb") -> Path:
    with _v1.Graph().as_default() as graph:
        build()
    (folder / name).write_bytes(graph.as_graph_def().SerializeToString())
    return folder / name


def frozen(folder: Path) -> Path:
    """A graph of TensorFlow 1's days: a placeholder, a switch for training, two leaves."""

    def build() -> None:
        given = _v1.placeholder(tf.float32, [None, 8, 8, 3], "input")
        training = _v1.placeholder(tf.bool, [], "is_training")
        kept = _v1.placeholder(tf.float32, None, "keep_prob")
        hidden = tf.nn.conv2d(given, tf.constant(_WEIGHTS), 2, "SAME", name="conv")
        dropped = _v1.cond(training, lambda: hidden * 0.0, lambda: hidden)
        dropped = _v1.nn.dropout(dropped, keep_prob=kept)
        tf.nn.softmax(tf.reduce_mean(dropped, [1, 2]), name="softmax")
        tf.argmax(tf.reduce_mean(dropped, [1, 2]), 1, name="best")

    return _frozen(folder, build)


def saved_by_version_1(folder: Path) -> Path:
    """A session's graph with variables of old, as TensorFlow 1 saved one."""
    with _v1.Graph().as_default(), _v1.Session() as session:
        given = _v1.placeholder(tf.float32, [None, 8, 8, 3], "input")
        kernel = _v1.get_variable("kernel", initializer=_WEIGHTS, use_resource=False)
        scores = tf.nn.softmax(tf.reduce_mean(tf.nn.conv2d(given, kernel, 2, "SAME"), [1, 2]))
        session.run(_v1.global_variables_initializer())
        _v1.saved_model.simple_save(session, str(folder / "model"), {"image": given}, {"scores": scores})
    return folder / "model"


def mixed_by_version_1(folder: Path) -> Path:
    """Variables of both kinds, a branch, an input that nothing reads, names in another order than these."""
    with _v1.Graph().as_default(), _v1.Session() as session:
        image = _v1.placeholder(tf.float32, [None, 8, 8, 3], "first")
        scale = _v1.placeholder(tf.float32, [None, 1], "second")
        unread = _v1.placeholder(tf.float32, [None, 1], "third")
        kernel = _v1.get_variable("kernel", initializer=_WEIGHTS, use_resource=False)
        bias = _v1.get_variable("bias", initializer=_WEIGHTS[0, 0, 0], use_resource=True)
        training = _v1.get_variable("training", initializer=False, use_resource=False, trainable=False)
        with _v1.control_dependencies([kernel, image]):
            hidden = tf.reduce_mean(tf.nn.conv2d(image, kernel, 2, "SAME"), [1, 2]) + bias
        hidden = _v1.cond(training, lambda: hidden * 0.0, lambda: hidden * tf.reduce_sum(kernel))
        outputs = {"scores": tf.nn.softmax(hidden * scale), "hidden": hidden}
        session.run(_v1.global_variables_initializer())
        inputs = {"z": image, "a": scale, "b": unread}
        _v1.saved_model.simple_save(session, str(folder / "model"), inputs, outputs)
    return folder / "model"


def decoding(folder: Path) -> Path:
    """Decodes a JPEG file itself, as the model of TVM's tutorial."""

    def build() -> None:
        file = _v1.placeholder(tf.string, [], "DecodeJpeg/contents")
        pixels = tf.cast(tf.io.decode_jpeg(file, channels=3, name="DecodeJpeg"), tf.float32)
        resized = _v1.image.resize_bilinear(tf.expand_dims(pixels, 0), [16, 16], align_corners=False)
        hidden = tf.nn.conv2d(resized / 128.0 - 1.0, tf.constant(_WEIGHTS), 2, "SAME")
        tf.nn.softmax(tf.reduce_mean(hidden, [1, 2]), name="softmax")

    return _frozen(folder, build)


def shapeless(folder: Path) -> Path:
    """Doesn't say how many sizes its input has."""

    def build() -> None:
        given = _v1.placeholder(tf.float32, None, "input")
        tf.nn.relu(tf.nn.conv2d(given, tf.constant(_WEIGHTS), 1, "SAME"), name="relu")

    return _frozen(folder, build)


def unfrozen(folder: Path) -> Path:
    """A graph whose weights are variables."""

    def build() -> None:
        kernel = _v1.get_variable("kernel", [3, 2], use_resource=False)
        tf.matmul(_v1.placeholder(tf.float32, [None, 3], "input"), kernel, name="out")

    return _frozen(folder, build)


def without_form(folder: Path) -> Path:
    """An operator that tf2onnx has no form of, deep in a graph."""

    def build() -> None:
        given = _v1.placeholder(tf.float32, [4, 4], "input")
        with _v1.name_scope("spectrum/inner"):
            made = tf.linalg.svd(given, compute_uv=False)
        tf.identity(made, name="out")

    return _frozen(folder, build)


def _converter() -> Any:
    model = _Two()
    return tf.lite.TFLiteConverter.from_concrete_functions([model.classify.get_concrete_function()], model)


def tflite(folder: Path) -> Path:
    """Floats."""
    (folder / "model.tflite").write_bytes(_converter().convert())
    return folder / "model.tflite"


def tflite_quantized(folder: Path) -> Path:
    """8-bit integers inside and outside."""
    made = _converter()
    made.optimizations = [tf.lite.Optimize.DEFAULT]
    generator = np.random.default_rng(1)
    made.representative_dataset = lambda: [
        [generator.standard_normal((1, 8, 8, 3)).astype(np.float32)] for _ in range(8)
    ]
    made.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    made.inference_input_type = made.inference_output_type = tf.int8
    (folder / "model.tflite").write_bytes(made.convert())
    return folder / "model.tflite"


def checkpoint(folder: Path) -> Path:
    """Weights without a model."""
    tf.train.Checkpoint(model=_Two()).save(str(folder / "weights" / "ckpt"))
    return folder / "weights"


if __name__ == "__main__":
    print(globals()[sys.argv[1]](Path(sys.argv[2])))
