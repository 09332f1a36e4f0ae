"""PaddlePaddle's inference models as ONNX."""

from workers.converters.contract import Converter, Kind
from workers.converters.paddle.recognise import INFERENCE, WEIGHTS, recognises

__all__ = ["CONVERTER"]

CONVERTER = Converter(
    name="paddle",
    title="PaddlePaddle",
    kinds=(
        Kind(INFERENCE, "paddle.jit.save(layer, 'folder/inference'): .json or .pdmodel, with .pdiparams"),
        Kind(
            WEIGHTS,
            "paddle.save(layer.state_dict(), 'model.pdparams')",
            refused="holds weights without a model: save the whole of it, paddle.jit.save(layer, "
            "'folder/inference', input_spec=[...]), and convert that folder",
        ),
    ),
    recognises=recognises,
    megabytes=960,
    minutes=4,
    exporters=("paddle2onnx",),
)
