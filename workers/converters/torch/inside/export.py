"""Both of torch's exporters: one translates the program that torch.export captures, the other a trace."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import re
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import onnx
import torch

from workers.converters.contract import FAILED, NO_ONNX_FORM, ConversionError, ConversionRequest
from workers.converters.torch.inside.loaded import Loaded

__all__ = ["export_all"]

DYNAMO, SCRIPT = "dynamo", "torchscript"
_LARGEST = 2**31 - 2**24
_WORDS = 400
_NONE_FOUND = re.compile(r"No ONNX function found for .*?'(?P<operator>[\w.:]+)'")
_UNSUPPORTED = re.compile(r"(?:operator|namespace) '?(?P<operator>[\w.]+::[\w.]+)'?")
# What torch.export says of a branch that depends on a tensor's values, and to its own developers.
_DEPENDS = "data-dependent"
_ADVICE = re.compile(r"\s*(?:\(Size-like|consider using data-dependent|Caused by:|For more information).*")
_FEW = 3
_SYMBOL = re.compile(r"\w+")
_PLACE = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')
_FRAMEWORK = Path(torch.__file__).parent


def export_all(loaded: Loaded, request: ConversionRequest) -> tuple[list[tuple[str, str]], list[str]]:
    """Export in each way that goes.

    Returns
    -------
    candidates : list of (file, exporter)
    notes : list of str
        Why a way didn't go.

    Raises
    ------
    ConversionError
        None goes.
    """
    ways: Mapping[str, tuple[str, Callable[[Loaded, ConversionRequest, Path], None]]] = {
        DYNAMO: (
            f"torch.onnx.export(dynamo=True), onnxscript {importlib.metadata.version('onnxscript')}",
            _dynamo,
        ),
        SCRIPT: ("torch.onnx.export(dynamo=False)", _traced),
    }
    found: list[tuple[str, str]] = []
    errors: list[ConversionError] = []
    fixed: list[str] = []
    for name, (title, way) in ways.items():
        if request.exporter not in ("", name):
            continue
        if name == DYNAMO and loaded.script and not request.exporter:
            continue  # it takes none: torch.export refuses TorchScript
        path = Path(request.out) / f"model-{name}.onnx"
        try:
            with _noted(fixed):
                way(loaded, request, path)
        except Exception as error:
            traceback.print_exc()
            for left in path.parent.glob(f"{path.name}*"):
                left.unlink()
            errors.append(_told(loaded, name, error))
        else:
            found.append((path.name, title))
    if not found:
        raise min(errors, key=lambda one: one.code != NO_ONNX_FORM)
    notes = [f"the {error.message}" for error in errors]
    if fixed and any(_DEPENDS in note for note in notes):
        notes.append(
            "what it does depends on values that it computes, and a trace does what the example inputs make "
            f"it do, always: {', '.join(fixed[:_FEW])}; torch.where and torch.cond are exported as they are"
        )
    return found, notes


@contextlib.contextmanager
def _noted(places: list[str]) -> Iterator[None]:
    """Note where a trace takes what is computed for a constant."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", torch.jit.TracerWarning)
        yield
    for one in said:
        place = f"{one.filename}, line {one.lineno}"
        theirs = not Path(one.filename).is_relative_to(_FRAMEWORK)
        if theirs and issubclass(one.category, torch.jit.TracerWarning) and place not in places:
            places.append(place)


def _dynamo(loaded: Loaded, request: ConversionRequest, path: Path) -> None:
    program = loaded.program
    if program is None:
        dims = None if loaded.dynamic is None else {"values": tuple(loaded.dynamic)}
        program = torch.export.export(
            loaded.module, tuple(loaded.examples), dynamic_shapes=dims, strict=False
        )
    names = [*loaded.names, *_other_inputs(program, len(loaded.names))]
    exported = torch.onnx.export(
        program,
        input_names=names,
        output_names=loaded.output_names,
        opset_version=request.opset,
        dynamo=True,
        verbose=False,
    )
    assert exported is not None
    exported.save(str(path), external_data=_bytes(loaded) > _LARGEST)
    if loaded.program is None and loaded.open_sizes:
        _name_sizes(path, loaded.open_sizes)


def _name_sizes(path: Path, sizes: Mapping[str, Mapping[int, str]]) -> None:
    """Call open sizes as the source does: torch.export has numbers for them, and the exporter takes those."""
    model = onnx.load(path, load_external_data=False)
    named = {}
    for value in model.graph.input:
        for axis, name in sizes.get(value.name, {}).items():
            named[value.type.tensor_type.shape.dim[axis].dim_param] = name
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = _SYMBOL.sub(lambda found: named.get(found[0], found[0]), dim.dim_param)
    onnx.save(model, path)


def _other_inputs(program: Any, known: int) -> list[str]:
    """Return the names of inputs that are constants: the exporter counts them too."""
    return list(program.graph_signature.user_inputs)[known:] if known == 0 else []


def _traced(loaded: Loaded, request: ConversionRequest, path: Path) -> None:
    torch.onnx.export(
        # What is TorchScript all through can't be called while something else is traced.
        loaded.module.module if loaded.script and loaded.module.spec is None else loaded.module,
        tuple(loaded.examples),
        str(path),
        input_names=list(loaded.names),
        output_names=loaded.output_names,
        opset_version=request.opset,
        dynamic_axes={name: dict(axes) for name, axes in loaded.open_sizes.items()} or None,
        dynamo=False,
    )


def _bytes(loaded: Loaded) -> int:
    tensors = [*loaded.module.parameters(), *loaded.module.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _told(loaded: Loaded, name: str, error: Exception) -> ConversionError:
    """Say in a sentence or two why an exporter failed."""
    for one in _causes(error):
        words = str(one)
        found = _NONE_FOUND.search(words) or (
            _UNSUPPORTED.search(words) if type(one).__name__ == "UnsupportedOperatorError" else None
        )
        if found is not None:
            operator = found["operator"]
            return ConversionError(
                NO_ONNX_FORM,
                f"{name} exporter has no ONNX form of the operator {operator}{_place(loaded, operator)}",
                "write that part with other operators",
            )
    cause = list(_causes(error))[-1]
    words = _ADVICE.sub("", " ".join(str(cause).split()))[:_WORDS]
    return ConversionError(FAILED, f"{name} exporter failed: {type(cause).__name__}: {words}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    one: BaseException | None = error
    while one is not None:
        yield one
        one = one.__cause__


def _place(loaded: Loaded, operator: str) -> str:
    """Say where in the source an operator is called."""
    short = re.split(r"::|\.", operator)[1]
    for trace in _traces(loaded, short):
        places = [
            found for found in _PLACE.finditer(trace) if not Path(found["file"]).is_relative_to(_FRAMEWORK)
        ]
        own = [found for found in places if os.path.basename(found["file"]) != "loaded.py"]
        if own:
            return f", called at {own[-1]['file']}, line {own[-1]['line']}"
    return ""


def _traces(loaded: Loaded, operator: str) -> Iterator[str]:
    """Yield where operators of a name were called, as PyTorch noted it."""
    if loaded.script:
        for node in loaded.module.module.inlined_graph.nodes():
            if node.kind().endswith(f"::{operator}"):
                yield node.sourceRange()
        return
    program = loaded.program
    if program is None:
        try:
            program = torch.export.export(loaded.module, tuple(loaded.examples), strict=False)
        except Exception:
            return
    yield from _called(program, operator)
    # One that others are made of.
    with contextlib.suppress(Exception):
        yield from _called(program.run_decompositions(), operator)


def _called(program: Any, operator: str) -> Iterator[str]:
    for node in program.graph.nodes:
        if f".{operator}." in f".{node.target}.":
            yield str(node.meta.get("stack_trace") or "")
