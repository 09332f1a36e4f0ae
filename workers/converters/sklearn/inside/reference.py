"""What an estimator itself says, under the names of its ONNX model's outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["Reference"]

# Which methods may be behind an output of that name, the likeliest first.
_METHODS = {
    "label": ("predict",),
    "probabilities": ("predict_proba", "decision_function"),
    "scores": ("decision_function", "transform", "score_samples"),
    "distance": ("kneighbors",),
}
_FEW = 20
_OTHERS = ("predict", "transform", "decision_function")


class Reference:
    """Runs an estimator for each output that its ONNX model has.

    Parameters
    ----------
    estimator : object
    outputs : sequence of onnx.ValueInfoProto

    Attributes
    ----------
    notes : list of str
        Which outputs it can't say anything about, and why; after the first run.
    """

    def __init__(self, estimator: Any, outputs: Sequence[Any]) -> None:
        self._estimator = estimator
        self._outputs = outputs
        self.notes: list[str] = []

    def run(self, rows: Any) -> dict[str, Any]:
        """Return outputs by name, of their ONNX model's types and ranks."""
        import numpy as np
        import onnx

        made: dict[str, Any] = {}
        self.notes = []
        for output in self._outputs:
            tensor = output.type.tensor_type
            dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
            if dtype.kind in "OUS":
                self.notes.append(self._about_text(output.name))
                continue
            sizes = [
                size.dim_value if size.HasField("dim_value") and size.dim_value > 0 else None
                for size in tensor.shape.dim
            ]
            for call in self._calls(output.name):
                value = np.asarray(_called(call, self._table(rows)))
                fitted = _fitted(value, sizes)
                if fitted is not None and value.dtype.kind in "fiub":
                    made[output.name] = fitted.astype(dtype)
                    break
            else:
                self.notes.append(f"output {output.name} was left out: no method of the estimator gives it")
        return made

    def _table(self, rows: Any) -> Any:
        """Give columns their names where the estimator was fitted to a table: it may choose by these."""
        names = getattr(self._estimator, "feature_names_in_", None)
        if names is None or not hasattr(self._estimator, "get_params"):
            return rows
        import pandas

        return pandas.DataFrame(rows, columns=list(names))

    def _about_text(self, name: str) -> str:
        classes = getattr(self._estimator, "classes_", ())
        listed = ", ".join(str(one) for one in list(classes)[:_FEW])
        more = f" and {len(classes) - _FEW} more" if len(classes) > _FEW else ""
        told = f": the columns of probabilities are the classes {listed}{more}" if len(classes) else ""
        return f"output {name} was left out, since it is text{told}"

    def _calls(self, name: str) -> list[Callable[[Any], Any]]:
        import lightgbm

        if isinstance(self._estimator, lightgbm.Booster):
            return [lambda rows: _booster(self._estimator, rows, name)]
        methods = _METHODS.get(name, _OTHERS)
        # Some have a method that raises when it is asked for: an SVC without probabilities.
        return [getattr(self._estimator, method) for method in methods if hasattr(self._estimator, method)]


def _called(call: Callable[[Any], Any], rows: Any) -> Any:
    """Call with single precision, or with double where the estimator takes what it was fitted to alone."""
    try:
        return call(rows)
    except ValueError:
        return call(rows.astype("float64"))


def _fitted(value: Any, sizes: Sequence[int | None]) -> Any:
    """Return a value of an output's rank, or None where it can't be that output."""
    if value.ndim + 1 == len(sizes) and sizes[-1] in (None, 1):
        value = value[..., None]
    elif value.ndim == len(sizes) + 1 and value.shape[-1] == 1:
        value = value[..., 0]
    if len(sizes) and value.ndim != len(sizes):
        return None
    fits = all(size in (None, length) for size, length in zip(sizes[1:], value.shape[1:], strict=False))
    return value if fits else None


def _booster(booster: Any, rows: Any, name: str) -> Any:
    """Return what a classifier around a booster would."""
    import numpy as np

    made = np.asarray(booster.predict(rows))
    if name in ("label", "probabilities") and made.ndim == 1:
        made = np.stack([1 - made, made], axis=1)
    return made.argmax(axis=1) if name == "label" else made
