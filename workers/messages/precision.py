"""What numbers a model computes with: what was asked for, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from workers.messages.models import Origin, TensorSpec

__all__ = ["Metric", "Precision", "PrecisionFound", "PrecisionRequest"]


class Precision(str, Enum):
    """What a model computes with, as ``--precision`` has it."""

    FLOAT32 = "float32"
    FP16 = "fp16"
    BF16 = "bf16"
    INT8 = "int8"
    AUTO = "auto"


class Metric(str, Enum):
    """How an output is held against the float32 model's, as ``--metric`` has it."""

    MAX = "max"
    COSINE = "cosine"
    TOP1 = "top1"


@dataclass(frozen=True)
class PrecisionRequest:
    """A float32 model that is wanted in another precision.

    Attributes
    ----------
    path : str
        The ONNX file.
    out : str
        Where the other one is written, in a folder that is there.
    precision : Precision
    shapes : mapping of str to tuple of int
        As :func:`workers.models.prepare` takes them.
    calibration : str
        A file or folder with samples of the model's inputs; empty for none.
    calibration_sha256 : str
        Of its content.
    metric : Metric
    max_error : float
        By that metric: 0.01 is 1%.
    among : tuple of Precision
        What :attr:`Precision.AUTO` may be beside float32, the best first.
    """

    path: str
    out: str
    precision: Precision
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    calibration: str = ""
    calibration_sha256: str = ""
    metric: Metric = Metric.MAX
    max_error: float = 0.01
    among: tuple[Precision, ...] = (Precision.INT8,)


@dataclass(frozen=True)
class PrecisionFound:
    """What came of it.

    Attributes
    ----------
    precision : Precision
        That it has: never ``auto``. Of ``float32`` nothing was written.
    reason : str
        Why it was chosen, for people.
    tool : str
        What converted it, with its version; empty where nothing did.
    error : float or None
        From the float32 model, by the metric; None where it was not compared.
    metric : Metric
    max_error : float
    calibrated, compared : int
        Samples that the ranges of numbers were taken from, and that it was compared on.
    held_back : bool
        Whether the latter are none of the former.
    layers : int
        Convolutions of images and products with constant matrices: what an engine computes with integers, or
        with bfloat16.
    kept : tuple of str
        Those that stay in float32, by their nodes' names.
    share : float
        Of the multiplications of all these layers, those that are not kept in float32.
    calibration_sha256 : str
        Of the samples; empty where there were none.
    origin : Origin or None
        As it stands in the file that was written; None where none was.
    inputs, outputs : tuple of TensorSpec
    data_files : tuple of str
        What of the float32 model lies in other files, by their places in its folder.
    """

    precision: Precision
    reason: str
    tool: str = ""
    error: float | None = None
    metric: Metric = Metric.MAX
    max_error: float = 0.01
    calibrated: int = 0
    compared: int = 0
    held_back: bool = False
    layers: int = 0
    kept: tuple[str, ...] = ()
    share: float = 0.0
    calibration_sha256: str = ""
    origin: Origin | None = None
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    data_files: tuple[str, ...] = ()
