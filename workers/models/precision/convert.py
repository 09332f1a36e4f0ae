"""From a float32 model to one of another precision, and to how far it is off."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import onnx
from onnx import TensorProto

from workers.errors import DisagreementError, ModelError, UsageError
from workers.messages import Precision, PrecisionFound, PrecisionRequest
from workers.models import _graphs
from workers.models._inputs import random_inputs
from workers.models._opset import raised
from workers.models._prepare import Fixed, fixed
from workers.models._reference import open_session
from workers.models._settle import settle
from workers.models._unsaturated import MARKS
from workers.models._verify import taken_inputs
from workers.models.precision.bfloats import dense_layers, in_bfloats
from workers.models.precision.comparing import Compared, Feeds, all_threads, compared_with, divided, spread
from workers.models.precision.errors import mean_error_of, percent, words_for
from workers.models.precision.halves import in_halves
from workers.models.precision.integers import TOOL, Quantizer, ready
from workers.models.precision.layers import Layer, layers_of
from workers.models.precision.samples import Samples, how_to_write, read_samples
from workers.models.precision.search import Within, find_within
from workers.models.precision.told import too_far, why, written
from workers.models.rewrites import microsoft

__all__ = ["to_precision"]

# Samples for what a layer brings alone.
_FEW = 2
# Without samples, where nothing is calibrated.
_DRAWS = 2
# The first whose DequantizeLinear has a scale for each channel, and whose Cast has bfloat16.
_LEAST_OPSET = 13
_NEEDS = {Precision.INT8: "scales for each channel take", Precision.BF16: "bfloat16 takes"}
# `auto` takes a precision where so much of the work is done in it: below that, what is saved is little.
_LEAST_SHARE = 0.5
_QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear")


def to_precision(request: PrecisionRequest) -> PrecisionFound:
    """Write a model in another precision, where that is within the error.

    By :attr:`Precision.AUTO` the first of :attr:`~workers.messages.PrecisionRequest.among` that is; what can
    be read, but not converted, is left as it is, with the reasons.

    Raises
    ------
    UsageError
        Samples are missing, or are none of this model.
    ModelError
        The file is no model of float32, leaves sizes open, or holds nothing to convert, or the tools fail.
    DisagreementError
        It is farther off than it may be.
    """
    try:
        found = _converted(request)
    except _NoSamplesError as error:  # who asked is in another process, and knows what all raise
        raise UsageError(str(error)) from None
    return replace(found, data_files=_data_files(Path(request.path)))


def _converted(request: PrecisionRequest) -> PrecisionFound:
    read = fixed(Path(request.path), request.shapes)
    if request.precision is not Precision.AUTO:
        _make_ready(request, read)
        return _as_asked(request, read)
    try:
        _make_ready(request, read)
    except ModelError as error:
        return _stays(request, _reason(request, error))
    reasons = []
    for precision in request.among:
        try:
            found = _as_asked(replace(request, precision=precision), read)
        except (ModelError, DisagreementError, _NoSamplesError) as error:
            reasons.append(_reason(request, error))
            continue
        if not found.layers or found.share >= _LEAST_SHARE:
            return found
        reasons.append(
            f"within --max-error {percent(request.max_error)} only {found.share:.0%} of the multiplications "
            f"could be {precision.value}; it takes {_LEAST_SHARE:.0%} to be worth it"
        )
    return _stays(request, "; ".join(reasons))


def _reason(request: PrecisionRequest, error: Exception) -> str:
    """Say an error of a model without naming it."""
    reason = str(error).removeprefix(request.path)
    return f"it{reason}" if reason.startswith(" ") else reason.removeprefix(": ")


class _NoSamplesError(UsageError):
    """Samples are missing."""


def _make_ready(request: PrecisionRequest, read: Fixed) -> None:
    """Refuse what can't be converted to anything, and put the rest into one message of standard operators."""
    path = Path(request.path)
    _refuse_converted(read.model, path)
    try:
        settle(read.model, path, None)
    except ModelError:
        raise ModelError(
            f"{path}: its weights are more than 2 GiB, which the tools that convert them don't take; convert "
            "it with what made it, or take --precision float32"
        ) from None
    microsoft.as_onnxruntime_has_it(read.model)


def _as_asked(request: PrecisionRequest, read: Fixed) -> PrecisionFound:
    if request.precision is Precision.FP16:
        return _to_halves(request, read)
    if request.precision is Precision.BF16:
        return _to_bfloats(request, read)
    inputs = read.inputs
    if not request.calibration:
        raise _NoSamplesError(
            f"{request.path}: int8 takes the ranges of a model's numbers from samples of its inputs; add "
            f"--calibration data.npz: {how_to_write(inputs)}"
        )
    return _to_integers(request, read, read_samples(Path(request.calibration), inputs))


def _data_files(path: Path) -> tuple[str, ...]:
    """Return the files that a model names beside its own, by their places in its folder."""
    model = onnx.load(path, load_external_data=False)
    named = {
        entry.value
        for tensor in _graphs.tensors(model)
        for entry in tensor.external_data
        if entry.key == "location"
    }
    return tuple(sorted(map(os.path.normpath, named)))


def _any_samples(request: PrecisionRequest, read: Fixed) -> list[Feeds]:
    """Return what a model is compared on where nothing is calibrated: samples, or random inputs."""
    inputs = read.inputs
    if request.calibration:
        samples = read_samples(Path(request.calibration), inputs)
        return samples.some(spread(range(len(samples))))
    session = open_session(read.model, all_threads(), exact=True)
    taken, _ = taken_inputs(session, inputs, Path(request.path), None)
    return [random_inputs(taken, seed) for seed in range(_DRAWS)]


def _to_halves(request: PrecisionRequest, read: Fixed) -> PrecisionFound:
    feeds = _any_samples(request, read)
    compared = compared_with(read.model, feeds, request.metric)
    made = in_halves(read.model)
    error = compared.error(request, made, Precision.FP16)
    if not error <= request.max_error:
        raise DisagreementError(
            f"{request.path}: in float16 it is off by {words_for(request.metric, error)}, and "
            f"--max-error is {percent(request.max_error)}; take --precision float32, or allow more"
        )
    found = PrecisionFound(
        Precision.FP16,
        "it was asked for; it halves the weights, and is faster where a device computes with float16",
        f"{TOOL}'s float16 converter",
        error,
        compared=len(feeds),
        calibration_sha256=request.calibration_sha256,
    )
    return written(request, read, made, found, compared)


def _to_integers(request: PrecisionRequest, read: Fixed, samples: Samples) -> PrecisionFound:
    model = _raised(request, read)
    calibrated, feeds, held_back = divided(samples)
    compared = compared_with(read.model, feeds, request.metric)
    with _workplace(Path(request.out).parent) as folder:
        prepared = ready(model, folder)
        layers = layers_of(onnx.load(prepared))
        quantizer = Quantizer(prepared, calibrated)
        made, within = _within(request, layers, quantizer.quantized, compared)
    found = _of_layers(request, f"{TOOL}'s static quantizer", layers, within, compared)
    found = replace(found, calibrated=len(calibrated), held_back=held_back)
    return written(request, read, made, found, compared)


def _to_bfloats(request: PrecisionRequest, read: Fixed) -> PrecisionFound:
    model = _raised(request, read)
    compared = compared_with(read.model, _any_samples(request, read), request.metric)
    with _workplace(Path(request.out).parent) as folder:
        prepared = onnx.load(ready(model, folder))
    layers = dense_layers(prepared)
    made, within = _within(request, layers, lambda names: in_bfloats(prepared, names), compared)
    found = _of_layers(request, "Casts around its layers", layers, within, compared)
    return written(request, read, made, found, compared)


def _raised(request: PrecisionRequest, read: Fixed) -> onnx.ModelProto:
    model, _ = raised(read.model)
    if _graphs.opset(model) < _LEAST_OPSET:
        raise ModelError(
            f"{request.path} is of opset {_graphs.opset(model)}, and {_NEEDS[request.precision]} "
            f"{_LEAST_OPSET}, to which onnx's converter doesn't raise it; export it with a newer opset"
        )
    return model


def _within(
    request: PrecisionRequest,
    layers: Sequence[Layer],
    converted: Callable[[Sequence[str]], onnx.ModelProto],
    compared: Compared,
) -> tuple[onnx.ModelProto, Within]:
    """Convert as many layers as the error allows.

    Raises
    ------
    ModelError
        There is none.
    DisagreementError
        None can be.
    """
    kind = request.precision
    if not layers:
        raise ModelError(
            f"{request.path}: nothing in it is faster with {kind.value}: it holds no convolution of images, "
            "and no product with a constant matrix"
        )
    within = find_within(
        layers,
        converted,
        lambda made: compared.error(request, made, kind),
        lambda made: mean_error_of(compared.outputs(made, _FEW), compared.reference[:_FEW]),
        request.max_error,
    )
    if within.model is None:
        raise DisagreementError(too_far(request, within, layers))
    return within.model, within


def _of_layers(
    request: PrecisionRequest, tool: str, layers: Sequence[Layer], within: Within, compared: Compared
) -> PrecisionFound:
    work = sum(layer.work for layer in layers)
    share = 1.0 - sum(layer.work for layer in within.kept) / max(1, work)
    return PrecisionFound(
        request.precision,
        why(request, within, layers, share)
        + ("; its outputs are the same whatever goes in, so that this says little" * compared.says_little),
        tool,
        within.error,
        compared=len(compared.feeds),
        layers=len(layers),
        kept=tuple(layer.name for layer in within.kept),
        share=share,
        calibration_sha256=request.calibration_sha256,
    )


@contextlib.contextmanager
def _workplace(parent: Path) -> Iterator[Path]:
    """A folder for what the quantizer leaves on its way, in one that is removed also where this is killed."""
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        # The quantizer makes folders of its own.
        tempfile.tempdir = folder
        try:
            yield Path(folder)
        finally:
            tempfile.tempdir = before


def _stays(request: PrecisionRequest, reason: str) -> PrecisionFound:
    return PrecisionFound(
        Precision.FLOAT32,
        reason,
        metric=request.metric,
        max_error=request.max_error,
        calibration_sha256=request.calibration_sha256,
    )


def _refuse_converted(model: onnx.ModelProto, path: Path) -> None:
    """Refuse a model that is quantized, or computes in float16 or bfloat16."""
    for node in _graphs.nodes(model):
        kind = node.op_type
        if kind in _QUANTIZED or kind.startswith("QLinear") or kind.encode() in MARKS or "NBits" in kind:
            raise ModelError(
                f"{path} is quantized already: it holds {kind} (node {_graphs.title(node)}); leave "
                "--precision out, it is tuned and built as it is"
            )
    other = {TensorProto.FLOAT16: "float16", TensorProto.BFLOAT16: "bfloat16"}
    kinds = [tensor.data_type for tensor in _graphs.tensors(model)]
    kinds += [_graphs.attribute(node, "to") for node in _graphs.nodes(model) if node.op_type == "Cast"]
    kinds += [value.type.tensor_type.elem_type for value in (*model.graph.input, *model.graph.output)]
    for kind in kinds:
        if kind in other:
            raise ModelError(
                f"{path} is of {other[kind]} already; --precision is for models of float32: leave it out, "
                "or export the model in float32"
            )
