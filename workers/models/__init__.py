"""ONNX models before an engine sees them, and onnxruntime as the reference for what they compute.

Knows ONNX and onnxruntime and nothing of TVM or Ray.
"""

from workers.models._adopt import adopt
from workers.models._burden import Burden, burden
from workers.models._compare import OutputDifference, compare, tolerance
from workers.models._exact import judge
from workers.models._expose import expose, maker_of
from workers.models._inputs import random_inputs
from workers.models._known_kernel import known_kernel_s
from workers.models._original import OriginalCheck, check_original
from workers.models._prepare import input_specs, prepare
from workers.models._profile import profile_reference
from workers.models._reference import run_reference, time_reference
from workers.models._shapes import DeclaredInput, parse_input_shape
from workers.models._steps import output_steps
from workers.models._weights import with_random_weights
from workers.models.precision import to_precision

__all__ = [
    "Burden",
    "DeclaredInput",
    "OriginalCheck",
    "OutputDifference",
    "adopt",
    "burden",
    "check_original",
    "compare",
    "expose",
    "input_specs",
    "judge",
    "known_kernel_s",
    "maker_of",
    "output_steps",
    "parse_input_shape",
    "prepare",
    "profile_reference",
    "random_inputs",
    "run_reference",
    "time_reference",
    "to_precision",
    "tolerance",
    "with_random_weights",
]
