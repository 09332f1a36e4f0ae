"""Converts what a request's file names."""

from __future__ import annotations

import warnings

from workers.converters.contract import ConversionRequest, Converted, Tensor
from workers.converters.onnx_files import keep_outputs, name_open_sizes, tensors, write
from workers.converters.serving import main, save_checks
from workers.converters.sklearn.inside.draws import draw_rows
from workers.converters.sklearn.inside.export import INPUT, export, exporter, framework
from workers.converters.sklearn.inside.load import Loaded, load
from workers.converters.sklearn.inside.reference import Reference
from workers.converters.sklearn.inside.text import without_text
from workers.converters.sklearn.inside.width import input_shape


def convert(request: ConversionRequest) -> Converted:
    """Load an estimator, export it with its features as one input, and run it."""
    warnings.filterwarnings("ignore")
    loaded = load(request)
    with loaded.used():
        return _converted(loaded, request)


def _converted(loaded: Loaded, request: ConversionRequest) -> Converted:
    estimator, notes = without_text(loaded.estimator)
    rows, width = input_shape(estimator, request.shapes)
    model = export(estimator, rows, width, request.opset)
    name_open_sizes(model, "batch")
    reference = Reference(estimator, model.graph.output)
    draws = [
        ({INPUT: given}, reference.run(given))
        for given in draw_rows(estimator, reference, rows, width, request.seed)
    ]
    keep_outputs(model, list(draws[0][1]))
    save_checks(request.out, draws)
    name = write(model, request.out, "skl2onnx")
    return Converted(
        framework=framework(estimator),
        candidates=(exporter(estimator, name),),
        inputs=(Tensor(INPUT, "float32", (-1 if rows is None else rows, width)),),
        outputs=tensors(model.graph.output),
        notes=(*loaded.notes, *notes, *reference.notes),
        files=loaded.files,
    )


if __name__ == "__main__":
    main(convert)
