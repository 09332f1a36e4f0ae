"""Converts what a request's file names."""

from __future__ import annotations

import warnings

from workers.converters import tensorflow_graphs as graphs
from workers.converters.contract import ConversionRequest, Converted
from workers.converters.serving import main
from workers.converters.tensorflow.recognise import FROZEN, TFLITE


def convert(request: ConversionRequest) -> Converted:
    """Choose by the kind of the source, and import what it takes."""
    graphs.quiet()
    warnings.filterwarnings("ignore")
    if request.kind == FROZEN:
        from workers.converters.tensorflow.inside import frozen_graph

        return frozen_graph.convert(request)
    if request.kind == TFLITE:
        from workers.converters.tensorflow.inside import tflite

        return tflite.convert(request)
    from workers.converters.tensorflow.inside import saved_model

    return saved_model.convert(request)


if __name__ == "__main__":
    main(convert)
