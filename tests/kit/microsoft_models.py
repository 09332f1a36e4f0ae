"""Small models of operators that onnxruntime's optimizers write."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.parser
from onnx import helper

from tests.kit.model_builders import weight

__all__ = ["FUSED", "Fused"]

_DOMAINS = '"com.microsoft": 1, "com.microsoft.nchwc": 1'


@dataclass(frozen=True)
class Fused:
    """A model as text.

    Attributes
    ----------
    text : str
        Inputs whose names begin with ``w`` become constants with random values.
    twin : str
        The same in operators of the standard, of opset 21, where onnxruntime has no kernel for CPUs.
    inputs : mapping of str to ndarray
        What is tried beside random values.
    halves : bool
        There is a form of it in float16.
    """

    text: str
    opset: int = 17
    twin: str = ""
    inputs: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    halves: bool = True

    def model(self, *, half: bool = False) -> onnx.ModelProto:
        """Return it."""
        return _parsed(self.text, self.opset, half)

    def standard(self, *, half: bool = False) -> onnx.ModelProto:
        """Return the model that says what it computes: itself, where onnxruntime can run it."""
        return _parsed(self.twin, 21, half) if self.twin else self.model(half=half)


def _parsed(text: str, opset: int, half: bool) -> onnx.ModelProto:
    head = f'<ir_version: 8, opset_import: ["" : {opset}, {_DOMAINS}]>'
    text = text.replace("float[", "float16[") if half else text
    model = onnx.parser.parse_model(f"{head}\nfused {text}")
    kept = []
    for value in model.graph.input:
        if not value.name.startswith("w"):
            kept.append(value)
            continue
        kind = value.type.tensor_type
        shape = [dim.dim_value for dim in kind.shape.dim]
        dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type)
        model.graph.initializer.append(weight(value.name, *shape, dtype=dtype))
    inputs = [onnx.ValueInfoProto.FromString(value.SerializeToString()) for value in kept]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    return model


def _ints(*values: Any, dtype: Any = np.int32) -> npt.NDArray[Any]:
    return np.array(values, dtype)


_X = "float[2,5,8] x"
_Y = "float[2,5,8] y"
_MASKED = "float[8,24] w, float[24] wb"


def _attention(mask: str = "", given: str = "", attributes: str = "", **more: Any) -> Fused:
    """Attention of two heads over 2 sequences of 5 words."""
    inputs = f"{_X}, {_MASKED}{', ' + mask if mask else ''}"
    given = given or (', "", m'.replace('"", ', "") if mask else "")
    head = f"num_heads = 2{', ' + attributes if attributes else ''}"
    return Fused(f"({inputs}) => ({_Y}) {{ y = com.microsoft.Attention <{head}> (x, w, wb{given}) }}", **more)


def _multi_head(read: str, given: str, attributes: str = "", out: str = _Y, **more: Any) -> Fused:
    head = f"num_heads = 2{', ' + attributes if attributes else ''}"
    return Fused(f"({read}) => ({out}) {{ y = com.microsoft.MultiHeadAttention <{head}> ({given}) }}", **more)


def _rotary(shape: str, attributes: str, places: str = "int64[2,5] p", cache: str = "9,4") -> Fused:
    places_at = (
        {"p": np.array([[0, 3, 1, 8, 2], [4, 4, 7, 0, 1]])} if "2,5" in places else {"p": np.array([3])}
    )
    return Fused(
        f"(float[{shape}] x, {places}, float[{cache}] wc, float[{cache}] ws) => (float[{shape}] y)"
        f"{{ y = com.microsoft.RotaryEmbedding {attributes} (x, p, wc, ws) }}",
        inputs=places_at,
    )


def _buckets(length: int, count: int, farthest: int) -> str:
    """T5's buckets, which are half for what is behind and half for what is ahead, one number at a time."""
    found = []
    for query in range(length):
        for key in range(length):
            away, half = abs(query - key), count // 2
            bucket, near = (half if key > query else 0), half // 2
            if away < near:
                found.append(bucket + away)
            else:
                step = math.log(away / near) / math.log(farthest / near) * (half - near)
                found.append(bucket + min(near + int(step), half - 1))
    return ", ".join(map(str, found))


_QKV = "float[2,5,8] q, float[2,7,8] k, float[2,7,8] v"
_EMBEDDED = (
    "int32[2,5] ids, int32[2,5] kinds, float[9,8] w0, float[6,8] w1, float[2,8] w2, float[8] wg, float[8] wb"
)
_SKIPPED = "float[2,5,8] x, float[2,5,8] s, float[8] wg, float[8] wb, float[8] wc"
_SPLIT_TWIN = (
    "(float[2,5,8] x, float[8] w) => (float[2,5,4] y)"
    "{ s = Add (x, w) l, r = Split <axis = 2, num_outputs = 2> (s) g = Gelu (r) y = Mul (l, g) }"
)
_GROUP = "(float[2,4,3,6] x, float[6] wg, float[6] wb) => (float[2,4,3,6] y)"
_GROUP_TWIN = (
    "t = Transpose <perm = [0, 3, 1, 2]> ({x})"
    " n = GroupNormalization <num_groups = 3, epsilon = 0.001> (t, wg, wb)"
    ""
    " o = Sigmoid (n) a = Mul (n, o) y = Transpose <perm = [0, 2, 3, 1]> (a)"
)

FUSED: Mapping[str, Fused] = {
    # -- activations
    "gelu": Fused(f"({_X}) => ({_Y}) {{ y = com.microsoft.Gelu (x) }}"),
    "gelu of a sum": Fused(f"({_X}, float[8] w) => ({_Y}) {{ y = com.microsoft.BiasGelu (x, w) }}"),
    "fast gelu": Fused(f"({_X}) => ({_Y}) {{ y = com.microsoft.FastGelu (x) }}"),
    "fast gelu of a sum": Fused(f"({_X}, float[8] w) => ({_Y}) {{ y = com.microsoft.FastGelu (x, w) }}"),
    "quick gelu": Fused(f"({_X}) => ({_Y}) {{ y = com.microsoft.QuickGelu <alpha = 1.5> (x) }}"),
    "gelu of a half": Fused(
        "(float[2,5,8] x, float[8] w) => (float[2,5,4] y) { y = com.microsoft.BiasSplitGelu (x, w) }",
        twin=_SPLIT_TWIN,
    ),
    "a bias and a residual": Fused(
        f"({_X}, float[8] w, float[2,5,8] r) => ({_Y}) {{ y = com.microsoft.BiasAdd (x, w, r) }}",
        twin=f"({_X}, float[8] w, float[2,5,8] r) => ({_Y}) {{ s = Add (x, w) y = Add (s, r) }}",
    ),
    "a bias, without a dropout": Fused(
        f"({_X}, float[8] w, float[2,5,8] r) => ({_Y}) {{ y = com.microsoft.BiasDropout (x, w, r) }}",
        twin=f"({_X}, float[8] w, float[2,5,8] r) => ({_Y}) {{ s = Add (x, w) y = Add (s, r) }}",
    ),
    "all of them numbers": Fused(
        "(float[2,5] x, float[3] z) => (bool y) { y = com.microsoft.IsAllFinite (x, z) }",
        twin="(float[2,5] x, float[3] z) => (bool y) <int64[1] flat = {10}>"
        "{ f = Reshape (x, flat) a = Concat <axis = 0> (f, z) i = IsInf (a) n = IsNaN (a) o = Or (i, n)"
        " c = Cast <to = 1> (o) m = ReduceMax <keepdims = 0> (c) b = Cast <to = 9> (m) y = Not (b) }",
        inputs={"z": np.array([1, -np.inf, 2], np.float32)},
        halves=False,
    ),
    # -- norms
    "a sum, normalized": Fused(
        f"({_SKIPPED}) => ({_Y}, float[2,5,8] z)"
        '{ y, "", "", z = com.microsoft.SkipLayerNormalization <epsilon = 0.001> (x, s, wg, wb, wc) }'
    ),
    "a sum, normalized, opset 11": Fused(
        f"({_SKIPPED}) => ({_Y}) {{ y = com.microsoft.SkipLayerNormalization (x, s, wg, wb) }}", opset=11
    ),
    "a sum with what repeats, normalized": Fused(
        f"({_X}, float[5,8] s, float[8] wg)"
        f" => ({_Y}) {{ y = com.microsoft.SkipLayerNormalization (x, s, wg) }}"
    ),
    "a sum by its mean square": Fused(
        f"({_SKIPPED}) => ({_Y}, float[2,5,8] z)"
        '{ y, "", "", z = com.microsoft.SkipSimplifiedLayerNormalization <epsilon = 0.001> (x, s, wg, wc) }'
    ),
    "rows by their mean square": Fused(
        f"({_X}, float[8] wg) => ({_Y}) {{ y = SimplifiedLayerNormalization <epsilon = 0.001> (x, wg) }}",
        opset=12,
    ),
    "rows before there were any": Fused(
        f"({_X}, float[8] wg, float[8] wb) => ({_Y}) {{ y = LayerNormalization <axis = 2> (x, wg, wb) }}",
        opset=14,
    ),
    "rows and their means": Fused(
        f"({_X}, float[5,8] wg, float[5,8] wb) => ({_Y}, float[2,1,1] m, float[2,1,1] d)"
        "{ y, m, d = LayerNormalization <axis = 1> (x, wg, wb) }",
        opset=12,
        halves=False,
    ),
    "groups of channels": Fused(
        f"{_GROUP} "
        f"{{ y = com.microsoft.GroupNorm <groups = 3, activation = 1, epsilon = 0.001> (x, wg, wb) }}",
        twin=f"{_GROUP} {{ {_GROUP_TWIN.format(x='x')} }}",
    ),
    "groups of channels of a sum": Fused(
        "(float[2,4,3,6] x, float[6] wg, float[6] wb, float[2,6] s, float[6] wc)"
        " => (float[2,4,3,6] y, float[2,4,3,6] z)"
        "{ y, z = com.microsoft.SkipGroupNorm <groups = 3, activation = 1, epsilon = 0.001>"
        " (x, wg, wb, s, wc) }",
        twin="(float[2,4,3,6] x, float[6] wg, float[6] wb, float[2,6] s, float[6] wc)"
        " => (float[2,4,3,6] y, float[2,4,3,6] z) <int64[4] shape = {2, 1, 1, 6}>"
        f"{{ p = Add (x, wc) q = Reshape (s, shape) z = Add (p, q) {_GROUP_TWIN.format(x='z')} }}",
    ),
    # -- products
    "a product of what is turned": Fused(
        "(float[2,4,5] x, float[2,6,4] z) => (float[2,5,6] y)"
        "{ y = com.microsoft.FusedMatMul <alpha = 0.3, transA = 1, transB = 1> (x, z) }"
    ),
    "a product across a batch": Fused(
        "(float[4,2,3,5] x, float[2,3,5,6] z) => (float[2,3,4,6] y)"
        "{ y = com.microsoft.FusedMatMul <transBatchA = 1> (x, z) }",
        halves=False,
    ),
    "a product of a row": Fused(
        "(float[4] x, float[4,3] w) => (float[3] y) { y = com.microsoft.FusedMatMul <transA = 1> (x, w) }",
    ),
    "a product, as it was once": Fused(
        "(float[3,4] x, float[5,4] w)"
        " => (float[3,5] y) { y = com.microsoft.TransposeMatMul <transB = 1> (x, w) }",
    ),
    "a product, activated": Fused(
        "(float[3,4] x, float[5,4] w, float[5] wc) => (float[3,5] y)"
        '{ y = com.microsoft.FusedGemm <transB = 1, beta = 0.5, activation = "LeakyRelu",'
        " activation_alpha = 0.2>"
        " (x, w, wc) }",
    ),
    "a product and fast gelu": Fused(
        "(float[3,4] x, float[4,5] w, float[5] wc)"
        " => (float[3,5] y) { y = com.microsoft.GemmFastGelu (x, w, wc) }",
        twin="(float[3,4] x, float[4,5] w, float[5] wc) => (float[3,5] y)"
        '{ p = MatMul (x, w) s = Add (p, wc) y = Gelu <approximate = "tanh"> (s) }',
    ),
    # -- convolutions
    "convolved and added": Fused(
        "(float[1,3,6,6] x, float[1,4,6,6] z, float[4,3,3,3] w, float[4] wb) => (float[1,4,6,6] y)"
        '{ y = com.microsoft.FusedConv <activation = "Relu", pads = [1, 1, 1, 1], kernel_shape = [3, 3]>'
        " (x, w, wb, z) }",
    ),
    "convolved, cut off": Fused(
        "(float[1,4,6,6] x, float[4,2,3,3] w) => (float[1,4,4,4] y)"
        '{ y = com.microsoft.FusedConv <activation = "Clip", activation_params = [-0.2, 0.4], group = 2>'
        " (x, w) }",
    ),
    "convolved, by halves of a sigmoid": Fused(
        "(float[1,4,6,6] x, float[4,4,3,3] w) => (float[1,4,4,4] y)"
        '{ y = com.microsoft.FusedConv <activation = "HardSigmoid", activation_params = [0.3, 0.4]> (x, w) }',
        opset=10,
    ),
    "convolved, channels last": Fused(
        "(float[1,6,6,3] x, float[4,3,3,3] w, float[4] wb) => (float[1,4,4,4] y)"
        "{ y = com.microsoft.NhwcConv (x, w, wb) }",
        twin="(float[1,6,6,3] x, float[4,3,3,3] w, float[4] wb) => (float[1,4,4,4] y)"
        "{ t = Transpose <perm = [0, 3, 1, 2]> (x) u = Transpose <perm = [0, 3, 1, 2]> (w)"
        " c = Conv (t, u, wb) y = Transpose <perm = [0, 2, 3, 1]> (c) }",
    ),
    "convolved, channels last, and added": Fused(
        "(float[1,6,6,3] x, float[4,3,3,3] w, float[4] wb, float[1,4,4,4] z) => (float[1,4,4,4] y)"
        '{ y = com.microsoft.NhwcFusedConv <activation = "Relu"> (x, w, wb, z) }',
        twin="(float[1,6,6,3] x, float[4,3,3,3] w, float[4] wb, float[1,4,4,4] z) => (float[1,4,4,4] y)"
        "{ t = Transpose <perm = [0, 3, 1, 2]> (x) c = Conv (t, w, wb)"
        " d = Transpose <perm = [0, 2, 3, 1]> (c) s = Add (d, z) y = Relu (s) }",
    ),
    # -- embeddings
    "embedded": Fused(
        f"({_EMBEDDED}, int32[2,5] m) => ({_Y}, int32[2] n)"
        "{ y, n = com.microsoft.EmbedLayerNormalization <epsilon = 0.001>"
        " (ids, kinds, w0, w1, w2, wg, wb, m) }",
        inputs={"ids": np.arange(10, dtype=np.int32).reshape(2, 5) % 9},
    ),
    "embedded by places": Fused(
        "(int32[2,5] ids, int32[1,5] p, float[9,8] w0, float[6,8] w1, float[8] wg, float[8] wb)"
        f" => ({_Y}, int32[2] n, float[2,5,8] z)"
        "{ y, n, z = com.microsoft.EmbedLayerNormalization"
        ' (ids, "", w0, w1, "", wg, wb, "", p) }',
        opset=12,
        inputs={"p": _ints([1, 0, 5, 2, 3])},
    ),
    # -- attention
    "attention": _attention(attributes="scale = 0.4"),
    "attention, hidden words": _attention("int32[2,5] m", attributes="mask_filter_value = -50.0"),
    "attention, hidden pairs": _attention("int32[2,5,5] m", attributes="unidirectional = 1"),
    "attention, a mask of nothing": _attention("int32[2,1] m"),
    "attention, a mask of all places": _attention(
        "int32[2,1,9,9] m",
        twin=f"({_X}, {_MASKED}, int32[2,1,9,9] m) => ({_Y})"
        "<int64[2] start = {0, 0}, int64[2] end = {5, 5}, int64[2] axes = {2, 3}, int64[3] s = {2, 5, 5}>"
        "{ p = Slice (m, start, end, axes) k = Reshape (p, s)"
        " y = com.microsoft.Attention <num_heads = 2> (x, w, wb, k) }",
    ),
    "attention, lengths": _attention("int32[2] m", inputs={"m": _ints(3, 5)}),
    "attention, ends and starts": _attention("int32[4] m", inputs={"m": _ints(4, 5, 1, 2)}),
    "attention, causal": _attention(attributes="unidirectional = 1", opset=11),
    "attention, causal, hidden words": _attention("int32[2,5] m", attributes="unidirectional = 1"),
    "attention, a bias": _attention("float[1,2,5,5] b", ', "", "", b'),
    "attention, other values": Fused(
        f"({_X}, float[8,20] w, float[20] wb) => (float[2,5,4] y)"
        "{ y = com.microsoft.Attention <num_heads = 2, qkv_hidden_sizes = [8, 8, 4]> (x, w, wb) }"
    ),
    "attention and its past": Fused(
        f"({_X}, {_MASKED}, int32[2,8] m, float[2,2,2,3,4] p) => ({_Y}, float[2,2,2,8,4] z)"
        "{ y, z = com.microsoft.Attention <num_heads = 2, unidirectional = 1> (x, w, wb, m, p) }"
    ),
    "attention to another": _multi_head(f"{_QKV}, float[24] wb, int32[2,7] m", "q, k, v, wb, m"),
    "attention to another, lengths": _multi_head(
        f"{_QKV}, int32[2] m", 'q, k, v, "", m', inputs={"m": _ints(3, 7)}
    ),
    "attention to another, biased": _multi_head(
        f"{_QKV}, float[2,1,5,7] b", 'q, k, v, "", "", b', "scale = 0.3", opset=13
    ),
    "attention to another, other values": _multi_head(
        "float[2,5,8] q, float[2,7,8] k, float[2,7,6] v, float[22] wb", "q, k, v, wb", out="float[2,5,6] y"
    ),
    "attention to what is ready": _multi_head(
        "float[2,5,8] q, float[2,2,7,4] k, float[2,2,7,4] v", "q, k, v"
    ),
    "attention, causal, its past": Fused(
        "(float[2,5,8] q, float[2,5,8] k, float[2,5,8] v, float[2,2,3,4] a, float[2,2,3,4] b)"
        f" => ({_Y}, float[2,2,8,4] c, float[2,2,8,4] d) {{ y, c, d = com.microsoft.MultiHeadAttention"
        ' <num_heads = 2, unidirectional = 1> (q, k, v, "", "", "", a, b) }'
    ),
    "attention, packed": _multi_head(
        "float[2,5,2,3,4] x, float[24] wb",
        'x, "", "", wb',
        twin="(float[2,5,2,3,4] x, float[24] wb) => (float[2,5,8] y)"
        "<int64[3] s = {2, 5, 8}, int64 i = {0}, int64 j = {1}, int64 l = {2}>"
        "{ a = Gather <axis = 3> (x, i) b = Gather <axis = 3> (x, j) c = Gather <axis = 3> (x, l)"
        " q = Reshape (a, s) k = Reshape (b, s) v = Reshape (c, s)"
        " y = com.microsoft.MultiHeadAttention <num_heads = 2> (q, k, v, wb) }",
    ),
    "attention, keys packed": _multi_head(
        "float[2,5,8] q, float[2,7,2,2,4] x",
        "q, x",
        twin="(float[2,5,8] q, float[2,7,2,2,4] x) => (float[2,5,8] y)"
        "<int64[3] s = {2, 7, 8}, int64 i = {0}, int64 j = {1}>"
        "{ b = Gather <axis = 3> (x, i) c = Gather <axis = 3> (x, j) k = Reshape (b, s) v = Reshape (c, s)"
        " y = com.microsoft.MultiHeadAttention <num_heads = 2> (q, k, v) }",
    ),
    "attention by groups": Fused(
        "(float[2,5,64] q, float[2,5,32] k, float[2,5,32] v, float[9,8] wc, float[9,8] ws)"
        " => (float[2,5,64] y, float[2,2,5,16] a, float[2,2,5,16] b)"
        "<int32[2] n = {4, 4}, int32 t = {5}>"
        "{ y, a, b = com.microsoft.GroupQueryAttention <num_heads = 4, kv_num_heads = 2, do_rotary = 1>"
        ' (q, k, v, "", "", n, t, wc, ws) }',
    ),
    "attention by groups, packed, near": Fused(
        "(float[1,6,128] q) => (float[1,6,64] y, float[1,2,6,16] a, float[1,2,6,16] b)"
        "<int32[1] n = {5}, int32 t = {6}>"
        "{ y, a, b = com.microsoft.GroupQueryAttention"
        " <num_heads = 4, kv_num_heads = 2, local_window_size = 3, softcap = 2.0>"
        ' (q, "", "", "", "", n, t) }',
    ),
    # -- positions
    "turned": _rotary("2,5,16", ""),
    "turned by heads": _rotary("2,2,5,8", ""),
    "turned in part": _rotary("2,5,24", "<num_heads = 2, rotary_embedding_dim = 8>"),
    "turned in pairs": _rotary("2,5,16", "<interleaved = 1>"),
    "turned from a place on": _rotary("2,5,16", "", "int64[1] p"),
    "distances, in buckets": Fused(
        "(float[2,3,40,40] x, float[16,3] w) => (float[2,3,40,40] y) <int64[1] n = {40}>"
        "{ b = com.microsoft.RelativePositionBias <max_distance = 24, is_bidirectional = 1> (w, n, n)"
        " y = Add (x, b) }",
        twin="(float[2,3,40,40] x, float[16,3] w) => (float[2,3,40,40] y)"
        f"<int64[1,40,40] i = {{{_buckets(40, 16, 24)}}}>"
        "{ g = Gather (w, i) b = Transpose <perm = [0, 3, 1, 2]> (g) y = Add (x, b) }",
    ),
    "distances, gated": Fused(
        "(float[2,5,8] q, float[8] w0, float[1,2,5,5] r, float[4,6] w1, float[6] w2, float[1,2,1,1] w3)"
        " => (float[2,2,5,5] y)"
        "{ y = com.microsoft.GatedRelativePositionBias <num_heads = 2> (q, w0, r, w1, w2, w3) }",
        twin="(float[2,5,8] q, float[8] w0, float[1,2,5,5] r, float[4,6] w1, float[6] w2, float[1,2,1,1] w3)"
        " => (float[2,2,5,5] y)"
        "<int64[4] apart = {2, 5, 2, 4}, int64[5] two = {2, 2, 5, 2, 3}, int64[1] last = {4}>"
        "{ a = Add (q, w0) b = Reshape (a, apart) c = Transpose <perm = [0, 2, 1, 3]> (b) d = MatMul (c, w1)"
        " e = Add (d, w2) f = Reshape (e, two) g = ReduceSum <keepdims = 0> (f, last) h = Sigmoid (g)"
        " i, j = Split <axis = 3, num_outputs = 2> (h) k = Mul (j, w3) l = Mul (i, k) m = Sub (l, i)"
        " n = Sum (r, r) o = Mul (m, r) y = Add (o, n) }",
    ),
    # -- under another name
    "half a matrix": Fused(
        "(float[2,4,4] x) => (float[2,4,4] y) <int64 k = {1}> { y = com.microsoft.Trilu <upper = 0> (x, k) }"
    ),
    "counted": Fused(
        "(float[4] x) => (float[4] y) <int64[1] a = {1}, int64[1] b = {9}, int64[1] d = {2}>"
        "{ r = com.microsoft.Range (a, b, d) c = Cast <to = 1> (r) y = Add (x, c) }",
        halves=False,
    ),
    "padded": Fused(
        "(float[2,3] x) => (float[4,4] y) <int64[1,4] p = {1, 0, 1, 1}, float[1] v = {2.5}>"
        "{ y = com.microsoft.Pad (x, p, v) }",
        halves=False,
    ),
    "entries": Fused(
        "(float[3,4] x) => (float[2] y) <int32[2,2] i = {0, 1, 2, 3}> { y = com.microsoft.GatherND (x, i) }",
        halves=False,
    ),
    "sampled": Fused(
        "(float[1,2,4,4] x, float[1,3,3,2] g) => (float[1,2,3,3] y)"
        '{ y = com.microsoft.GridSample <mode = "bilinear", padding_mode = "border"> (x, g) }',
        opset=20,
        halves=False,
    ),
    "distances of rows": Fused(
        "(float[4,3] x, float[5,3] w) => (float[4,5] y)"
        '{ y = com.microsoft.CDist <metric = "euclidean"> (x, w) }',
        halves=False,
    ),
    "one more axis": Fused(
        "(float[4,3] x) => (float[4,1,3] y) <int32 a = {1}> { y = com.microsoft.ExpandDims (x, a) }",
        halves=False,
    ),
}
