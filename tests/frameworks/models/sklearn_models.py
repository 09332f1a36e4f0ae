"""Small fitted estimators, saved: python sklearn_models.py FUNCTION FOLDER. Prints the path."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import joblib
import lightgbm
import numpy as np
import pandas
import xgboost
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, OneHotEncoder, StandardScaler

# Features of very different sizes, as people's have.
_X = np.random.default_rng(0).standard_normal((200, 6)) * [1, 10, 100, 1, 0.01, 1] + [0, 50, 0, 3, 0, 0]
_SCORE = _X[:, 0] + _X[:, 1] / 10 + _X[:, 2] / 100
_CLASSES = np.digitize(_SCORE, (4.5, 5.5))


def _dumped(estimator: Any, folder: Path) -> Path:
    joblib.dump(estimator, folder / "model.joblib")
    return folder / "model.joblib"


def forest(folder: Path) -> Path:
    """Scaled, then trees."""
    made = make_pipeline(StandardScaler(), RandomForestClassifier(20, random_state=0))
    return _dumped(made.fit(_X, _CLASSES), folder)


def logistic(folder: Path) -> Path:
    """One product; pickled and packed."""
    joblib.dump(LogisticRegression(max_iter=500).fit(_X, _CLASSES), folder / "model.pkl", compress=3)
    return folder / "model.pkl"


def composed(folder: Path) -> Path:
    """Estimators that vote, forests among them."""
    parts = [("forest", RandomForestClassifier(5, random_state=0)), ("line", LogisticRegression())]
    return _dumped(VotingClassifier(parts, voting="soft").fit(_X / 100, _CLASSES), folder)


def words_as_classes(folder: Path) -> Path:
    """Labels are text."""
    return _dumped(LogisticRegression().fit(_X / 100, np.array(["no", "maybe", "yes"])[_CLASSES]), folder)


def histograms(folder: Path) -> Path:
    """HistGradientBoosting, a classifier."""
    return _dumped(HistGradientBoostingClassifier(max_iter=10).fit(_X, _CLASSES), folder)


def histograms_of_numbers(folder: Path) -> Path:
    """HistGradientBoosting, a regressor."""
    return _dumped(HistGradientBoostingRegressor(max_iter=10).fit(_X, _SCORE), folder)


def centres(folder: Path) -> Path:
    """KMeans, fitted in double precision."""
    return _dumped(KMeans(3, n_init=1, random_state=0).fit(_X), folder)


def columns(folder: Path) -> Path:
    """Columns of a table, chosen by name."""
    table = pandas.DataFrame(_X, columns=[f"c{place}" for place in range(6)])
    chosen = ColumnTransformer(
        [("s", StandardScaler(), ["c1", "c2"]), ("m", MinMaxScaler(), ["c0"])], remainder="passthrough"
    )
    return _dumped(
        make_pipeline(chosen, RandomForestClassifier(10, random_state=0)).fit(table, _CLASSES), folder
    )


def columns_of_words(folder: Path) -> Path:
    """A column of words among them."""
    table = pandas.DataFrame(_X, columns=[f"c{place}" for place in range(6)])
    table["kind"] = np.array(["u", "v", "w"])[_CLASSES]
    chosen = ColumnTransformer([("s", StandardScaler(), ["c1"]), ("kinds", OneHotEncoder(), ["kind"])])
    return _dumped(make_pipeline(chosen, LogisticRegression()).fit(table, _CLASSES), folder)


def texts(folder: Path) -> Path:
    """Text first."""
    made = make_pipeline(TfidfVectorizer(), LogisticRegression())
    return _dumped(
        made.fit(["good film", "bad film", "great plot", "awful plot"] * 5, [1, 0, 1, 0] * 5), folder
    )


def lightgbm_classes(folder: Path) -> Path:
    """LightGBM within a pipeline."""
    made = make_pipeline(StandardScaler(), lightgbm.LGBMClassifier(n_estimators=5, verbose=-1))
    return _dumped(made.fit(_X, _CLASSES), folder)


def lightgbm_text(folder: Path) -> Path:
    """LightGBM's own file."""
    made = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1).fit(_X, _CLASSES)
    made.booster_.save_model(folder / "model.txt")
    return folder / "model.txt"


def lightgbm_numbers(folder: Path) -> Path:
    """LightGBM's own file of a regressor."""
    lightgbm.LGBMRegressor(n_estimators=5, verbose=-1).fit(_X, _SCORE).booster_.save_model(
        folder / "model.txt"
    )
    return folder / "model.txt"


def _xgboost(made: Any, folder: Path, name: str) -> Path:
    made.save_model(folder / name)
    return folder / name


def xgboost_json(folder: Path) -> Path:
    """XGBoost's own file."""
    return _xgboost(xgboost.XGBClassifier(n_estimators=5).fit(_X, _CLASSES), folder, "model.json")


def xgboost_ubj(folder: Path) -> Path:
    """The binary one, of a bare booster with two classes."""
    made = xgboost.XGBClassifier(n_estimators=5).fit(_X, _CLASSES > 0)
    return _xgboost(made.get_booster(), folder, "model.ubj")


def xgboost_ranker(folder: Path) -> Path:
    """A ranker."""
    made = xgboost.XGBRanker(n_estimators=5).fit(_X, _CLASSES, qid=np.repeat(np.arange(10), 20))
    return _xgboost(made, folder, "model.json")


def lightgbm_ranker(folder: Path) -> Path:
    """A ranker's pickle."""
    made = lightgbm.LGBMRanker(n_estimators=5, verbose=-1)
    return _dumped(made.fit(_X, _CLASSES, group=[20] * 10), folder)


def xgboost_ranker_pickled(folder: Path) -> Path:
    """A ranker's pickle."""
    made = xgboost.XGBRanker(n_estimators=5)
    return _dumped(made.fit(_X, _CLASSES, qid=np.repeat(np.arange(10), 20)), folder)


def xgboost_linear(folder: Path) -> Path:
    """No trees."""
    return _xgboost(xgboost.XGBRegressor(booster="gblinear").fit(_X, _SCORE), folder, "model.json")


def xgboost_logistic(folder: Path) -> Path:
    """A regressor whose predictions are no sums of leaves."""
    made = xgboost.XGBRegressor(objective="reg:logistic", n_estimators=5).fit(_X, _CLASSES > 0)
    return _xgboost(made, folder, "model.json")


def in_a_dict(folder: Path) -> Path:
    """An estimator among other things."""
    (folder / "model.pkl").write_bytes(pickle.dumps({"model": LogisticRegression(), "columns": [1, 2]}))
    return folder / "model.pkl"


def unfitted(folder: Path) -> Path:
    """An estimator that was never fitted."""
    return _dumped(RandomForestClassifier(), folder)


def without_form(folder: Path) -> Path:
    """An estimator that skl2onnx doesn't know, in a pipeline."""
    made = make_pipeline(StandardScaler(), FunctionTransformer(np.cbrt), LogisticRegression())
    return _dumped(made.fit(_X, _CLASSES), folder)


def older(folder: Path) -> Path:
    """As an older scikit-learn would have written it."""
    made = forest(folder)
    import sklearn

    content = made.read_bytes()
    now = sklearn.__version__.encode()
    assert now in content
    made.write_bytes(content.replace(now, b"1.0.2"))
    return made


def outliers(folder: Path) -> Path:
    """Neighbours that are counted."""
    return _dumped(LocalOutlierFactor(novelty=True).fit(_X), folder)


if __name__ == "__main__":
    print(globals()[sys.argv[1]](Path(sys.argv[2])))
