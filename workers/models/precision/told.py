"""What became of a model's numbers: in words, and in the file that is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import onnx

from workers.messages import Origin, PrecisionFound, PrecisionRequest, TensorSpec
from workers.models import _graphs
from workers.models._origin import put_origin
from workers.models._prepare import Fixed
from workers.models.precision.comparing import Compared
from workers.models.precision.errors import percent, words_for
from workers.models.precision.layers import Layer
from workers.models.precision.search import Within

__all__ = ["too_far", "why", "written"]

_NAMED = 3


def why(request: PrecisionRequest, within: Within, layers: Sequence[Layer], share: float) -> str:
    """Say why a model is of the precision that it is."""
    off = f"it is off by {words_for(request.metric, within.error)}, of {percent(request.max_error)} allowed"
    if not within.kept:
        return f"{off}, with all {len(layers)} layers in {request.precision.value}"
    return (
        f"{off}, with {share:.0%} of the multiplications in {request.precision.value}; {len(within.kept)} of "
        f"{len(layers)} layers "
        f"stay in float32, without which it were {percent(within.whole)}: {_names(within.kept)}"
    )


def too_far(request: PrecisionRequest, within: Within, layers: Sequence[Layer]) -> str:
    """Say that a model is too far off."""
    few = (
        f", and by {percent(within.error)} with one of its {len(layers)} layers alone" if within.kept else ""
    )
    off = words_for(request.metric, within.whole)
    return (
        f"{request.path}: in {request.precision.value} it is off by {off}{few}, and --max-error is "
        f"{percent(request.max_error)}; allow more, give samples that are more like what it will be fed, or "
        "take --precision float32"
    )


def _names(layers: Sequence[Layer]) -> str:
    shown = ", ".join(layer.name for layer in layers[:_NAMED])
    return shown + (f" and {len(layers) - _NAMED} more" if len(layers) > _NAMED else "")


def written(
    request: PrecisionRequest,
    read: Fixed,
    model: onnx.ModelProto,
    found: PrecisionFound,
    compared: Compared,
) -> PrecisionFound:
    """Write a converted model, which says where it comes from, and return what was found, with that."""
    done = replace(found, metric=request.metric, max_error=request.max_error)
    origin = _origin(request, read, done)
    del model.metadata_props[:]
    put_origin(model, origin)
    Path(request.out).write_bytes(model.SerializeToString(deterministic=True))
    outputs = tuple(
        TensorSpec(value.name, made.shape, made.dtype.name)
        for value, made in zip(read.model.graph.output, compared.reference[0], strict=True)
    )
    return replace(done, origin=origin, inputs=read.inputs, outputs=outputs)


def _origin(request: PrecisionRequest, read: Fixed, found: PrecisionFound) -> Origin:
    """Say in the model what it is: where it comes from, and what became of its numbers."""
    before = read.origin
    words = [f"{found.precision.value} by {found.tool}"]
    if found.calibrated:
        words.append(
            f"calibrated on {found.calibrated} samples of {Path(request.calibration).name} "
            f"(sha256 {found.calibration_sha256[:12]})"
        )
    if found.error is not None:
        words.append(f"off by {words_for(found.metric, found.error)}")
    if found.kept:
        words.append(f"{len(found.kept)} of {found.layers} layers in float32")
    text = ", ".join(words)
    if before is None:
        return Origin(Path(request.path).name, f"ONNX opset {_graphs.opset(read.model)}", text)
    return Origin(before.source, before.framework, f"{before.exporter}; {text}")
