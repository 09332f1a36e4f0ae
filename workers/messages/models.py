"""Models and their tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workers.messages.trials import Workload

__all__ = ["Extraction", "Origin", "PreparedModel", "TaskSpec", "TensorSpec"]


@dataclass(frozen=True)
class TensorSpec:
    """A model's input or output: every dimension fixed.

    Attributes
    ----------
    name : str
        The ONNX value's name.
    shape : tuple of int
    dtype : str
        numpy's name of the element type, such as ``float32``.
    values : tuple of (int, int)
        Least and largest integer that the model takes there, as far as it was tried: a table of one row has
        no second, and nothing is divided by 0. Means nothing for floats.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    values: tuple[int, int] = (0, 1)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> TensorSpec:
        """Return what was stored as JSON; before `values` were, every integer was 0 or 1."""
        least, largest = stored.get("values", (0, 1))
        return cls(stored["name"], tuple(stored["shape"]), stored["dtype"], (least, largest))


@dataclass(frozen=True)
class Origin:
    """What a model was converted from.

    Attributes
    ----------
    source : str
        A file's name, or ``package.module:function``.
    framework : str
        With its version: "PyTorch 2.13.0".
    exporter : str
        What wrote the ONNX file, with its version.
    """

    source: str
    framework: str
    exporter: str

    def __str__(self) -> str:
        return f"{self.source} of {self.framework}, by {self.exporter}"


@dataclass(frozen=True)
class Rest:
    """What of a model is not tuned: it lies behind an operator whose outputs' sizes depend on values.

    Attributes
    ----------
    onnx : bytes
        A model that onnxruntime runs, with fixed input shapes.
    inputs : tuple of TensorSpec
        What it takes: outputs of the tuned part, and inputs of the whole model.
    outputs : tuple of str
        All outputs of the whole model, in its order; those that it doesn't make itself, the tuned part does.
    cut_at : tuple of str
        The operators where the model is cut, for people.
    """

    onnx: bytes
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[str, ...]
    cut_at: tuple[str, ...]


@dataclass(frozen=True)
class PreparedModel:
    """An ONNX model made ready for TVM's frontend, and what was done to it.

    Attributes
    ----------
    sha256 : str
        Of the original: the model file's bytes, then those of its external data files.
    name : str
        The file's stem.
    onnx : bytes
        The prepared model, all input dimensions fixed.
    inputs, outputs : tuple of TensorSpec
    changes : tuple of str
        One sentence for every change made to the original, for people.
    layout : str
        Which the engine is to give the activations; ``auto`` leaves it to the engine.
    rest : Rest or None
        What comes behind all that is here, where the model was cut; `outputs` are then what was cut.
    weights : str
        The file of this machine that holds the large ones of its weights, which `onnx` names as external
        data, see :mod:`workers.enginekit.weights`; empty where all are in `onnx`. It lasts as long as the
        toolbox that prepared the model.
    origin : Origin or None
        What the file says that it was converted from; None where it says nothing.
    """

    sha256: str
    name: str
    onnx: bytes
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    changes: tuple[str, ...] = ()
    layout: str = "auto"
    rest: Rest | None = None
    weights: str = ""
    origin: Origin | None = None


@dataclass(frozen=True)
class TaskSpec:
    """A workload as it stands in one model: how often it is called there."""

    name: str
    weight: int
    workload: Workload


@dataclass(frozen=True)
class Extraction:
    """The tasks of one model for one target.

    Attributes
    ----------
    tasks : tuple of TaskSpec
        In the order of the model, one for each distinct workload.
    engine_version : str
        Tasks of another version of the engine are not reused.
    layout : str
        That the activations have: the one that was asked for, or what the engine chose for ``auto``; empty
        where the engine knows none.
    layout_reason : str
        Why the engine chose that, for people; empty where it was asked for.
    alternative : str
        The layout that came next, where the engine can't tell which of both is faster; empty otherwise.
    estimate_s, alternative_s : float or None
        Seconds that both are estimated to take, as far as they differ; None where there is no alternative.
    """

    tasks: tuple[TaskSpec, ...]
    engine_version: str
    layout: str = ""
    layout_reason: str = ""
    alternative: str = ""
    estimate_s: float | None = None
    alternative_s: float | None = None
