"""Small models that TVM's frontend reads otherwise or not at all, each with what makes it hard.

After public reports (apache/tvm 9438, 11076, 17795, 17935, 18135, 18541, 18945, 18946, 19450, 19540, 19541,
19570, 19572, 19907, 19965, 19993, 20134, 20182, 20190, 20217, 20263, 20280) and by reading its converters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.parser

__all__ = ["HARD", "Hard"]


@dataclass(frozen=True)
class Hard:
    """A model as text, and values to try it with beside random ones.

    Attributes
    ----------
    gone : tuple of str
        Operators that a prepared model must not hold.
    """

    text: str
    opset: int = 18
    gone: tuple[str, ...] = ()
    inputs: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def model(self) -> onnx.ModelProto:
        """Return it."""
        head = f'<ir_version: 10, opset_import: ["" : {self.opset}, "com.microsoft": 1]>'
        return onnx.parser.parse_model(f"{head}\nhard {self.text}")


def _resize(
    shape: str, target: str, attributes: str, *, scales: str = "", sizes: str = "", opset: int = 18
) -> Hard:
    given = f"<float[4] s = {{{scales}}}>" if scales else f"<int64[4] s = {{{sizes}}}>"
    inputs = 'x, "", s' if scales else 'x, "", "", s'
    body = f"({shape} x) => ({target} y) {given} {{ y = Resize <{attributes}> ({inputs}) }}"
    return Hard(body, opset, gone=("Resize",))


_IMAGE = "float[1,2,10,7]"

HARD: Mapping[str, Hard] = {
    # -- resizing
    "linear by 1.37": _resize(
        _IMAGE,
        "float[1,2,13,9]",
        'mode = "linear", coordinate_transformation_mode = "half_pixel"',
        scales="1, 1, 1.37, 1.37",
    ),
    "nearest by 2.5": _resize(
        _IMAGE,
        "float[1,2,25,17]",
        'mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor"',
        scales="1, 1, 2.5, 2.5",
    ),
    "nearest, ceil": _resize(
        _IMAGE, "float[1,2,6,4]", 'mode = "nearest", nearest_mode = "ceil"', sizes="1, 2, 6, 4"
    ),
    "nearest, halves up": _resize(
        _IMAGE, "float[1,2,5,14]", 'mode = "nearest", nearest_mode = "round_prefer_ceil"', sizes="1, 2, 5, 14"
    ),
    "linear without aliases": _resize(
        _IMAGE, "float[1,2,4,3]", 'mode = "linear", antialias = 1', sizes="1, 2, 4, 3"
    ),
    "cubic without aliases": _resize(
        _IMAGE,
        "float[1,2,4,3]",
        'mode = "cubic", antialias = 1, cubic_coeff_a = -0.5, exclude_outside = 1',
        sizes="1, 2, 4, 3",
    ),
    "cubic, nothing from outside": _resize(
        _IMAGE, "float[1,2,15,9]", 'mode = "cubic", exclude_outside = 1', sizes="1, 2, 15, 9"
    ),
    "corners of one": _resize(
        _IMAGE,
        "float[1,2,1,1]",
        'mode = "linear", coordinate_transformation_mode = "align_corners"',
        sizes="1, 2, 1, 1",
    ),
    "symmetric halves": _resize(
        _IMAGE,
        "float[1,2,12,9]",
        'mode = "linear", coordinate_transformation_mode = "half_pixel_symmetric"',
        scales="1, 1, 1.25, 1.3",
        opset=19,
    ),
    "channels too": _resize(_IMAGE, "float[1,4,10,7]", 'mode = "linear"', sizes="1, 4, 10, 7"),
    "axes by name": Hard(
        f"({_IMAGE} x) => (float[1,2,20,9] y) <int64[2] s = {{20, 9}}>"
        '{ y = Resize <mode = "linear", axes = [2, 3]> (x, "", "", s) }',
        gone=("Resize",),
    ),
    "aspect kept": Hard(
        f"({_IMAGE} x) => (float y) <int64[2] s = {{15, 15}}>"
        '{ z = Resize <mode = "linear", axes = [2, 3], keep_aspect_ratio_policy = "not_larger">'
        ' (x, "", "", s)'
        " y = ReduceSum <keepdims = 0> (z) }",
        gone=("Resize",),
    ),
    "opset 10": Hard(
        f"({_IMAGE} x) => (float[1,2,20,14] y) <float[4] s = {{1, 1, 2, 2}}>"
        '{ y = Resize <mode = "linear"> (x, s) }',
        opset=10,
    ),
    "sizes, and scales that are empty": Hard(
        f"({_IMAGE} x) => (float[1,2,20,14] y)"
        "<float[0] none = {}, int64[4] s = {1, 2, 20, 14}>"
        '{ y = Resize <mode = "linear", coordinate_transformation_mode = "half_pixel"> (x, none, none, s) }',
        opset=11,
    ),
    "upsample 9": Hard(
        f"({_IMAGE} x) => (float[1,2,30,21] y) <float[4] s = {{1, 1, 3, 3}}>"
        '{ y = Upsample <mode = "nearest"> (x, s) }',
        opset=9,
        gone=("Upsample",),
    ),
    "a part, beyond its ends": Hard(
        f"({_IMAGE} x) => (float[1,2,8,8] y)"
        "<float[8] roi = {0, 0, -0.2, 0.1, 1, 1, 1.2, 0.8}, int64[4] s = {1, 2, 8, 8}>"
        '{ y = Resize <mode = "linear", coordinate_transformation_mode = "tf_crop_and_resize",'
        ' extrapolation_value = 3.0> (x, roi, "", s) }',
        gone=("Resize",),
    ),
    "lines": Hard(
        "(float[1,2,9] x) => (float[1,2,14] y) <int64[3] s = {1, 2, 14}>"
        '{ y = Resize <mode = "linear"> (x, "", "", s) }',
        gone=("Resize",),
    ),
    # -- attributes and outputs
    "transposed, of a size": Hard(
        "(float[1,3,4,4] x) => (float[1,2,9,9] y) <float[3,2,3,3] w = {"
        + ", ".join(str(round(0.1 * ((7 * i) % 11 - 5), 2)) for i in range(54))
        + "}> { y = ConvTranspose <strides = [2, 2], output_shape = [9, 9]> (x, w) }"
    ),
    "pooled, the same below": Hard(
        "(float[1,2,7,7] x) => (float y) {"
        ' a = AveragePool <kernel_shape = [2, 2], strides = [2, 2], auto_pad = "SAME_LOWER"> (x)'
        ' b = MaxPool <kernel_shape = [2, 2], strides = [2, 2], auto_pad = "SAME_LOWER"> (x)'
        " c = Sub (a, b) y = ReduceSum <keepdims = 0> (c) }"
    ),
    "mean of a normalization": Hard(
        "(float[2,3,8] x) => (float[2,3,8] y, float[2,3,1] mean, float[2,3,1] inverse)"
        "<float[8] s = {1, 2, 3, 4, 5, 6, 7, 8}, float[8] b = {8, 7, 6, 5, 4, 3, 2, 1}>"
        "{ y, mean, inverse = LayerNormalization <axis = -1> (x, s, b) }",
        gone=("LayerNormalization",),
    ),
    "one side of infinity": Hard(
        "(float[4] x) => (bool[4] a, bool[4] b, bool[4] c) {"
        " a = IsInf <detect_negative = 0> (x) b = IsInf <detect_positive = 0> (x) c = IsInf (x) }",
        gone=("IsInf",),
        inputs={"x": np.array([np.inf, -np.inf, np.nan, 1], np.float32)},
    ),
    "the largest, in any order": Hard(
        "(float[2,30] x) => (float[2,1] y) <int64[1] k = {5}, int64[1] axis = {1}>"
        "{ v, i = TopK <axis = 1, sorted = 0> (x, k) y = ReduceSum (v, axis) }",
    ),
    "the smallest of equals": Hard(
        "(float[2,8] x) => (float[2,3] v, int64[2,3] i) <int64[1] k = {3}>"
        "{ v, i = TopK <axis = 1, largest = 0> (x, k) }",
        inputs={"x": np.array([[1, 1, 0, 0, 2, 0, 1, 0], [3, 3, 3, 3, 3, 3, 3, 3]], np.float32)},
    ),
    "powers of other types": Hard(
        "(float[2,5] x, int64[2,5] i) => (float[2,5] a, int64[2,5] b) <int64 n = {3}, float h = {2}>"
        "{ a = Pow (x, n) b = Pow (i, h) }",
        opset=15,
    ),
    "an eye of another type": Hard(
        "(int32[3,4] x) => (float[3,4] e) { y = EyeLike <dtype = 1, k = 1> (x) z = Cast <to = 1> (x)"
        " e = Add (y, z) }",
        gone=("EyeLike",),
    ),
    "divided by nothing": Hard(
        "(float[3] x) => (float[3] y) <float[3] d = {2, 0, -4}> { y = Div (x, d) }",
        inputs={"x": np.array([1, 2, 3], np.float32)},
    ),
    "a norm of zero": Hard(
        "(float[2,3] x) => (float[2,3] y, float[2,3] z)"
        "{ y = LpNormalization <axis = -1> (x) z = LpNormalization <axis = 0, p = 1> (x) }",
        gone=("LpNormalization",),
        inputs={"x": np.array([[0, 0, 0], [3, 0, 4]], np.float32)},
    ),
    "where the largest was": Hard(
        "(float[2,3,7,6] x) => (float[2,3,4,3] y, int64[2,3,4,3] i)"
        "{ y, i = MaxPool <kernel_shape = [3, 2], strides = [2, 2], pads = [1, 0, 1, 0]> (x) }",
        gone=("MaxPool",),
        inputs={"x": np.round(np.random.default_rng(5).normal(size=(2, 3, 7, 6)) * 2).astype(np.float32)},
    ),
    "where the largest was, column by column": Hard(
        "(float[1,2,5,5] x) => (float[1,2,3,3] y, int64[1,2,3,3] i)"
        "{ y, i = MaxPool <kernel_shape = [2, 2], strides = [2, 2], ceil_mode = 1, storage_order = 1> (x) }",
        opset=12,
        gone=("MaxPool",),
    ),
    # -- old forms
    "limits by attribute": Hard(
        "(float[4,6] x) => (float[2,3] y){ y = Slice <axes = [0, 1], starts = [1, -4], ends = [3, -1]> (x) }",
        opset=9,
    ),
    "the largest, by attribute": Hard(
        "(float[3,8] x) => (float[3,4] v, int64[3,4] i) { v, i = TopK <k = 4, axis = 1> (x) }", opset=9
    ),
    "the largest, of opset 10": Hard(
        "(float[3,8] x) => (float[3,4] v, int64[3,4] i) <int64[1] k = {4}> { v, i = TopK (x, k) }", opset=10
    ),
    "a softmax over all that follows": Hard(
        "(float[2,3,4] x) => (float[2,3,4] y, float[2,3,4] z)"
        "{ y = Softmax <axis = 1> (x) z = LogSoftmax <axis = 0> (x) }",
        opset=11,
    ),
    "upsampled, by attribute": Hard(
        f"({_IMAGE} x) => (float[1,2,20,21] y)"
        '{ y = Upsample <mode = "nearest", scales = [1.0, 1.0, 2.0, 3.0]> (x) }',
        opset=7,
        gone=("Upsample",),
    ),
    "linear, of opset 9": Hard(
        f"({_IMAGE} x) => (float[1,2,20,14] y) <float[4] s = {{1, 1, 2, 2}}>"
        '{ y = Upsample <mode = "linear"> (x, s) }',
        opset=9,
        gone=("Upsample",),
    ),
    "padded and clipped, of opset 8": Hard(
        "(float[1,2,4,4] x) => (float[1,2,7,4] y)"
        '{ p = Pad <mode = "constant", pads = [0, 0, 2, 0, 0, 0, 1, 0], value = 2.5> (x)'
        " y = Clip <min = -0.5, max = 0.5> (p) }",
        opset=8,
    ),
    # -- moved about
    "hot from the end": Hard(
        "(int64[2,3] x) => (float[5,2,3] y) <int64 one = {1}, int64[1] d = {5}, float[2] v = {-1, 2}>"
        "{ j = Sub (x, one) y = OneHot <axis = 0> (j, d, v) }",
        gone=("OneHot",),
    ),
    "reversed by length": Hard(
        "(float[5,3,2] x, int64[3] n) => (float[5,3,2] y) { y = ReverseSequence (x, n) }",
        gone=("ReverseSequence",),
        inputs={"x": np.arange(30, dtype=np.float32).reshape(5, 3, 2), "n": np.array([1, 5, 3], np.int64)},
    ),
    "columns put back": Hard(
        "(float[1,12,6] x) => (float[1,3,5,4] y) <int64[2] image = {5, 4}, int64[2] block = {2, 2}>"
        "{ y = Col2Im <strides = [2, 1]> (x, image, block) }",
        gone=("Col2Im",),
    ),
    "a window of a signal": Hard(
        "(float[1,40,1] x) => (float[1,5,5,2] y)"
        "<int64 step = {8}, float[8] w = {0, 0.2, 0.6, 0.9, 0.9, 0.6, 0.2, 0}> { y = STFT (x, step, w) }",
        opset=17,
        gone=("STFT",),
    ),
    "there and back": Hard(
        "(float[2,6,1] x) => (float[2,6,2] y){ f = DFT <axis = 1> (x) y = DFT <axis = 1, inverse = 1> (f) }",
        opset=17,
        gone=("DFT",),
    ),
    # -- functions
    "attention": Hard(
        "(float[1,2,6,8] q, float[1,2,6,8] k, float[1,2,6,8] v) => (float[1,2,6,8] y)"
        "{ y = Attention <is_causal = 1> (q, k, v) }",
        opset=23,
        gone=("Attention",),
    ),
    "celu, swish": Hard(
        "(float[2,5] x) => (float[2,5] y) { a = Celu <alpha = 0.7> (x) y = Swish <alpha = 1.3> (a) }",
        opset=24,
        gone=("Celu", "Swish"),
    ),
    "groups of channels": Hard(
        "(float[1,6,5,5] x) => (float[1,6,5,5] y) <float[3] s = {1, 2, 3}, float[3] b = {3, 2, 1}>"
        "{ y = GroupNormalization <num_groups = 3> (x, s, b) }",
        opset=18,
        gone=("GroupNormalization",),
    ),
    # -- control flow, sequences
    "four steps": Hard(
        "(float[3] x) => (float[3] last, float[4,3] all) <int64 n = {4}, bool go = {1}>"
        "{ last, all = Loop (n, go, x) <body = body (int64 i, bool c, float[3] v) =>"
        " (bool c2, float[3] v2, float[3] s) <float half = {0.5}>"
        " { m = Mul (v, half) v2 = Add (m, x) c2 = Identity (c) s = Identity (v2) }> }",
        gone=("Loop",),
    ),
    "until a step says so": Hard(
        "(float[3] x) => (float[3] last) <int64 n = {9}, bool go = {1}, int64 four = {4}>"
        "{ last = Loop (n, go, x) <body = body (int64 i, bool c, float[3] v) => (bool c2, float[3] v2)"
        " { v2 = Add (v, x) c2 = Less (i, four) }> }",
        gone=("Loop",),
    ),
    "scanned backward": Hard(
        "(float[3] s, float[5,3] x) => (float[3] last, float[5,3] all)"
        "{ last, all = Scan <num_scan_inputs = 1, scan_input_directions = [1],"
        " body = body (float[3] a, float[3] e) => (float[3] b, float[3] o) { b = Add (a, e) o = Relu (b) }>"
        " (s, x) }",
        gone=("Scan",),
    ),
    "branches of two sizes": Hard(
        "(bool c, float[4] x) => (float y)"
        "{ z = If (c) <else_branch = e () => (float[4] e1) { e1 = Neg (x) },"
        " then_branch = t () => (float[8] t1) { t1 = Concat <axis = 0> (x, x) }>"
        " y = ReduceSum <keepdims = 0> (z) }",
        gone=("If",),
    ),
    "a sequence": Hard(
        "(float[3,6] x) => (float[3,2] y) <int64 two = {2}, int64 one = {1}>"
        "{ q = SplitToSequence <axis = 1> (x, two) a = SequenceAt (q, one) r = SequenceInsert (q, x)"
        " c = ConcatFromSequence <axis = 1> (r) d = SequenceErase (r, one)"
        " e = ConcatFromSequence <axis = 1> (d) m = ReduceMean <keepdims = 1> (c)"
        " n = ReduceMean <keepdims = 1> (e) o = Add (a, m) y = Add (o, n) }",
        gone=("SplitToSequence", "SequenceAt", "SequenceInsert", "ConcatFromSequence", "SequenceErase"),
    ),
    # -- halves
    "a mean of many halves": Hard(
        "(float16[1,2,256,256] x) => (float16[1,2,1,1] y) { y = GlobalAveragePool (x) }"
    ),
    "a softmax of many halves": Hard("(float16[2,5000] x) => (float16[2,5000] y) { y = Softmax (x) }"),
    "a product of many halves": Hard(
        "(float16[2,4096] x, float16[4096,3] w) => (float16[2,3] y) { y = MatMul (x, w) }",
        inputs={"x": np.ones((2, 4096), np.float16), "w": np.ones((4096, 3), np.float16)},
    ),
    # -- integers
    "bytes, convolved": Hard(
        "(float[1,2,6,6] x) => (float[1,2,6,6] y) <float sx = {0.01}, uint8 zx = {128}, float sw = {0.02},"
        " int8 zw = {0}, float sy = {0.05}, uint8 zy = {120}, int8[2,2,3,3] w = {"
        + ", ".join(str((37 * i) % 201 - 100) for i in range(36))
        + "}> { q = QuantizeLinear (x, sx, zx)"
        " c = QLinearConv <pads = [1, 1, 1, 1]> (q, sx, zx, w, sw, zw, sy, zy)"
        " y = DequantizeLinear (c, sy, zy) }",
        opset=13,
        gone=("QLinearConv",),
    ),
    "weights in blocks of bytes": Hard(
        "(float[2,4] x) => (float[2,2] y) <int8[4,2] w8 = {1, -2, 3, -4, 5, -6, 7, -8},"
        " float[2,2] s = {0.5, 0.25, 2, 1}>"
        "{ w = DequantizeLinear <axis = 0, block_size = 2> (w8, s)"
        " y = MatMul (x, w) }",
        opset=21,
        gone=("DequantizeLinear",),
    ),
    "quantized as it comes": Hard(
        "(float[2,4] x, int8[4,3] w) => (float[2,3] y)"
        "{ q, s, z = DynamicQuantizeLinear (x) i = MatMulInteger (q, w, z) f = Cast <to = 1> (i)"
        " y = Mul (f, s) }",
        opset=13,
        gone=("DynamicQuantizeLinear", "MatMulInteger"),
    ),
    # -- kernels of one block
    "a running sum": Hard(
        "(float[5,8] x) => (float[40] y) <int64 axis = {1}, int64[1] flat = {40}>"
        "{ c = CumSum (x, axis) y = Reshape (c, flat) }"
    ),
    "scattered": Hard(
        "(float[3,4] x, int64[2,4] i, float[2,4] u) => (float[3,4] y)"
        '{ y = ScatterElements <axis = 0, reduction = "add"> (x, i, u) }'
    ),
    # -- inputs
    "a divisor": Hard("(int32[8] a, int32[8] b) => (int32[8] y) { y = Div (a, b) }"),
    "a table of one row": Hard(
        "(int64[1,4] ids, int64[1,4] kinds) => (float[1,4,2] y)"
        "<float[3,2] words = {1, 2, 3, 4, 5, 6}, float[1,2] table = {7, 8}>"
        "{ a = Gather (words, ids) b = Gather (table, kinds) y = Add (a, b) }"
    ),
    "an input without a shape": Hard(
        "(float x) => (float[1,3,1,1] y) { r = Relu (x) y = GlobalAveragePool (r) }",
        shapes={"x": (1, 3, 4, 4)},
    ),
}
