"""From a model file to a model that an engine can import."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import onnx
from onnx import helper

from workers.errors import ModelError
from workers.messages import Origin, PreparedModel, TensorSpec
from workers.models import _graphs, _mapped, _shapes
from workers.models._attributes import refuse_attributes
from workers.models._cut import CutError, Parts, cut
from workers.models._files import read_model
from workers.models._leftovers import drop_dropout, refuse_training
from workers.models._loops import refuse_endless
from workers.models._mend import mend, one_standard_domain
from workers.models._opset import is_old, raised
from workers.models._origin import take_origin
from workers.models._recurrent import unroll_recurrent
from workers.models._reference import first_line, without_kernel
from workers.models._refuse import check_valid, refuse_inputs, refuse_unsupported
from workers.models._scales import refuse_scales
from workers.models._settle import settle
from workers.models._simplify import SIMPLIFIERS, Simplifier
from workers.models._sums import split_sums
from workers.models._verify import Expectation
from workers.models.rewrites import microsoft, rewrite
from workers.models.rewrites.branches import split_choices
from workers.models.rewrites.classical import write_out_classical
from workers.models.rewrites.functions import inline_functions

__all__ = ["fixed", "input_specs", "prepare"]

_NO_SHAPES: Mapping[str, tuple[int, ...]] = MappingProxyType({})

# The first that needs no initializer to be listed as an input is 4; 8 is what exporters have written since
# 2021.
_MIN_IR_VERSION = 8

# Their outputs' sizes depend on values, so that one run doesn't tell them.
_SIZED_BY_VALUES = {
    "Compress",
    "If",
    "NonMaxSuppression",
    "NonZero",
    "Range",
    "StringSplit",
    "Unique",
}
# What engines have no form of.
_CONTROL = {"Loop", "Scan"}
# How onnxruntime's fusion of MatMul and Add calls what it writes.
_FUSED_SHAPES = ("gemm_input_shape", "gemm_output_shape")


def _load(path: Path) -> tuple[onnx.ModelProto, str, list[str], Origin | None]:
    model, sha256 = read_model(path)
    origin = take_origin(model)
    one_standard_domain(model)
    refuse_attributes(model, path)
    changes = mend(model)
    refuse_scales(model, path)
    microsoft.set_apart(model)
    changes += check_valid(model, path)
    model, inlined = inline_functions(model)
    model, classical = write_out_classical(model)
    refuse_inputs(model, path)
    refuse_endless(model, path)
    refuse_training(model, path)
    return model, sha256, changes + inlined + classical, origin


def input_specs(path: str | os.PathLike[str]) -> list[_shapes.DeclaredInput]:
    """The inputs of a model as its file declares them.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    list of DeclaredInput
        Name, dimensions (a size, a name, or None) and element type; initializers that are listed as inputs
        are not among them.

    Raises
    ------
    ModelError
        The file is no model that can be tuned.
    """
    model = _load(Path(path))[0]
    return _shapes.declared_inputs(model)


class Fixed(NamedTuple):
    """A model as its file has it, with sizes for its inputs.

    Attributes
    ----------
    declared : dict of str to DeclaredInput
        The inputs as the file declares them.
    solved : mapping of str to tuple of int
        Their sizes.
    origin : Origin or None
        As :class:`workers.messages.PreparedModel` has it.
    """

    model: onnx.ModelProto
    sha256: str
    changes: list[str]
    declared: dict[str, _shapes.DeclaredInput]
    solved: Mapping[str, tuple[int, ...]]
    origin: Origin | None

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What it takes."""
        return tuple(_spec(value, self.solved[value.name]) for value in self.model.graph.input)


def fixed(file: Path, shapes: Mapping[str, tuple[int, ...]]) -> Fixed:
    """Read a model and fix the shapes of its inputs; see :func:`prepare` for what is raised."""
    model, sha256, changes, origin = _load(file)
    solved = _shapes.solve_shapes(model, shapes, file)
    declared = {one.name: one for one in _shapes.declared_inputs(model)}
    changes += _shapes.fix_shapes(model, solved)
    model.ir_version = max(model.ir_version, _MIN_IR_VERSION)
    return Fixed(model, sha256, changes, declared, solved, origin)


def _spec(value: Any, shape: tuple[int, ...]) -> TensorSpec:
    dtype = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name
    return TensorSpec(name=value.name, shape=shape, dtype=dtype)


def _fix_outputs(model: onnx.ModelProto, observed: list[tuple[int, ...]], path: Path) -> None:
    """Write down the outputs' shapes as observed, unless the inputs' values may have a say in them."""
    inferred = _graphs.infer_shapes(model)
    unsure = sorted({node.op_type for node in _graphs.nodes(model)} & _SIZED_BY_VALUES)
    for value, known, shape in zip(model.graph.output, inferred.graph.output, observed, strict=True):
        dims = tuple(dim.dim_value for dim in known.type.tensor_type.shape.dim)
        if unsure and dims != shape:
            raise CutError(
                f"{path}: the shape of output '{value.name}' depends on the inputs' values "
                f"({', '.join(unsure)}); cut the model before that operator",
                {name for node in model.graph.node if node.op_type in unsure for name in node.output},
            )
        value.type.CopyFrom(helper.make_tensor_type_proto(value.type.tensor_type.elem_type, shape))


def _refuse_control(model: onnx.ModelProto, path: Path) -> None:
    """Refuse loops that the rules left: values of inputs decide how often they go round."""
    left = [node for node in model.graph.node if node.op_type in _CONTROL]
    if left:
        raise CutError(
            f"{path}: {left[0].op_type} (node {_graphs.title(left[0])}): how it goes depends on what the "
            "model is fed, and TVM has no form of it; make that a constant, or cut the model before it",
            {name for node in left for name in node.output},
        )


def _tidy(model: onnx.ModelProto, original: onnx.ModelProto) -> onnx.ModelProto:
    """Leave nothing in that depends on the tool that wrote it."""
    order = {value.name: place for place, value in enumerate(original.graph.input)}
    names = sorted((value.name for value in model.graph.input), key=lambda name: order[name])
    if names != list(order):
        raise ValueError("an input was lost")
    inputs = copy.deepcopy(list(original.graph.input))
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    stored = sorted(copy.deepcopy(list(model.graph.initializer)), key=lambda tensor: tensor.name)
    del model.graph.initializer[:]
    model.graph.initializer.extend(stored)
    for graph in _graphs.graphs(model):
        del graph.value_info[:]
    version = _graphs.opset(model)
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", version))
    return model


def _rewrite(
    original: onnx.ModelProto,
    simplifier: Simplifier,
    newer: bool,
    expected: Expectation,
    path: Path,
    store: _mapped.Store,
) -> tuple[onnx.ModelProto, list[str]]:
    tool, simplify = simplifier
    before = _graphs.operator_counts(original)
    model = copy.deepcopy(original)
    drop_dropout(model)
    model = simplify(model, store)
    after = _graphs.operator_counts(model)
    lifted: list[str] = []
    if newer:
        # Once scales and sizes are constants: some forms change with them.
        model, lifted = raised(model)
    unrolled = unroll_recurrent(model, path)
    if unrolled or lifted:
        model = simplify(model, store)
    model, chosen = split_choices(model)
    model, rewritten = rewrite(model)
    rewritten = chosen + rewritten
    if rewritten:
        model = simplify(model, store)
    _refuse_control(model, path)
    summed = split_sums(model)
    model = _tidy(model, original)
    _fix_outputs(model, expected.shapes, path)
    model = _graphs.infer_shapes(model)
    onnx.checker.check_model(_mapped.with_weights_as_inputs(model))

    changes = []
    leftovers = [f"{before[op] - after[op]} {op}" for op in ("Dropout", "Identity") if before[op] > after[op]]
    if leftovers:
        changes.append(f"removed {' and '.join(leftovers)}: without effect at inference")
    if before["If"] > after["If"]:
        changes.append(f"resolved {before['If'] - after['If']} If whose conditions are constant")
    if before != after:
        changes.append(
            f"folded constants and merged operators: {before.total()} became {after.total()} ({tool})"
        )
    return model, changes + lifted + unrolled + rewritten + summed


def _simplified(
    original: onnx.ModelProto, expected: Expectation, path: Path, store: _mapped.Store
) -> tuple[onnx.ModelProto, list[str]]:
    """The first rewriting that computes what the original does."""
    faults = []
    refusals = []
    # What is of an old opset is raised to a newer one first, and tried as it is where that goes wrong.
    ages = (True, False) if is_old(original) else (False,)
    ways = [(simplifier, newer) for simplifier in SIMPLIFIERS for newer in ages]
    for simplifier, newer in ways:
        try:
            model, changes = _rewrite(original, simplifier, newer, expected, path, store)
            found = expected.difference(model)
        except ModelError as error:
            refusals.append(error)
        # Anything: these tools raise whatever their internals do.
        except Exception as error:
            faults.append(f"{simplifier[0]} failed: {type(error).__name__}: {first_line(error)}")
        else:
            if found.ok:
                return model, changes
            faults.append(f"simplified by {simplifier[0]}, output '{found.worst_name}' {found.reason}")
    if refusals:
        raise refusals[0]
    raise ModelError(f"{path}: no simplified form of the model agrees with it: {'; '.join(faults)}")


def _in_standard_operators(
    model: onnx.ModelProto, inputs: tuple[TensorSpec, ...], path: Path
) -> tuple[onnx.ModelProto, Expectation, list[str]]:
    """The model without operators of onnxruntime's own, and what it computes as it is."""
    if not microsoft.holds(model):
        return model, Expectation(model, inputs, path), []
    microsoft.as_onnxruntime_has_it(model)
    expected: Expectation | ModelError
    try:
        expected = Expectation(model, inputs, path)
    except ModelError as error:
        if not without_kernel(error):
            raise
        expected = error
    microsoft.set_apart(model)
    changes = microsoft.write_out(model, path)
    if isinstance(expected, ModelError):
        # Such as those that its optimizer writes for GPUs alone.
        reason = first_line(expected).removeprefix(f"{path}: ")
        changes.append(f"compared with this form of it: {reason}")
        expected = Expectation(model, inputs, path)
    model, inlined = inline_functions(model)
    return model, expected, changes + inlined


def prepare(
    path: str | os.PathLike[str],
    shapes: Mapping[str, tuple[int, ...]] = _NO_SHAPES,
    folder: str | os.PathLike[str] | None = None,
) -> PreparedModel:
    """Make a model ready for an engine's frontend.

    Reads the file and its external data, fixes the input shapes, folds all that depends on no input, drops
    what only training needs, unrolls LSTM, GRU and RNN, and checks in onnxruntime that random inputs give the
    outputs that they give in the original. Floats are drawn from [-1, 1), integers are 0 or 1 (and, where a
    single integer is compared with a constant, that constant). The same file and shapes give the same bytes.

    Parameters
    ----------
    path : path-like
    shapes : mapping of str to tuple of int, optional
        Full shapes of inputs by name. Required where an input has dynamic dimensions; may change dimensions
        that the file declares fixed, if the model works so: exporters often write down the sizes they
        happened to trace.
    folder : path, optional
        Where the weights go that the prepared model names instead of holding them; it has to be there as long
        as that is used. Without one, all are inside.

    Returns
    -------
    PreparedModel

    Raises
    ------
    UsageError
        ``shapes`` names no input, or has a rank or sizes that can't be.
    ModelError
        The file is no model that can be tuned, leaves sizes open, or can't be simplified without changing its
        outputs.
    """
    file = Path(path)
    model, sha256, changes, declared, solved, origin = fixed(file, shapes)
    try:
        with _mapped.Store(folder) as store:
            done = _prepared(model, solved, file, store)
    except _DoesNotRunError as error:
        contradicted = [
            f"; --input-shape changed input '{name}' from {one} to {_shapes.shape_text(solved[name])}"
            for name, one in declared.items()
            if one.contradicts(solved[name])
        ]
        raise ModelError(f"{error}{''.join(contradicted)}") from None
    return replace(done, sha256=sha256, changes=tuple(changes) + done.changes, origin=origin)


class _DoesNotRunError(ModelError):
    """onnxruntime can't run the original."""


def _prepared(
    model: onnx.ModelProto, solved: Mapping[str, tuple[int, ...]], path: Path, store: _mapped.Store
) -> PreparedModel:
    """Prepare what of a model can be tuned; where that fails at an operator, what comes before it."""
    parts = cut(model, path)
    cut_off: set[str] = set()
    while True:
        try:
            return _part(parts, solved, path, store)
        except CutError as error:
            known = {name for node in parts.before.graph.node for name in node.output}
            if not error.outputs & known:
                raise ModelError(str(error)) from None
            cut_off |= error.outputs & known
            try:
                parts = cut(model, path, cut_off)
            except ModelError:
                raise ModelError(str(error)) from None


def _rename_shapes(model: onnx.ModelProto) -> None:
    """Give shapes that onnxruntime's fusion of MatMul and Add once wrote other names, in place.

    A model that was saved after that fusion, as before quantizing, has them under the names that onnxruntime
    gives to those of the next one; then it refuses the model for having them already (onnxruntime 1.32).
    """
    names = {
        tensor.name: f"known_{tensor.name}"
        for graph in _graphs.graphs(model)
        for tensor in graph.initializer
        if tensor.name.startswith(_FUSED_SHAPES)
    }
    for graph in _graphs.graphs(model):
        for tensor in graph.initializer:
            tensor.name = names.get(tensor.name, tensor.name)
    for node in _graphs.nodes(model):
        for place, name in enumerate(node.input):
            node.input[place] = names.get(name, name)


def _part(
    parts: Parts, solved: Mapping[str, tuple[int, ...]], path: Path, store: _mapped.Store
) -> PreparedModel:
    model = parts.before
    refuse_unsupported(model, path)
    inputs = tuple(_spec(value, solved[value.name]) for value in model.graph.input)
    try:
        model, expected, written = _in_standard_operators(model, inputs, path)
    except ModelError as error:
        raise _DoesNotRunError(str(error)) from None
    _mapped.put_outside(model, store)
    prepared, changes = _simplified(model, expected, path, store)
    outputs = tuple(_spec(v, shape) for v, shape in zip(prepared.graph.output, expected.shapes, strict=True))
    rest = parts.rest({spec.name: spec.shape for spec in outputs})
    _rename_shapes(prepared)
    weights = settle(prepared, path, store.kept_in)
    return PreparedModel(
        sha256="",
        name=path.stem,
        onnx=prepared.SerializeToString(deterministic=True),
        inputs=expected.inputs,
        outputs=outputs,
        changes=((parts.sentence,) if rest else ()) + tuple(written + changes),
        rest=rest,
        weights=weights,
    )
