"""A source of any kind, made one module with examples of its inputs."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils import _pytree

from workers.converters import user_code
from workers.converters.contract import (
    CODE,
    FAILED,
    NEEDS_ARGUMENTS,
    NOT_A_MODEL,
    UNREADABLE,
    ConversionError,
    ConversionRequest,
)
from workers.converters.torch.inside.examples import examples_of_shapes
from workers.converters.torch.inside.loaded import TENSOR, InARow, Loaded
from workers.converters.torch.inside.programs import of_program
from workers.converters.torch.inside.vision import make_importable
from workers.converters.torch.recognise import EXPORTED, MODULE, SCRIPT

__all__ = ["load"]

_WORDS = 400
_FEW = 6
_LATER = (
    "`tunefleet converters use torch --python PATH` reads it with the PyTorch that wrote it, where that is "
    "another"
)


def load(request: ConversionRequest) -> Loaded:
    """Load what a request names.

    Raises
    ------
    ConversionError
    """
    readers: Mapping[str, Callable[[ConversionRequest], Loaded]] = {
        EXPORTED: _program,
        SCRIPT: _script,
        MODULE: _pickled,
        CODE: _code,
    }
    return readers[request.kind](request)


def _unreadable(error: Exception) -> ConversionError:
    words = " ".join(str(error).split())[:_WORDS]
    return ConversionError(
        UNREADABLE, f"PyTorch {torch.__version__} can't read it: {type(error).__name__}: {words}", _LATER
    )


def _program(request: ConversionRequest) -> Loaded:
    try:
        program = torch.export.load(request.source)
    except Exception as error:
        raise _unreadable(error) from error
    return of_program(program, request)


def _script(request: ConversionRequest) -> Loaded:
    try:
        module = torch.jit.load(request.source, map_location="cpu")
    except Exception as error:
        raise _unreadable(error) from error
    notes = _to_eval(module)
    names = [
        argument.name for argument in module.forward.schema.arguments[1:] if not argument.has_default_value()
    ]
    examples = examples_of_shapes(module, names, request)
    return Loaded(InARow(module, None, (), names), names, examples, script=True, notes=notes)


def _pickled(request: ConversionRequest) -> Loaded:
    make_importable()
    # A pickle names its classes; those of a project lie where the command is called.
    sys.path.insert(0, os.getcwd())
    try:
        found = torch.load(request.source, map_location="cpu", weights_only=False)
    except Exception as error:
        raise _unreadable(error) from error
    return _of_result(found, request, [], "the file")


def _code(request: ConversionRequest) -> Loaded:
    make_importable()
    found, files = user_code.call(request.source, "torch", (torch.nn.Module,), request.seed)
    return _of_result(found, request, list(files), "the function")


def _of_result(found: Any, request: ConversionRequest, files: list[str], name: str) -> Loaded:
    """Make one of what a function returned, or a pickle held."""
    module, args, kwargs, dynamic = _parts(found, name)
    if isinstance(module, torch.export.ExportedProgram):
        loaded = of_program(module, request)
        loaded.files.extend(files)
        return loaded
    notes = _to_eval(module)
    script = isinstance(module, torch.jit.ScriptModule)
    if args is None:
        names = _parameters(module, request.shapes)
        spec = None
        if not script:
            # By name: what stands before one of them may be left out.
            _, spec = _pytree.tree_flatten(((), dict.fromkeys(names, TENSOR)))
        row = InARow(module, spec, [TENSOR] * len(names) if spec is not None else (), names)
        examples = examples_of_shapes(row, names, request)
        return Loaded(row, names, examples, script=script, notes=notes, files=files)
    paths, spec = _pytree.tree_flatten_with_path((args, kwargs))
    tensors = [(path, leaf) for path, leaf in paths if isinstance(leaf, torch.Tensor)]
    if not tensors:
        raise ConversionError(NEEDS_ARGUMENTS, f"{name} returned example inputs without any tensor in them")
    parameters = _signature(module)
    names = _distinct([_name(path, parameters) for path, _ in tensors])
    constants = [TENSOR if isinstance(leaf, torch.Tensor) else leaf for _, leaf in paths]
    dims = None if dynamic is None else [_dims(path, dynamic, parameters) for path, _ in tensors]
    return Loaded(
        InARow(module, spec, constants, names),
        names,
        [leaf.detach().cpu() for _, leaf in tensors],
        script=script,
        open_sizes=_open_sizes(names, dims),
        dynamic=dims,
        notes=notes,
        files=files,
    )


def _parts(found: Any, name: str) -> tuple[Any, Any, dict[str, Any], Any]:
    """Take apart ``module``, ``(module, inputs)`` or ``(module, inputs, dynamic_shapes)``."""
    module, inputs, dynamic = found, None, None
    if isinstance(found, tuple | list) and found and isinstance(found[0], torch.nn.Module):
        module, inputs, dynamic = (*found, None, None)[:3]
    if isinstance(module, torch.export.ExportedProgram):
        return module, None, {}, None
    if not isinstance(module, torch.nn.Module):
        if isinstance(module, Mapping) and any(isinstance(v, torch.Tensor) for v in module.values()):
            raise ConversionError(
                NOT_A_MODEL,
                f"{name} gives weights without a model (a state_dict)",
                "return the module that they are loaded into",
            )
        raise ConversionError(
            NOT_A_MODEL,
            f"{name} gives a {type(module).__name__}, no torch.nn.Module",
            "a function is to return a module, or (module, example inputs)",
        )
    if isinstance(inputs, Mapping):
        return module, (), dict(inputs), dynamic
    if isinstance(inputs, torch.Tensor):
        inputs = (inputs,)
    if inputs is not None and not isinstance(inputs, tuple | list):
        raise ConversionError(
            FAILED,
            f"the example inputs that {name} returned are a {type(inputs).__name__}, and neither a tensor, "
            "a tuple nor a dict",
        )
    return module, None if inputs is None else tuple(inputs), {}, dynamic


def _to_eval(module: Any) -> list[str]:
    """Set what is meant for inference; say so where it was not."""
    training = module.training
    module.eval()
    return ["the module was in training mode, and was converted in eval mode"] if training else []


def _signature(module: Any) -> list[str]:
    try:
        return list(inspect.signature(module.forward).parameters)
    except (TypeError, ValueError):
        return []


def _parameters(module: Any, shapes: Mapping[str, Any]) -> list[str]:
    """Return the names of inputs that forward must be given; where none must, of those that have a shape."""
    if isinstance(module, torch.jit.ScriptModule):
        arguments = module.forward.schema.arguments[1:]
        return [one.name for one in arguments if not one.has_default_value()]
    parameters = inspect.signature(module.forward).parameters.values()
    names = [
        one.name for one in parameters if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD
    ]
    optional = [one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
    if not names and shapes and set(shapes) <= set(optional):
        return [name for name in optional if name in shapes]
    if not names:
        named = f", or name its inputs: --input-shape {optional[0]}:1,16" if optional else ""
        raise ConversionError(
            NEEDS_ARGUMENTS,
            "the module's forward needs no input, by its signature"
            + f"; it may take {', '.join(optional[:_FEW])}" * bool(optional),
            f"return (module, example inputs) from a function, and convert file.py:function{named}",
        )
    return names


def _name(path: Sequence[Any], parameters: list[str]) -> str:
    """Name an input by its parameter, and by where it stands in that."""
    side, first, *rest = map(_key, path)
    if side == 0:
        first = parameters[first] if first < len(parameters) else f"input_{first}"
    return "_".join(map(str, [first, *rest]))


def _key(step: Any) -> Any:
    return getattr(step, "idx", getattr(step, "key", None))


def _distinct(names: list[str]) -> list[str]:
    found: list[str] = []
    for name in names:
        number = 1
        one = name
        while one in found:
            number += 1
            one = f"{name}_{number}"
        found.append(one)
    return found


def _dims(path: Sequence[Any], dynamic: Any, parameters: list[str]) -> Any:
    """Return what torch.export's dynamic shapes say of one input."""
    side, *keys = map(_key, path)
    spec = dynamic
    if isinstance(spec, Mapping) and side == 0:
        keys[0] = parameters[keys[0]] if keys[0] < len(parameters) else keys[0]
    for key in keys:
        if spec is None:
            return None
        try:
            spec = spec[key]
        except (KeyError, IndexError, TypeError):
            return None
    return spec


def _open_sizes(names: list[str], dims: list[Any] | None) -> dict[str, dict[int, str]]:
    """Name the sizes that are left open."""
    found: dict[str, dict[int, str]] = {}
    for name, spec in zip(names, dims or [], strict=False):
        pairs = spec.items() if isinstance(spec, Mapping) else enumerate(spec or ())
        for axis, size in pairs:
            if size is None or isinstance(size, int):
                continue
            known = getattr(size, "__name__", None)
            text = size if isinstance(size, str) else known
            found.setdefault(name, {})[axis] = text or f"{name}_{axis}"
    return found
