"""A SavedModel's folder, one of its signatures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workers.converters.contract import (
    NEEDS_ARGUMENTS,
    NEEDS_SHAPES,
    NO_ONNX_FORM,
    UNREADABLE,
    ConversionError,
    ConversionRequest,
    Converted,
    Tensor,
)
from workers.converters.shapes import refuse_strings, with_shapes
from workers.converters.tensorflow.inside.references import without_references
from workers.converters.tensorflow.inside.traced import convert_function, refuse_files
from workers.converters.tensorflow.recognise import folder_of

__all__ = ["convert"]

_USUAL = "serving_default"


def convert(request: ConversionRequest) -> Converted:
    """Export the signature that was asked for, with the names that it gives its inputs and outputs."""
    loaded = _load(request.source)
    name, note = _chosen(loaded, request.signature)
    signature = loaded.signatures[name]
    refuse_files(signature.graph.as_graph_def())
    specs: dict[str, Any] = signature.structured_input_signature[1]
    unknown = [key for key, spec in specs.items() if spec.shape.rank is None and key not in request.shapes]
    if unknown:
        raise ConversionError(
            NEEDS_SHAPES,
            f"signature {name!r} doesn't say how many sizes its input {', '.join(map(repr, unknown))} has",
            f"give them: {' '.join(f'--input-shape {key}:1,224,224,3' for key in unknown)}",
        )
    inputs = [Tensor(key, spec.dtype.name, _shape(key, spec, request)) for key, spec in specs.items()]
    refuse_strings(inputs)
    inputs = with_shapes(inputs, request.shapes)

    def call(*given: Any) -> dict[str, Any]:
        made: dict[str, Any] = signature(**dict(zip(specs, given, strict=True)))
        return made

    traced = without_references(signature, list(specs))
    return convert_function(request, call, inputs, list(signature.structured_outputs), loaded, note, traced)


def _load(source: str) -> Any:
    import tensorflow

    folder = folder_of(source) or Path(source)
    try:
        try:
            return tensorflow.saved_model.load(str(folder))
        except ValueError as error:
            # Of several graphs, the one that is for serving.
            if "tag" not in str(error):
                raise
            return tensorflow.saved_model.load(str(folder), tags=["serve"])
    except Exception as error:
        words = " ".join(str(error).split())
        if "Op type not registered" in words:
            raise ConversionError(NO_ONNX_FORM, f"it has an operator of its own: {words[:200]}") from error
        # Models without variables have no such folder.
        missing = ", ".join(_missing(folder)) if "variables/variables" in words else ""
        # TensorFlow's own where a graph asks for a file, Python's where the loader does.
        if missing or isinstance(error, (tensorflow.errors.NotFoundError, FileNotFoundError)):
            raise ConversionError(
                UNREADABLE,
                f"it is incomplete: {f'{missing} is missing' if missing else words[:300]}",
                "copy the whole folder, variables/ included",
            ) from error
        raise ConversionError(
            UNREADABLE,
            f"it can't be loaded: {type(error).__name__}: {words[:300]}",
            "copy or save the whole folder again",
        ) from error


def _missing(folder: Path) -> list[str]:
    """Name what a folder lacks of the weights that a model with variables has."""
    weights = folder / "variables"
    if not weights.is_dir():
        return ["variables/"]
    # Each part says how many there are.
    parts = [path.name for path in weights.glob("variables.data-?????-of-?????")]
    count = int(parts[0][-5:]) if parts else 1
    names = ["variables.index", *(f"variables.data-{place:05}-of-{count:05}" for place in range(count))]
    return [f"variables/{name}" for name in names if not (weights / name).is_file()]


def _chosen(loaded: Any, asked: str) -> tuple[str, list[str]]:
    """Return a signature's name, and what to say about the choice."""
    names = sorted(name for name in loaded.signatures if not name.startswith("__"))
    if asked:
        if asked in names:
            return asked, []
        raise ConversionError(
            NEEDS_ARGUMENTS,
            f"there is no signature {asked!r}; there are: {', '.join(names) or 'none'}",
            "correct --signature",
        )
    if _USUAL in names:
        others = [name for name in names if name != _USUAL]
        said = f"of the signatures, {_USUAL} was taken; --signature takes another: {', '.join(others)}"
        return _USUAL, [said] if others else []
    if len(names) == 1:
        return names[0], []
    if names:
        raise ConversionError(
            NEEDS_ARGUMENTS,
            f"the SavedModel has the signatures {', '.join(names)}, and none is called {_USUAL}",
            f"name one: --signature {names[0]}",
        )
    raise ConversionError(
        NEEDS_ARGUMENTS,
        "the SavedModel has no signature, which would say what goes in and comes out",
        "save it with one: tf.saved_model.save(model, 'folder', signatures=model.f.get_concrete_function("
        "tf.TensorSpec([None, 224, 224, 3])))",
    )


def _shape(name: str, spec: Any, request: ConversionRequest) -> tuple[int, ...]:
    if spec.shape.rank is None:
        return tuple(request.shapes[name])
    return tuple(-1 if size is None else size for size in spec.shape)
