"""``convert``: an ONNX file from a framework's model, or one in another precision."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import RenderableType
from rich.text import Text

from orchestrator.cli.kit import options
from orchestrator.cli.kit.arguments import shapes_of
from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.conversion_options import ConversionOptions
from orchestrator.cli.kit.facts import facts
from orchestrator.cli.kit.grid import Grid
from orchestrator.cli.kit.parsing import parse_duration
from orchestrator.cli.kit.server_option import Place
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.text import finite, short_path
from orchestrator.cli.models.precisions import precision_document, precision_report
from orchestrator.documents.origins import origin_document
from orchestrator.errors import ModelError, UsageError

if TYPE_CHECKING:
    from orchestrator.conversion import Conversion, Precise
    from orchestrator.conversion.choose import Judged
    from workers.messages import TensorSpec
    from workers.models import Burden

__all__ = ["convert"]

_Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="A file or folder that a framework saved, or package.module:function or file.py:function; "
        "`tunefleet converters` lists what is taken. With --precision an ONNX file too.",
        show_default=False,
    ),
]
_Output = Annotated[
    Path,
    typer.Option("-o", "--output", metavar="FILE", help="The ONNX file to write.", show_default=False),
]
_Check = Annotated[
    bool,
    typer.Option("--check/--no-check", help="Compare with the framework's own outputs, in onnxruntime."),
]
_Opset = Annotated[
    int | None,
    typer.Option("--opset", min=7, metavar="N", help="Of the ONNX file; left out, the exporter chooses."),
]
_Seed = Annotated[
    int,
    typer.Option("--seed", min=0, max=2**31 - 1, metavar="N", help="Of random inputs and random weights."),
]
_Timeout = Annotated[
    str,
    typer.Option("--timeout", metavar="TIME", help="A converter that takes longer is ended."),
]
_Anew = Annotated[bool, typer.Option("--anew", help="Convert also what was converted before.")]
_LISTED = "`tunefleet converters` lists what is"


@command(
    "convert",
    panel=options.PANELS.MODELS,
    examples=(
        "convert net.pt2 -o net.onnx",
        "convert net.pt -o net.onnx --input-shape x:1,3,224,224",
        "convert torchvision.models:resnet18 -o resnet18.onnx --input-shape x:1,3,224,224 --trust",
        "convert zoo.py:detector -o detector.onnx --trust",
        "convert model.onnx -o model.int8.onnx --precision int8 --calibration data.npz",
    ),
    place=Place.HERE,
)
def convert(
    session: Session,
    source: _Source,
    output: _Output,
    how: ConversionOptions,
    input_shape: options.InputShapes = None,
    check: _Check = True,
    opset: _Opset = None,
    seed: _Seed = 0,
    timeout: _Timeout = "30m",
    anew: _Anew = False,
) -> None:
    """Make an ONNX file of a PyTorch, Keras, TensorFlow, Paddle or scikit-learn model.

    The framework runs in an environment of its own: `tunefleet converters`. What it wrote is compared with
    what it computes itself. `tune`, `build` and the others take the same sources, and convert them as this
    does; what was converted once is found again.

    --precision makes int8 or float16 of a float32 model, of an ONNX file too.
    """
    from orchestrator.conversion import ConversionSettings, find_source, to_precision
    from orchestrator.conversion import convert as convert_source
    from orchestrator.files import writable

    session.leave_stdout_to(output)
    shapes = shapes_of(input_shape)
    precision = how.numbers.settings(shapes, anew=anew)
    found = find_source(source, how.framework)
    if found is None and (precision is None or not Path(source).is_file() or how.for_frameworks):
        raise _nothing_to_convert(source, how)
    read = [path for path in (found.path if found else Path(source), how.numbers.calibration) if path]
    place = writable(output, read=read)
    settings = ConversionSettings(
        shapes=shapes,
        check=check,
        trust=how.trust,
        exporter=how.exporter,
        signature=how.signature,
        opset=opset,
        seed=seed,
        timeout_s=parse_duration(timeout),
        anew=anew,
    )
    conversion, precise = None, None
    with session.toolbox(options.DEFAULT_ENGINE) as tools, session.steps() as steps:
        if found is not None:
            conversion = convert_source(tools, found, settings, steps)
        if precision is not None:
            float32 = conversion.path if conversion else Path(source)
            precise = to_precision(tools, float32, precision, steps)
    written = _write(_files(conversion, precise), place)
    session.emit(_document(source, conversion, precise, place))
    if conversion is not None:
        session.show(*_report(conversion))
    if precise is not None:
        session.show(*precision_report(precise))
    session.write(*(Text(f"wrote {short_path(str(path))}") for path in written))


def _nothing_to_convert(source: str, how: ConversionOptions) -> UsageError:
    if not Path(source).exists():
        return ModelError(f"there is no file {source}, and it isn't of the form package.module:function")
    if Path(source).is_dir():
        return ModelError(f"{source} is a folder that no converter knows; {_LISTED}")
    if source.endswith(".onnx"):
        if how.for_frameworks:
            return UsageError(f"{how.for_frameworks[0]} is for a framework's model; {source} is an ONNX file")
        return UsageError(
            f"{source} is an ONNX file already: tune it as it is, or say which --precision it is to have"
        )
    return ModelError(f"{source} is nothing that a converter knows; {_LISTED}")


def _files(conversion: Conversion | None, precise: Precise | None) -> list[tuple[Path, Path]]:
    """Return the files of what was made and their places beside the model, the model last."""
    if precise is not None:
        # Of what stays in float32, where it lies; what was written is one file.
        own = precise.source.parent
        data = () if precise.path != precise.source else precise.found.data_files
        return [*((own / name, Path(name)) for name in data), (precise.path, Path())]
    assert conversion is not None
    beside = [path for path in sorted(conversion.path.parent.iterdir()) if path != conversion.path]
    return [*((path, Path(path.name)) for path in beside), (conversion.path, Path())]


def _write(files: list[tuple[Path, Path]], place: Path) -> list[Path]:
    """Copy what is kept to where it is wanted, the model last: with it everything is there.

    Raises
    ------
    UsageError
        The model's weights lie in files beside it, and there is no beside.
    """
    from orchestrator.files import leads_to_stdout, writing

    if len(files) > 1 and leads_to_stdout(place):
        raise UsageError(f"{place}: the weights lie in a file beside the model; name a file to write")
    targets = [place if path == Path() else place.parent / path for _, path in files]
    for (kept, _), target in zip(files, targets, strict=True):
        if target.exists() and target.samefile(kept):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with kept.open("rb") as source, writing(target) as file:
            while chunk := source.read(1 << 20):
                file.write(chunk)
    return targets


def _document(
    named: str, conversion: Conversion | None, precise: Precise | None, place: Path
) -> dict[str, Any]:
    """A source that was converted."""
    precision = precision_document(precise)
    if conversion is None:
        assert precise is not None
        found = precise.found
        return {
            "source": os.path.abspath(named),
            "kind": "ONNX file",
            "converter": None,
            "model": str(place),
            "kept": str(precise.path),
            "remembered": precise.remembered,
            "origin": origin_document(found.origin),
            "checked": found.error is not None,
            "max_rel": None,
            "why": found.reason,
            "notes": [],
            "inputs": [_tensor(spec) for spec in found.inputs],
            "outputs": [_tensor(spec) for spec in found.outputs],
            "exports": [],
            "precision": precision,
        }
    source, kept = conversion.source, conversion.kept
    made = precise.found.origin if precise else None
    return {
        "source": source.text,
        "kind": source.kind.name,
        "converter": source.package.name,
        "model": str(place),
        "kept": str(precise.path if precise else conversion.path),
        "remembered": conversion.remembered,
        "origin": origin_document(made or kept.origin),
        "checked": kept.checked,
        "max_rel": None if kept.max_rel is None else finite(kept.max_rel),
        "why": kept.why,
        "notes": list(kept.notes),
        "inputs": [_closed(one) for one in kept.inputs],
        "outputs": [_closed(one) for one in kept.outputs],
        "exports": [_export(one) for one in conversion.judged],
        "precision": precision,
    }


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "dtype": spec.dtype, "shape": list(spec.shape)}


def _closed(tensor: dict[str, Any]) -> dict[str, Any]:
    sizes = [size if isinstance(size, int) and size >= 0 else None for size in tensor["shape"]]
    return {**tensor, "shape": sizes}


def _export(one: Judged) -> dict[str, Any]:
    left = one.burden
    return {
        "exporter": one.exporter,
        "left": None if left is None else {**_left(left), "weight": left.weight},
        "refusal": one.refusal,
        "wrong": one.wrong,
        "max_rel": finite(one.difference.max_rel) if one.difference else None,
    }


def _left(left: Burden) -> dict[str, int]:
    return {
        "operators": left.nodes,
        "transposes": left.transposes,
        "batch_normalizations": left.batch_norms,
        "behind_cut": left.behind,
    }


def _report(conversion: Conversion) -> list[RenderableType]:
    """What became of a source, for people."""
    source, kept = conversion.source, conversion.kept
    pairs: list[tuple[str, RenderableType]] = [
        ("source", f"{source.name}  ({source.kind.name})"),
        ("framework", kept.origin.framework),
        ("exporter", kept.origin.exporter),
        *((name, _tensors(listed)) for name, listed in (("takes", kept.inputs), ("returns", kept.outputs))),
    ]
    if kept.max_rel is not None:
        pairs.append(("compared", f"off by {kept.max_rel:.1e} of an output's largest value at most"))
    elif not kept.checked:
        pairs.append(("compared", Text("not: --no-check", style="yellow")))
    if conversion.remembered:
        pairs.append(("converted", "earlier, from the same content"))
    if kept.notes:
        pairs.append(("note", "\n".join(kept.notes)))
    parts: list[RenderableType] = [facts(pairs)]
    if len(conversion.judged) > 1:
        parts += ["", _exports(conversion)]
    parts.append("")
    return parts


def _tensors(listed: tuple[dict[str, Any], ...]) -> str:
    return ", ".join(
        f"{one['name']} {'x'.join(map(_size, one['shape'])) or 'scalar'} {one['dtype']}" for one in listed
    )


def _size(size: int | str) -> str:
    return "?" if size == -1 else str(size)


def _exports(conversion: Conversion) -> RenderableType:
    """What each exporter left, the one that was taken marked."""
    right = ("operators", "transposes", "batch norms", "behind cut")
    grid = Grid("exporter", *right, "taken", right=right, flexible=("exporter", "taken"))
    for one in conversion.judged:
        numbers = [str(number) for number in _left(one.burden).values()] if one.burden else ["-"] * len(right)
        taken = one.exporter == conversion.kept.origin.exporter
        grid.add(one.exporter, *numbers, "yes" if taken else one.wrong or one.refusal or "no")
    return grid.table()
