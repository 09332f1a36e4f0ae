"""Stores what older releases of frameworks wrote, for the tests of what is converted; never run by them.

python make.py keras2       # where tensorflow 2.15.1 is, whose Keras is 2.15
python make.py sklearn      # where scikit-learn 1.2.2 is
"""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np

_HERE = Path(__file__).parent


def _keras2() -> None:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras
    from keras import layers

    keras.utils.set_random_seed(1)
    image, scale = keras.Input((16, 16, 3), name="image"), keras.Input((4,), name="scale")
    x = layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False)(image)
    x = layers.ReLU(6.0)(layers.BatchNormalization(name="norm")(x))
    x = layers.DepthwiseConv2D(3, padding="same", activation="swish")(x)
    x = layers.Multiply()([layers.GlobalAveragePooling2D()(layers.UpSampling2D()(x)), scale])
    model = keras.Model([image, scale], layers.Dense(3, activation="softmax", name="scores")(x))
    generator = np.random.default_rng(1)
    model.get_layer("norm").set_weights([generator.uniform(0.5, 1.5, 4) for _ in range(4)])
    model.compile("adam", "categorical_crossentropy")
    model.save(_HERE / "keras2.h5")
    model.save(_HERE / "keras2.keras")
    words = keras.Input((None,), dtype="int32", name="words")
    hidden = layers.Bidirectional(layers.GRU(6))(layers.Embedding(20, 4)(words))
    keras.Model(words, layers.Dense(2, name="topic")(hidden)).save(_HERE / "keras2_words.h5")


def _sklearn() -> None:
    from sklearn.ensemble import (
        GradientBoostingRegressor,
        HistGradientBoostingClassifier,
        RandomForestClassifier,
    )
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    x = np.random.default_rng(0).standard_normal((200, 6))
    score = x[:, 0] + x[:, 1]
    classes = np.digitize(score, (-0.5, 0.5))
    made: dict[str, Any] = {
        "logistic": make_pipeline(StandardScaler(), LogisticRegression()).fit(x, classes),
        "svm": SVC(probability=True).fit(x[:60], classes[:60]),
        "forest": RandomForestClassifier(4, max_depth=3, random_state=0).fit(x, classes),
        "boosted": GradientBoostingRegressor(n_estimators=4, random_state=0).fit(x, score),
        "histograms": HistGradientBoostingClassifier(max_iter=2, max_leaf_nodes=5).fit(x, classes),
    }
    for name, estimator in made.items():
        (_HERE / f"sklearn_1_2_{name}.pkl").write_bytes(pickle.dumps(estimator))


if __name__ == "__main__":
    {"keras2": _keras2, "sklearn": _sklearn}[sys.argv[1]]()
