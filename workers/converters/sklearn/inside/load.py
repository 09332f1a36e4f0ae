"""An estimator, loaded from a pickle, a booster's own file, or a person's function."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from workers.converters import user_code
from workers.converters.contract import (
    CODE,
    FAILED,
    FOREIGN,
    NOT_A_MODEL,
    UNREADABLE,
    ConversionError,
    ConversionRequest,
)
from workers.converters.sklearn.pickles import contents
from workers.converters.sklearn.recognise import LIGHTGBM, XGBOOST

__all__ = ["Loaded", "load"]

_OWN_ENVIRONMENT = (
    "have the converter run where that version is: `tunefleet converters use sklearn --python PATH`"
)


@dataclass(frozen=True)
class Loaded:
    """An estimator, or a booster of LightGBM's, with what is to be said about it.

    Attributes
    ----------
    estimator : object
    notes, files : tuple of str
        As :class:`workers.converters.contract.Converted` has them.
    versions : str
        Of scikit-learn, where another wrote it; a part of a sentence.
    """

    estimator: Any
    notes: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    versions: str = ""

    @contextlib.contextmanager
    def used(self) -> Iterator[None]:
        """Say of what fails meanwhile that another scikit-learn wrote it, where that is so.

        Raises
        ------
        ConversionError
            `UNREADABLE`
        """
        try:
            yield
        except ConversionError as error:
            if not self.versions or error.code != FAILED:
                raise
            raise self._of_another_version(error.message) from error
        except Exception as error:
            if not self.versions:
                raise
            words = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            raise self._of_another_version(words) from error

    def _of_another_version(self, words: str) -> ConversionError:
        return ConversionError(
            UNREADABLE, f"it loads and can't be used: {words}; {self.versions}", _OWN_ENVIRONMENT
        )


def load(request: ConversionRequest) -> Loaded:
    """Load what a request names.

    Raises
    ------
    ConversionError
        It can't be read, or is no fitted estimator.
    """
    if request.kind == LIGHTGBM:
        return Loaded(_lightgbm(request.source))
    if request.kind == XGBOOST:
        return Loaded(_xgboost(request.source))
    if request.kind == CODE:
        made, files = user_code.call(request.source, "sklearn", _models(), request.seed)
        return Loaded(_estimator(made, "the function returned"), files=files)
    made, notes, versions = _pickle(request.source)
    return Loaded(_estimator(made, "it holds"), notes, versions=versions)


def _models() -> tuple[type, ...]:
    from lightgbm import Booster as LightGBMBooster
    from sklearn.base import BaseEstimator
    from xgboost import Booster as XGBoostBooster

    return BaseEstimator, LightGBMBooster, XGBoostBooster


def _pickle(source: str) -> tuple[Any, tuple[str, ...], str]:
    import joblib
    import sklearn
    from sklearn.exceptions import InconsistentVersionWarning

    held = contents(source)
    wrote = held.versions.get("scikit-learn", "") if held is not None else ""
    versions = (
        f"it was written with scikit-learn {wrote}, and this is {sklearn.__version__}"
        if wrote and wrote != sklearn.__version__
        else ""
    )
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            made = joblib.load(source)
    except (ModuleNotFoundError, AttributeError) as error:
        words = " ".join(str(error).split())[:200]
        hint = (
            _OWN_ENVIRONMENT
            if versions
            else "convert a function that imports those classes and returns the estimator: "
            "`file.py:function`, with `--framework sklearn --trust`"
        )
        raise ConversionError(
            UNREADABLE,
            f"it asks for code that isn't here: {words}{f'; {versions}' * bool(versions)}",
            hint,
        ) from error
    except Exception as error:
        words = " ".join(str(error).split())[:200]
        raise ConversionError(
            UNREADABLE,
            f"it can't be loaded: {type(error).__name__}: {words}{f'; {versions}' * bool(versions)}",
            _OWN_ENVIRONMENT if versions else "copy or pickle it again",
        ) from error
    old = {
        one.message.original_sklearn_version
        for one in said
        if isinstance(one.message, InconsistentVersionWarning)
    }
    if not old:
        return made, (), versions
    note = (
        f"pickled by scikit-learn {', '.join(sorted(old))}, loaded by {sklearn.__version__}, which promises "
        "nothing about that: the outputs it is compared with are of this version"
    )
    return made, (note,), versions


def _estimator(made: Any, where: str) -> Any:
    import lightgbm
    import xgboost
    from sklearn.base import BaseEstimator
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    if isinstance(made, xgboost.Booster):
        return _xgboost(bytes(made.save_raw("ubj")))
    if isinstance(made, lightgbm.Booster):
        return made
    # The tools know rankers' boosters alone, which say what the rankers do.
    if isinstance(made, lightgbm.LGBMRanker) and hasattr(made, "booster_"):
        return made.booster_
    if isinstance(made, xgboost.XGBRanker) and made.__sklearn_is_fitted__():
        return _xgboost(bytes(made.get_booster().save_raw("ubj")))
    what = f"{type(made).__module__}.{type(made).__qualname__}"
    if not isinstance(made, BaseEstimator):
        inner = (
            [str(key) for key, value in made.items() if isinstance(value, BaseEstimator)]
            if isinstance(made, dict)
            else []
        )
        raise ConversionError(
            FOREIGN if what.split(".")[0] in ("torch", "keras", "tensorflow", "catboost") else NOT_A_MODEL,
            f"{where} {what if not isinstance(made, dict) else 'a dict'}, no estimator"
            + (f"; one is under {', '.join(map(repr, inner))}" if inner else ""),
            "pickle the fitted estimator by itself",
        )
    try:
        check_is_fitted(made)
    except (NotFittedError, TypeError) as error:
        raise ConversionError(
            NOT_A_MODEL, f"{where} {what}, which isn't fitted", "fit it, and pickle it then"
        ) from error
    return made


def _lightgbm(source: str) -> Any:
    import lightgbm

    try:
        return lightgbm.Booster(model_file=source)
    except Exception as error:
        words = " ".join(str(error).split())[:300]
        raise ConversionError(
            UNREADABLE, f"LightGBM {lightgbm.__version__} can't read it: {words}", "save it again"
        ) from error


def _xgboost(source: str | bytes) -> Any:
    """Load a booster as the estimator that computes what it is for."""
    import xgboost

    content = bytearray(source) if isinstance(source, bytes) else source
    try:
        booster = xgboost.Booster()
        booster.load_model(content)
        objective = json.loads(booster.save_config())["learner"]["objective"]["name"]
        kind = xgboost.XGBClassifier if objective.startswith(("binary:", "multi:")) else xgboost.XGBRegressor
        estimator = kind()
        # What a ranker's file says it is keeps a regressor from loading it; both compute the same.
        booster.set_attr(scikit_learn=None)
        estimator.load_model(bytearray(booster.save_raw("ubj")))
    except Exception as error:
        words = " ".join(str(error).split())[:300]
        raise ConversionError(
            UNREADABLE,
            f"XGBoost {xgboost.__version__} can't read it: {words}",
            "save it again, as JSON or UBJ, with that version or an earlier one",
        ) from error
    return estimator
