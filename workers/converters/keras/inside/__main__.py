"""Keras' side: loads a model, traces it with TensorFlow, and exports it."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workers.converters import tensorflow_graphs as graphs
from workers.converters import user_code
from workers.converters.contract import (
    CODE,
    FOREIGN,
    NEEDS_SHAPES,
    NOT_A_MODEL,
    UNREADABLE,
    ConversionError,
    ConversionRequest,
    Converted,
    Tensor,
)
from workers.converters.drawing import draw_and_run, outputs_of
from workers.converters.keras.inside.keras2 import for_keras_3, version_of
from workers.converters.keras.recognise import HDF5_LAMBDA, KERAS_LAMBDA, written_by
from workers.converters.serving import main, save_checks
from workers.converters.shapes import refuse_strings, with_shapes

__all__ = ["convert"]

# Of a layer whose class isn't known, in the words of the two formats.
_UNKNOWN = re.compile(r"Could not locate class '([^']+)'|Unknown (?:layer|object): '?([\w>]+)'?")


def convert(request: ConversionRequest) -> Converted:
    """Export a Keras model with its layers' names for its inputs and outputs."""
    graphs.quiet()
    import keras

    warnings.filterwarnings("ignore")
    model, files = _load(request)
    inputs = with_shapes(_inputs(model, request.shapes), request.shapes)
    refuse_strings(inputs)
    outputs = _outputs(model, inputs)

    def named(*given: Any) -> dict[str, Any]:
        return dict(zip(outputs, _flat(model(_packed(model, given), training=False)), strict=True))

    draws = draw_and_run(inputs, graphs.checked(named, inputs, outputs), request.seed)
    layers = _layer_names(model)
    export = graphs.trace(named, inputs, outputs, model, layers, autograph=request.kind == CODE)
    candidates, notes = graphs.finish(
        request,
        {
            "tf2onnx": (graphs.exporter(), lambda: export(request.opset)),
            "keras": (
                f"Keras {keras.__version__}'s Model.export(format='onnx'), {graphs.exporter()}",
                lambda: _own_export(model, inputs, outputs, layers, request.opset),
            ),
        },
        first="batch",
    )
    save_checks(request.out, draws)
    return Converted(
        framework=f"Keras {keras.__version__}, TensorFlow {graphs.version('tensorflow')}",
        candidates=tuple(candidates),
        inputs=tuple(inputs),
        outputs=outputs_of(draws),
        notes=tuple(notes),
        files=files,
    )


# -- the model
def _load(request: ConversionRequest) -> tuple[Any, tuple[str, ...]]:
    import keras

    if request.kind == CODE:
        _note_weights()
        # Random weights are the same each time.
        keras.utils.set_random_seed(request.seed)
        model, files = user_code.call(request.source, "keras", (keras.Model,), request.seed)
        if not isinstance(model, keras.Model):
            what = f"{type(model).__module__}.{type(model).__qualname__}"
            raise ConversionError(
                FOREIGN if what.startswith("torch.") else NOT_A_MODEL,
                f"the function returned {what}, which is no keras.Model",
                "have it return the model itself",
            )
        return model, files
    try:
        with _named_as(request.source, request.kind) as path:
            return keras.saving.load_model(
                path, compile=False, safe_mode=request.kind not in (KERAS_LAMBDA, HDF5_LAMBDA)
            ), ()
    except Exception as error:
        raise _unreadable(request.source, error) from error


def _note_weights() -> None:
    """Have files of weights count to what a function's model is made of: h5py opens them past Python."""
    import h5py

    opened = h5py.File.__init__

    def noted(self: Any, name: Any, *rest: Any, **named: Any) -> None:
        if isinstance(name, (str, os.PathLike)):
            user_code.note(name)
        opened(self, name, *rest, **named)

    h5py.File.__init__ = noted


@contextlib.contextmanager
def _named_as(path: str, kind: str) -> Any:
    """Give a file the ending by which Keras chooses how to read it, and settings that this Keras knows."""
    suffix = ".keras" if kind.startswith("Keras 3") else ".h5"
    with tempfile.TemporaryDirectory() as folder:
        if suffix == ".h5":
            path = for_keras_3(path, folder)
        if path.endswith((suffix, ".hdf5")):
            yield path
            return
        link = Path(folder) / f"link{suffix}"
        link.symlink_to(path)
        yield str(link)


def _unreadable(path: str, error: Exception) -> ConversionError:
    import keras

    words = " ".join(str(error).split())
    wrote = written_by(path)
    unknown = _UNKNOWN.search(words)
    if wrote and _numbers(wrote)[0] < 3:
        return ConversionError(
            UNREADABLE,
            f"it was written by Keras {wrote}, whose .keras files Keras {keras.__version__} can't read "
            f"here: {words[:200]}",
            "with that Keras, save an .h5 file or a SavedModel folder, and convert that",
        )
    if wrote and _numbers(wrote) > _numbers(keras.__version__):
        return ConversionError(
            UNREADABLE,
            f"it was written by Keras {wrote}, and Keras {keras.__version__} of this environment can't "
            f"read it: {words[:200]}",
            "save it with a Keras of that version or earlier, or export it to a SavedModel folder there",
        )
    if unknown:
        name = unknown.group(1) or unknown.group(2)
        return ConversionError(
            UNREADABLE,
            f"it has a layer of the class {name!r}, whose code isn't in the file",
            "convert a function that imports the class and returns keras.saving.load_model(...): "
            "`file.py:function`, with `--framework keras --trust`",
        )
    wrote = version_of(path)
    return ConversionError(
        UNREADABLE,
        f"Keras {keras.__version__} can't read it{f', which Keras {wrote} wrote' * bool(wrote)}: "
        f"{type(error).__name__}: {words[:300]}",
        "with the Keras that wrote it, save it as .keras or export a SavedModel folder, "
        "model.export('folder'), and convert that",
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3]) or (0,)


# -- what goes in and comes out
def _inputs(model: Any, shapes: Mapping[str, Sequence[int]]) -> list[Tensor]:
    """Describe the inputs; a model that was never told its shapes takes those that are given."""
    try:
        inputs = list(model.inputs)
    except (AttributeError, ValueError):
        inputs = []
    if inputs:
        return [
            Tensor(name, str(one.dtype), tuple(-1 if size is None else size for size in one.shape))
            for name, one in zip(_input_names(model, inputs), inputs, strict=True)
        ]
    if not shapes:
        raise ConversionError(
            NEEDS_SHAPES,
            f"the model {model.name!r} was saved without the shape of its input",
            "give it: --input-shape input:1,224,224,3",
        )
    return [Tensor(name, "float32", tuple(shape)) for name, shape in shapes.items()]


def _input_names(model: Any, inputs: Sequence[Any]) -> list[str]:
    """Name the inputs: by their keys where the model takes a dict, or as their layers.

    The tensors' own names are the layers' only where those were given or came from a file; else Keras numbers
    all tensors of a process, and calls the first input of a second model keras_tensor_157.
    """
    structure = _structure(model)
    if isinstance(structure, dict) and len(structure) == len(inputs):
        return _flat({key: key for key in structure})
    histories = [getattr(one, "_keras_history", None) for one in inputs]
    return [
        history.operation.name if history else one.name
        for one, history in zip(inputs, histories, strict=True)
    ]


def _structure(model: Any) -> Any:
    return getattr(getattr(model, "_functional", None) or model, "_inputs_struct", None)


def _packed(model: Any, given: Sequence[Any]) -> Any:
    """Put inputs into the structure that a model takes: one, a list, or a dict by name."""
    import keras

    structure = _structure(model)
    if structure is None:
        return list(given) if len(given) > 1 else given[0]
    return keras.tree.pack_sequence_as(structure, list(given))


def _flat(made: Any) -> list[Any]:
    import keras

    return list(keras.tree.flatten(made))


def _outputs(model: Any, inputs: Sequence[Tensor]) -> list[str]:
    """Name the outputs: as the layers that make them, or by their keys where the model returns a dict."""
    structure = model.compute_output_spec(
        _packed(model, [_symbol(tensor) for tensor in inputs]), training=False
    )
    count = len(_flat(structure))
    if isinstance(structure, dict) and len(structure) == count:
        # In the order in which keras flattens it.
        names = _flat({key: key for key in structure})
    else:
        names = list(getattr(getattr(model, "_functional", None) or model, "output_names", None) or [])
    if len(names) != count:
        names = ["output"] if count == 1 else [f"output_{place}" for place in range(count)]
    taken: dict[str, int] = {}
    unique = []
    for name in names:
        taken[name] = taken.get(name, -1) + 1
        unique.append(name if not taken[name] else f"{name}_{taken[name]}")
    return unique


def _symbol(tensor: Tensor) -> Any:
    import keras

    sizes = [size if isinstance(size, int) and size >= 0 else None for size in tensor.shape]
    return keras.KerasTensor(sizes, tensor.dtype)


def _layer_names(model: Any) -> list[str]:
    try:
        return [layer.name for layer in model._flatten_layers(include_self=False)]
    except AttributeError:
        return [layer.name for layer in model.layers]


# -- Keras' own exporter
def _own_export(
    model: Any, inputs: Sequence[Tensor], outputs: Sequence[str], layers: Sequence[str], opset: int | None
) -> Any:
    """Export with Keras, under the same names."""
    import onnx

    from workers.converters.onnx_files import name_inputs, name_outputs

    with tempfile.TemporaryDirectory() as folder, graphs.complaints() as said:
        path = str(Path(folder) / "model.onnx")
        model.export(
            path,
            format="onnx",
            verbose=False,
            input_signature=[_packed(model, graphs.specs_of(inputs))],
            opset_version=opset or graphs.OPSET,
        )
        made = onnx.load(path)
    graphs.refuse_foreign(made, said, layers)
    given = [value.name for value in made.graph.input]
    name_inputs(made, dict(zip(given, [tensor.name for tensor in inputs], strict=True)))
    name_outputs(made, dict(zip([value.name for value in made.graph.output], outputs, strict=True)))
    return made


if __name__ == "__main__":
    main(convert)
