"""Small quantized models, as tools write them: one for each operator and form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx
import onnx.parser
from onnx import helper, numpy_helper

__all__ = ["QUANTIZED", "Quantized"]

_KINDS = ("DequantizeLinear", "QuantizeLinear")


@dataclass(frozen=True)
class Quantized:
    """A model as text.

    Attributes
    ----------
    text : str
        Inputs whose names begin with ``w`` become constants: integers of their type's whole range, floats
        from 0.01 to 0.03, as scales are.
    keeps : tuple of str
        Operators on quantized numbers that a prepared model may hold.
    unknown : bool
        onnxruntime has no kernel of it for CPUs.
    bounds : mapping of str to (int, int)
        Limits of integer constants that not all of their type are valid for.
    """

    text: str
    opset: int = 17
    keeps: tuple[str, ...] = _KINDS
    unknown: bool = False
    bounds: Mapping[str, tuple[int, int]] | None = None

    def model(self) -> onnx.ModelProto:
        """Return it."""
        head = f'<ir_version: 10, opset_import: ["" : {self.opset}, "com.microsoft": 1]>'
        model = onnx.parser.parse_model(f"{head}\nquantized {self.text}")
        random = np.random.default_rng(7)
        kept = []
        for value in model.graph.input:
            if not value.name.startswith("w"):
                kept.append(onnx.ValueInfoProto.FromString(value.SerializeToString()))
                continue
            kind = value.type.tensor_type
            shape = [dim.dim_value for dim in kind.shape.dim]
            dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type)
            if dtype.kind == "f":
                values = random.uniform(0.01, 0.03, shape).astype(dtype)
            elif kind.elem_type in (onnx.TensorProto.INT4, onnx.TensorProto.UINT4):
                low = -8 if kind.elem_type == onnx.TensorProto.INT4 else 0
                values = random.integers(low, low + 16, shape).astype(dtype)
            else:
                least, largest = (self.bounds or {}).get(
                    value.name, (max(np.iinfo(dtype).min, -1000), min(np.iinfo(dtype).max, 1000))
                )
                values = random.integers(least, largest + 1, shape).astype(dtype)
            model.graph.initializer.append(numpy_helper.from_array(values, value.name))
        del model.graph.input[:]
        model.graph.input.extend(kept)
        return model


def _between(
    shape: str, operator: str, out: str = "", *, more: str = "", kind: str = "uint8", opset: int = 17
) -> Quantized:
    """An operator on quantized numbers, between floats: a, b and y have scales and zero points."""
    zeros = {"uint8": (118, 131, 125), "int8": (-7, 5, 0)}[kind]
    scales = ", ".join(
        f"float s{name} = {{{scale}}}, {kind} z{name} = {{{zero}}}"
        for name, scale, zero in zip("aby", (0.01, 0.007, 0.02), zeros, strict=True)
    )
    return Quantized(
        f"(float[{shape}] x{more}) => (float[{out or shape}] out) <{scales}>"
        "{ a = QuantizeLinear (x, sa, za) h = Neg (x) b = QuantizeLinear (h, sb, zb)"
        f" y = {operator} out = DequantizeLinear (y, sy, zy) }}",
        opset,
    )


_MS = "com.microsoft"
_IMAGE = "1,4,6,6"
_A, _B, _Y = "a, sa, za", "b, sb, zb", "sy, zy"


def _convolution(
    attributes: str, weights: str, scales: str, zeros: str, kind: str, bias: str = ""
) -> Quantized:
    given = f"{_A}, w, ws, {zeros}, {_Y}{', wb' if bias else ''}"
    one = _between(
        _IMAGE,
        f"QLinearConv <{attributes}> ({given})",
        "1,8,6,6",
        more=f", {kind}[{weights}] w, float[{scales}] ws{bias}",
    )
    zero = "" if zeros.startswith("w") else f", {kind} zw = {{{0 if kind == 'int8' else 130}}}"
    return Quantized(one.text.replace("zy = {125}>", f"zy = {{125}}{zero}>"), one.opset)


def _packed(bits: int, width: int, block: int, more: str = "", given: str = "", opset: int = 17) -> Quantized:
    blocks = -(-width // block)
    head = f"K = {width}, N = 6, bits = {bits}, block_size = {block}, accuracy_level = 4"
    return Quantized(
        f"(float[2,3,{width}] x, uint8[6,{blocks},{block * bits // 8}] w, float[{6 * blocks}] ws{more})"
        f" => (float[2,3,6] y) {{ y = {_MS}.MatMulNBits <{head}> (x, w, ws{given}) }}",
        opset,
        keeps=(),
        bounds={"wg": (0, blocks - 1)},
    )


def _blocked(
    axis: int, kind: str, zeros: bool, shape: str = "64,6", scales: str = "4,6", block: int = 16
) -> Quantized:
    zero = f", {kind}[{scales}] wz" if zeros else ""
    return Quantized(
        f"(float[2,64] x, {kind}[{shape}] w, float[{scales}] ws{zero}) => (float[2,6] y)"
        f"{{ f = DequantizeLinear <axis = {axis}, block_size = {block}> (w, ws{', wz' if zeros else ''})"
        " y = MatMul (x, f) }",
        21,
        keeps=(),
    )


_PADS = "pads = [1, 1, 1, 1]"

QUANTIZED: Mapping[str, Quantized] = {
    # -- the operator form
    "a convolution": _convolution(_PADS, "8,4,3,3", "1", "zw", "int8"),
    "a convolution, each channel by itself": _convolution(
        _PADS, "8,4,3,3", "8", "wz", "int8", ", int8[8] wz, int32[8] wb"
    ),
    "a convolution, each channel in its group": _convolution(
        f"group = 4, {_PADS}", "8,1,3,3", "8", "zw", "uint8", ", int32[8] wb"
    ),
    "a product": Quantized(
        "(float[3,8] x, int8[8,5] w, float ws) => (float[3,5] out) <float sa = {0.01}, uint8 za = {118},"
        " int8 zw = {3}, float sy = {0.05}, uint8 zy = {120}>"
        "{ a = QuantizeLinear (x, sa, za) y = QLinearMatMul (a, sa, za, w, ws, zw, sy, zy)"
        " out = DequantizeLinear (y, sy, zy) }"
    ),
    "a product, each column by itself": Quantized(
        "(float[2,3,8] x, int8[8,5] w, float[5] ws, int8[5] wz) => (uint8[2,3,5] y) <float sa = {0.01},"
        " uint8 za = {118}, float sy = {0.05}, uint8 zy = {120}>"
        "{ a = QuantizeLinear (x, sa, za) y = QLinearMatMul (a, sa, za, w, ws, wz, sy, zy) }"
    ),
    "a sum": _between("3,8", f"{_MS}.QLinearAdd ({_A}, {_B}, {_Y})"),
    "a sum of signed numbers": _between("3,8", f"{_MS}.QLinearAdd ({_A}, {_B}, {_Y})", kind="int8"),
    "an elementwise product": _between("3,8", f"{_MS}.QLinearMul ({_A}, {_B}, {_Y})"),
    "a sigmoid": _between("3,8", f"{_MS}.QLinearSigmoid ({_A}, {_Y})"),
    "a leaky function": _between("3,8", f"{_MS}.QLinearLeakyRelu <alpha = 0.2> ({_A}, {_Y})"),
    "an average": _between(
        _IMAGE, f"{_MS}.QLinearAveragePool <kernel_shape = [3, 3], {_PADS}> ({_A}, {_Y})", _IMAGE
    ),
    "an average over all": _between(_IMAGE, f"{_MS}.QLinearGlobalAveragePool ({_A}, {_Y})", "1,4,1,1"),
    "a mean": replace(
        _between("2,3,8", f"{_MS}.QLinearReduceMean <axes = [-1], keepdims = 0> ({_A}, {_Y})", "2,3"),
        unknown=True,
    ),
    "a concatenation": _between("3,8", f"{_MS}.QLinearConcat <axis = 1> ({_Y}, {_A}, {_B})", "3,16"),
    "a softmax": _between("2,3,8", f"{_MS}.QLinearSoftmax <axis = -1, opset = 13> ({_A}, {_Y})"),
    "a softmax of old": _between("2,3,8", f"{_MS}.QLinearSoftmax <axis = 1, opset = 11> ({_A}, {_Y})"),
    "a choice": Quantized(
        "(float[3,8] x) => (float[3,8] out) <float sa = {0.01}, uint8 za = {118}, float sb = {0.007},"
        " uint8 zb = {131}, float sy = {0.02}, uint8 zy = {125}, float zero = {0}>"
        "{ a = QuantizeLinear (x, sa, za) h = Neg (x) b = QuantizeLinear (h, sb, zb) c = Greater (x, zero)"
        f" y = {_MS}.QLinearWhere (c, {_A}, {_B}, {_Y}) out = DequantizeLinear (y, sy, zy) }}"
    ),
    "a layer": Quantized(
        "(float[3,8] x, int8[5,8] w, float[5] ws, int8[5] wz, int32[5] wb) => (float[3,5] out)"
        " <float sa = {0.01}, uint8 za = {118}, float sy = {0.05}, uint8 zy = {120}>"
        f"{{ a = QuantizeLinear (x, sa, za) y = {_MS}.QGemm <transB = 1> (a, sa, za, w, ws, wz, wb, sy, zy)"
        " out = DequantizeLinear (y, sy, zy) }"
    ),
    "a layer that ends in floats": Quantized(
        "(float[3,8] x, int8[8,5] w, float ws, int32[5] wb) => (float[3,5] y) <float sa = {0.01},"
        " uint8 za = {118}, int8 zw = {0}>"
        f"{{ a = QuantizeLinear (x, sa, za) y = {_MS}.QGemm <alpha = 0.5> (a, sa, za, w, ws, zw, wb) }}"
    ),
    "channels last": Quantized(
        "(float[1,6,6,4] x, int8[8,4,3,3] w, float[8] ws, int8[8] wz, int32[8] wb) => (float[1,6,6,8] out)"
        " <float sa = {0.01}, uint8 za = {118}, float sy = {0.05}, uint8 zy = {120}>"
        f"{{ a = QuantizeLinear (x, sa, za) y = {_MS}.QLinearConv <channels_last = 1, {_PADS}>"
        " (a, sa, za, w, ws, wz, sy, zy, wb) out = DequantizeLinear (y, sy, zy) }",
        bounds={"wz": (0, 0)},
    ),
    # -- as it comes
    "a product of integers": Quantized(
        "(float[3,700] x, uint8[700,5] w) => (int32[3,5] y)"
        " <float sa = {0.004}, uint8 za = {1}, uint8 zw = {2}>"
        "{ o = Abs (x) a = QuantizeLinear (o, sa, za) y = MatMulInteger (a, w, za, zw) }",
    ),
    "a product of two computed matrices of integers": Quantized(
        "(float[2,9,33] x) => (float[2,9,9] y) { e = Exp (x) o = Transpose <perm = [0, 2, 1]> (e)"
        " q, s, z = DynamicQuantizeLinear (x) r, t, v = DynamicQuantizeLinear (o)"
        " i = MatMulInteger (q, r, z, v) f = Cast <to = 1> (i) m = Mul (s, t) y = Mul (f, m) }",
        keeps=("QuantizeLinear",),
    ),
    "a convolution of integers": Quantized(
        "(float[1,80,5,5] x, uint8[6,80,3,3] w) => (int32[1,6,5,5] y) <float sa = {0.004}, uint8 za = {1},"
        " uint8 zw = {2}>"
        f"{{ o = Abs (x) a = QuantizeLinear (o, sa, za) y = ConvInteger <{_PADS}> (a, w, za, zw) }}",
        keeps=(*_KINDS, "ConvInteger"),
    ),
    "a row of integers": Quantized(
        "(float[1,4,9] x, uint8[6,4,3] w) => (int32[1,6,9] y) <float sa = {0.004}, uint8 za = {1}>"
        '{ o = Abs (x) a = QuantizeLinear (o, sa, za) y = ConvInteger <auto_pad = "SAME_UPPER"> (a, w, za) }',
        keeps=(*_KINDS, "ConvInteger"),
    ),
    "quantized as it comes": Quantized(
        "(float[3,8] x, int8[8,5] w, float[5] ws) => (float[3,5] y)"
        "{ q, s, z = DynamicQuantizeLinear (x) i = MatMulInteger (q, w, z) f = Cast <to = 1> (i)"
        " m = Mul (s, ws) y = Mul (f, m) }",
        keeps=("QuantizeLinear",),
    ),
    "quantized as it comes, in one": Quantized(
        "(float[3,8] x, int8[8,5] w, float[5] ws, int8[5] wz, float[5] wb) => (float[3,5] y)"
        f"{{ y = {_MS}.DynamicQuantizeMatMul (x, w, ws, wz, wb) }}",
        keeps=("QuantizeLinear",),
    ),
    "integers, to floats": Quantized(
        "(float[3,8] x, int8[8,5] w, float ws, int8 wz, float[5] wb) => (float[3,5] y)"
        "{ q, s, z = DynamicQuantizeLinear (x)"
        f" y = {_MS}.MatMulIntegerToFloat (q, w, s, ws, z, wz, wb) }}",
        keeps=("QuantizeLinear",),
    ),
    "attention": Quantized(
        "(float[1,5,8] x, int8[8,24] w, float ws, float[24] wb, int32[1,5] m) => (float[1,5,8] y)"
        " <int8 zw = {0}>"
        "{ q, s, z = DynamicQuantizeLinear (x)"
        f" y = {_MS}.QAttention <num_heads = 2> (q, w, wb, s, ws, m, z, zw) }}",
    ),
    "a recurrent layer": Quantized(
        "(float[2,1,8] x, int8[1,8,24] w, int8[1,6,24] wr, float[1,48] wb, float[1] ws, int8[1] wz,"
        " float[1] wrs, int8[1] wrz) => (float[2,1,1,6] y, float[1,1,6] h, float[1,1,6] c)"
        f"{{ y, h, c = {_MS}.DynamicQuantizeLSTM <hidden_size = 6>"
        ' (x, w, wr, wb, "", "", "", "", ws, wz, wrs, wrz) }',
        keeps=("QuantizeLinear",),
    ),
    "a recurrent layer, both ways": Quantized(
        "(float[2,2,8] x, float[2,2,6] h0, float[2,2,6] c0, int8[2,8,24] w, int8[2,6,24] wr, float[2,48] wb,"
        " float[2,24] ws, int8[2,24] wz, float[2,24] wrs, int8[2,24] wrz)"
        " => (float[2,2,2,6] y, float[2,2,6] h, float[2,2,6] c)"
        f'{{ y, h, c = {_MS}.DynamicQuantizeLSTM <hidden_size = 6, direction = "bidirectional">'
        ' (x, w, wr, wb, "", h0, c0, "", ws, wz, wrs, wrz) }',
        keeps=("QuantizeLinear",),
        bounds={"wz": (3, 3), "wrz": (-2, -2)},
    ),
    # -- weights alone
    "packed in 4 bits": _packed(4, 64, 16),
    "packed in 4 bits, with zero points": _packed(4, 64, 32, ", uint8[6] wz", ", wz"),
    "packed in 4 bits, with zero points of a float": _packed(4, 64, 16, ", float[24] wz", ", wz"),
    "packed in 4 bits, in groups": _packed(4, 64, 16, ", int32[64] wg", ', "", wg'),
    "packed in 4 bits, with a bias": _packed(4, 64, 16, ", float[6] wb", ', "", "", wb'),
    "packed in 4 bits, the last block not full": _packed(4, 40, 16, ", uint8[12] wz", ", wz"),
    "packed in 2 bits": _packed(2, 64, 16, ", uint8[6] wz", ", wz"),
    "packed in 8 bits": _packed(8, 64, 32, ", uint8[12] wz", ", wz"),
    "a table in 4 bits": Quantized(
        "(int64[3] x, uint4[6,32] w, float[6,2] ws, uint4[6,2] wz) => (float[3,32] y)"
        f"{{ y = {_MS}.GatherBlockQuantized <block_size = 16, quantize_axis = 1> (w, x, ws, wz) }}",
        21,
        keeps=(),
    ),
    "blocks of int4": _blocked(0, "int4", zeros=False),
    "blocks of uint4 with zero points": _blocked(0, "uint4", zeros=True),
    "blocks of int8": _blocked(0, "int8", zeros=True),
    "blocks along the last axis, the last not full": _blocked(
        1, "int4", zeros=True, shape="64,6", scales="64,2", block=4
    ),
    "int4 for each channel": Quantized(
        "(float[2,8] x, int4[8,6] w, float[6] ws, int4[6] wz) => (float[2,6] y)"
        "{ f = DequantizeLinear <axis = 1> (w, ws, wz) y = MatMul (x, f) }",
        21,
        keeps=(),
    ),
    "activations in blocks": Quantized(
        "(float[2,8] x, float[2,2] ws) => (float[2,8] y)"
        "{ q = QuantizeLinear <axis = 1, block_size = 4, output_dtype = 3> (x, ws)"
        " y = DequantizeLinear <axis = 1, block_size = 4> (q, ws) }",
        21,
        keeps=(),
    ),
    "activations in 4 bits": Quantized(
        "(float[2,8] x) => (float[2,8] y) <float s = {0.1}, uint4 z = {7}>"
        "{ q = QuantizeLinear (x, s, z) y = DequantizeLinear (q, s, z) }",
        21,
        keeps=(),
    ),
    # -- between operators in floats
    "between floats": Quantized(
        "(float[1,4,6,6] x, int8[8,4,3,3] w, float[8] ws, int8[8] wz, int32[8] wb) => (float[1,8,6,6] y)"
        " <float sa = {0.01}, uint8 za = {118}, float sy = {0.05}, uint8 zy = {120},"
        " float[8] sb = {0.0002, 0.0001, 0.0003, 0.0002, 0.0001, 0.0004, 0.0002, 0.0003}>"
        "{ a = QuantizeLinear (x, sa, za) f = DequantizeLinear (a, sa, za)"
        " g = DequantizeLinear <axis = 0> (w, ws, wz) h = DequantizeLinear <axis = 0> (wb, sb)"
        f" c = Conv <{_PADS}> (f, g, h) q = QuantizeLinear (c, sy, zy) y = DequantizeLinear (q, sy, zy) }}"
    ),
    "between floats, of 16 bits": Quantized(
        "(float[3,8] x) => (float[3,8] y) <float s = {0.00005}, uint16 z = {32000}>"
        "{ q = QuantizeLinear (x, s, z) y = DequantizeLinear (q, s, z) }",
        21,
    ),
    "between floats, of 16 bits, before the standard had them": Quantized(
        "(float[3,8] x) => (float[3,8] y) <float s = {0.00005}, int16 z = {-20}>"
        f"{{ q = {_MS}.QuantizeLinear (x, s, z) y = {_MS}.DequantizeLinear (q, s, z) }}",
        keeps=(),
    ),
    "between floats, each channel by itself": Quantized(
        "(float[2,3,4] x, float[3] ws, int8[3] wz) => (int8[2,3,4] y)"
        "{ y = QuantizeLinear <axis = -2> (x, ws, wz) }"
    ),
    "between halves": Quantized(
        "(float16[2,8] x, float16 ws) => (float16[2,8] y) <uint8 z = {120}>"
        "{ q = QuantizeLinear (x, ws, z) y = DequantizeLinear (q, ws, z) }",
        19,
    ),
    "between halves, before the standard had them": Quantized(
        "(float16[2,8] x, float16 ws) => (float16[2,8] y) <uint8 z = {120}>"
        f"{{ q = {_MS}.QuantizeLinear (x, ws, z) y = {_MS}.DequantizeLinear (q, ws, z) }}"
    ),
    "between halves, before the standard had them, by a scale that is computed": Quantized(
        "(float16[2,8] x, float16 t) => (float16[2,8] y) <uint8 z = {120}>"
        f"{{ s = Exp (t) q = {_MS}.QuantizeLinear (x, s, z) y = {_MS}.DequantizeLinear (q, s, z) }}",
    ),
}
