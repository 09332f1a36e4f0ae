"""Steps of a pipeline that read text: they stay in Python."""

from __future__ import annotations

from typing import Any

from workers.converters.contract import NO_ONNX_FORM, ConversionError

__all__ = ["parts", "without_text"]


def without_text(estimator: Any) -> tuple[Any, list[str]]:
    """Cut the first steps of a pipeline off where these read text; say which.

    Raises
    ------
    ConversionError
        `NO_ONNX_FORM`: text is read where nothing can be cut.
    """
    from sklearn.pipeline import Pipeline

    if isinstance(estimator, Pipeline):
        reading = [place for place, (_, step) in enumerate(estimator.steps) if _reads_text(step)]
        if reading:
            cut = reading[-1] + 1
            names = ", ".join(f"{name} ({type(step).__name__})" for name, step in estimator.steps[:cut])
            if cut == len(estimator.steps):
                raise ConversionError(
                    NO_ONNX_FORM, f"{names} reads text, and nothing comes behind", "keep it in Python"
                )
            return Pipeline(estimator.steps[cut:]), [
                f"{names} reads text and stays in Python: the model begins behind it, and takes "
                f"pipeline[:{cut}].transform(texts).toarray()"
            ]
    for place, part in parts(estimator):
        if _reads_text(part):
            raise ConversionError(
                NO_ONNX_FORM,
                f"{place}{type(part).__name__} reads text, which no kernel does",
                "keep what turns text into numbers in Python, and convert the rest",
            )
    return estimator, []


def parts(estimator: Any, place: str = "") -> Any:
    """Yield all that an estimator is composed of, each with where it stands."""
    yield place, estimator
    for attribute in ("steps", "transformers_", "transformer_list", "estimators"):
        for entry in getattr(estimator, attribute, None) or ():
            if isinstance(entry, tuple) and len(entry) >= 2 and hasattr(entry[1], "get_params"):
                yield from parts(entry[1], f"{place}{entry[0]}: ")


def _reads_text(step: Any) -> bool:
    from sklearn.feature_extraction import DictVectorizer, FeatureHasher
    from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer

    if isinstance(step, (CountVectorizer, HashingVectorizer, DictVectorizer, FeatureHasher)):
        return True
    # Encoders of words: their categories are no numbers.
    return any(
        getattr(values, "dtype", None) is not None and values.dtype.kind in "OUS" and _words(values)
        for values in getattr(step, "categories_", ())
    )


def _words(values: Any) -> bool:
    return any(isinstance(value, str) for value in values)
