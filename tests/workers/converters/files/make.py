"""Stores files of real frameworks for the tests of what is recognised; never run by them.

    python make.py keras|tensorflow|sklearn|paddle      # in that converter's environment

Small ones, saved once: what they begin with and hold doesn't depend on the model.
"""

from __future__ import annotations

import os
import pickle
import shutil
import sys
from pathlib import Path

_HERE = Path(__file__).parent


def _keras() -> None:
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras

    def saved(name: str, *layers: object) -> None:
        keras.Sequential([keras.Input((2,)), *layers, keras.layers.Dense(1)]).save(_HERE / name)

    saved("model.keras")
    saved("model.h5")
    saved("function.keras", keras.layers.Lambda(lambda x: x * 2))
    saved("function.h5", keras.layers.Lambda(lambda x: x * 2))
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save_weights(_HERE / "model.weights.h5")


def _tensorflow() -> None:
    import tensorflow as tf

    def saved(name: str, work: object) -> None:
        module = tf.Module()
        module.f = tf.function(work, input_signature=[tf.TensorSpec([None, 2], name="x")])
        tf.saved_model.save(module, str(_HERE / name), signatures={"serving_default": module.f})
        # What is recognised is the graph alone.
        for other in ("variables", "assets", "fingerprint.pb"):
            path = _HERE / name / other
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def write(x: object) -> object:
        with tf.control_dependencies([tf.io.write_file("never", "written")]):
            return tf.identity(x)

    saved("saved", lambda x: {"y": x * 2.0})
    saved("writing", lambda x: {"y": write(x)})
    with tf.compat.v1.Graph().as_default() as graph:
        tf.nn.relu(tf.compat.v1.placeholder(tf.float32, [None, 2], "input"), name="relu")
    (_HERE / "frozen.pb").write_bytes(graph.as_graph_def().SerializeToString())
    (_HERE / "frozen.pbtxt").write_text(str(graph.as_graph_def()))
    function = tf.function(lambda x: x * 2.0, input_signature=[tf.TensorSpec([None, 2], name="x")])
    made = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])
    (_HERE / "model.tflite").write_bytes(made.convert())


def _sklearn() -> None:
    import joblib
    import lightgbm
    import numpy as np
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x = np.random.default_rng(0).standard_normal((40, 2))
    fitted = make_pipeline(StandardScaler(), LinearRegression()).fit(x, x[:, 0])
    joblib.dump(fitted, _HERE / "pipeline.joblib")
    joblib.dump(fitted, _HERE / "packed.joblib", compress=3)
    for protocol in (0, 5):
        (_HERE / f"pipeline{protocol}.pkl").write_bytes(pickle.dumps(fitted, protocol))
    trees = lightgbm.LGBMRegressor(n_estimators=1, num_leaves=2, verbose=-1).fit(x, x[:, 0])
    trees.booster_.save_model(_HERE / "lightgbm.txt")


def _paddle() -> None:
    import paddle

    layer = paddle.nn.Linear(2, 1)
    layer.eval()
    spec = [paddle.static.InputSpec([None, 2], "float32", name="x")]
    paddle.jit.save(layer, str(_HERE / "paddle3" / "inference"), input_spec=spec)
    with paddle.pir_utils.OldIrGuard():
        paddle.jit.save(layer, str(_HERE / "paddle2" / "inference"), input_spec=spec)


if __name__ == "__main__":
    {"keras": _keras, "tensorflow": _tensorflow, "sklearn": _sklearn, "paddle": _paddle}[sys.argv[1]]()
