"""From a framework's model to an ONNX file that stays: what converts it, and whether that is right."""

from orchestrator.conversion.convert import Conversion, ConversionSettings, convert
from orchestrator.conversion.environment import converter_folder, resident_of
from orchestrator.conversion.precision import Precise, PrecisionSettings, to_precision
from orchestrator.conversion.source import Source, find_source

__all__ = [
    "Conversion",
    "ConversionSettings",
    "Precise",
    "PrecisionSettings",
    "Source",
    "convert",
    "converter_folder",
    "find_source",
    "resident_of",
    "to_precision",
]
