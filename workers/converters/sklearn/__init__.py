"""Estimators of scikit-learn, LightGBM and XGBoost as ONNX: pickles, and the boosters' own files."""

from workers.converters.contract import CODE, Converter, Kind
from workers.converters.sklearn.recognise import (
    DUMP,
    LIGHTGBM,
    NO_ESTIMATOR,
    OTHERS,
    PICKLE,
    XGBOOST,
    XGBOOST_OLD,
    pickle_of,
    recognises,
)

__all__ = ["CONVERTER"]

CONVERTER = Converter(
    name="sklearn",
    title="scikit-learn, LightGBM, XGBoost",
    kinds=(
        Kind(
            PICKLE,
            "joblib.dump(estimator, 'model.joblib') or pickle.dump(estimator, file)",
            trust="a pickle is a program, which is run to load it",
        ),
        Kind(LIGHTGBM, "booster.save_model('model.txt') of LightGBM"),
        Kind(XGBOOST, "save_model('model.json' or 'model.ubj') of XGBoost"),
        Kind(
            CODE,
            "package.module:function or file.py:function, which returns a fitted estimator",
            trust="a function is run to get its estimator, with all that its file imports",
        ),
        Kind(
            XGBOOST_OLD,
            "save_model('model.bin') of XGBoost before 3.1",
            refused="is XGBoost's old binary format, which XGBoost reads no more since 3.1: load it with the "
            "XGBoost that wrote it, and booster.save_model('model.json')",
        ),
        Kind(
            DUMP,
            "dump_model() of LightGBM or XGBoost",
            refused="is a booster's dump_model(), for people to read, which nothing loads: "
            "booster.save_model('model.txt') in LightGBM, 'model.json' in XGBoost",
        ),
        Kind(
            NO_ESTIMATOR,
            "a pickle of something else",
            refused="is a pickle of no estimator of scikit-learn's, LightGBM's or XGBoost's: pickle the "
            "fitted estimator by itself",
        ),
        *(
            Kind(
                pickle_of(framework),
                f"a pickle of {framework}'s objects",
                refused=f"is a pickle of {framework}'s objects, no estimator: save it in a format of "
                f"{framework}'s own",
            )
            for framework in dict.fromkeys(OTHERS.values())
        ),
    ),
    recognises=recognises,
    megabytes=510,
    minutes=3,
    exporters=("skl2onnx",),
    imports=("lightgbm", "xgboost"),
)
