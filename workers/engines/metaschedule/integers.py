"""Products and convolutions of quantized numbers, computed as integers.

What reaches the engine of a quantized model is DequantizeLinear, the operator in floats, QuantizeLinear.
Where both operands are bytes the same sums are had of the bytes themselves: exact, of 32 bits, with one
multiplication by both scales at the end, and several of them in an instruction. One of them is constant, but
for attention's products, where both are computed.

Bytes are stored as one of the target's :mod:`.dot_products` multiplies them, by the kernel that rounds to
them, so that none converts them again for each of its sums: in 16 bits less their zero point; or as bytes,
of the sign that the instruction takes. Then what the zero point adds to each sum is a constant, which is
taken off; where both operands are computed, it is sums of what they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from tvm import relax
from tvm.ir import GenericConst, IRModule
from tvm.target import Target

from workers.enginekit.integers import MOST_SUMMED
from workers.engines.metaschedule.dot_products import DotProduct, dot_products_of
from workers.engines.metaschedule.layouts.tensors import constant_of, dtype_of, is_call, shape_of, values_of
from workers.engines.metaschedule.products import as_many_matrices, fitting, multiplied, multiplied_computed

__all__ = ["with_integer_products"]

_BYTES = ("int8", "uint8")


def with_integer_products(module: IRModule, target: Target) -> IRModule:
    """Return a model whose products and convolutions of quantized numbers are those of integers.

    Parameters
    ----------
    module : IRModule
        As imported.
    target : Target
        Without an instruction for it everything stays in floats, which is faster then.
    """
    dots = dot_products_of(target)
    if not dots:
        return module
    found = _Found(module, dots)
    if not found.products:
        return module
    rewrite = _Integers(module, found)
    rewrite.builder_.update_func(module.get_global_var("main"), rewrite.visit_expr(module["main"]))
    return relax.transform.DeadCodeElimination()(rewrite.builder_.finalize())


@dataclass(frozen=True)
class _Bytes:
    """A tensor of the model that is bytes, less a zero point, times a scale.

    Attributes
    ----------
    source : relax.Expr
        The bytes; or 32-bit integers that are bytes less a zero point.
    zero : int
    scale : float or None
        None where the operator itself is of integers.
    """

    source: relax.Expr
    zero: int
    scale: float | None


@dataclass(frozen=True)
class _Weights:
    """Constant bytes less their zero point.

    Attributes
    ----------
    value : numpy.ndarray of int16
    scales : numpy.ndarray of float32 or None
        One, or one for each of the operator's outputs.
    """

    value: np.ndarray
    scales: np.ndarray | None


@dataclass(frozen=True)
class _Product:
    """A product or a convolution of bytes with constant ones, and the instruction for it."""

    data: _Bytes
    weights: _Weights
    dot: DotProduct

    @property
    def dequantized(self) -> bool:
        """Whether the operator is of floats."""
        return self.data.scale is not None

    @property
    def stored(self) -> tuple[_Stored, ...]:
        """What it reads of bytes that the model computes."""
        return (_Stored(self.data.source, self.data.zero, self.dot.data),)


@dataclass(frozen=True)
class _ProductOfTwo:
    """A product of computed bytes, as many matrices on both sides, and the instruction for it."""

    left: _Bytes
    right: _Bytes
    dot: DotProduct

    @property
    def stored(self) -> tuple[_Stored, _Stored]:
        """What it reads: rows, and what they are multiplied with."""
        return (
            _Stored(self.left.source, self.left.zero, self.dot.data),
            _Stored(self.right.source, self.right.zero, self.dot.weights),
        )

    @property
    def dequantized(self) -> bool:
        """Whether the operator is of floats."""
        return self.left.scale is not None

    @property
    def scale(self) -> np.float32:
        """Of its sums."""
        return np.float32(self.left.scale or 0) * np.float32(self.right.scale or 0)


class _Stored(NamedTuple):
    """Bytes of the model as numbers that an instruction takes.

    Attributes
    ----------
    source : relax.Expr
    zero : int
        The zero point of the model.
    dtype : str
    """

    source: relax.Expr
    zero: int
    dtype: str

    @property
    def less(self) -> int:
        """What is taken off the model's bytes: their zero point, or what makes them signed or unsigned."""
        had = dtype_of(self.source)
        if self.dtype == "int16":
            return self.zero
        return 0 if had == self.dtype else 128 if had == "uint8" else -128

    @property
    def stands_for_zero(self) -> int:
        """The number that stands for 0."""
        return self.zero - self.less


class _Found:
    """What of a model is computed as integers.

    Attributes
    ----------
    products : dict of relax.Var to _Product or _ProductOfTwo
        By the variable of the result.
    stored : dict of (relax.Expr, int) to _Stored
        What is read by them, by the bytes and their zero point.
    """

    def __init__(self, module: IRModule, dots: tuple[DotProduct, ...]) -> None:
        self._dots = dots
        self._values = values_of(module)
        self.products: dict[relax.Var, _Product | _ProductOfTwo] = dict(self._products())
        self.products |= {var: found for var, found in self._of_two() if var not in self.products}
        self.stored: dict[tuple[relax.Expr, int], _Stored] = {}
        for product in self.products.values():
            if product.dequantized:
                for stored in product.stored:
                    self.stored.setdefault((stored.source, stored.zero), stored)

    def made_by(self, source: relax.Expr) -> relax.Call | None:
        """Return the QuantizeLinear that makes bytes."""
        value = self._values.get(source)
        return value if value is not None and is_call(value, "relax.quantize") else None

    def read(self, call: relax.Expr) -> _Bytes | None:
        """Return what a DequantizeLinear of one scale reads."""
        if not is_call(call, "relax.dequantize") or dtype_of(call) != "float32":
            return None
        source, scale, zero = call.args[0], constant_of(call.args[1]), constant_of(call.args[2])
        if dtype_of(source) not in _BYTES or isinstance(source, GenericConst):
            return None
        if scale is None or zero is None or scale.size != 1 or zero.size != 1:
            return None
        return _Bytes(source, int(zero.item()), float(scale.item()))

    def _products(self) -> Iterator[tuple[relax.Var, _Product]]:
        for var, call in self._values.items():
            if is_call(call, "relax.nn.conv2d"):
                axis, summed = 0, slice(1, None)
                layouts = (call.attrs.data_layout, call.attrs.kernel_layout, call.attrs.out_layout)
                if layouts != ("NCHW", "OIHW", "NCHW"):
                    continue
            elif is_call(call, "relax.matmul"):
                axis, summed = 1, slice(0, 1)
                if len(shape_of(call.args[1]) or ()) != 2 or len(shape_of(call.args[0]) or ()) < 2:
                    continue
            else:
                continue
            data, weights = self._data(call.args[0]), self._weights(call.args[1], axis)
            if data is None or weights is None or shape_of(call) is None:
                continue
            if (data.scale is None) != (weights.scales is None):
                continue
            terms = int(np.prod(weights.value.shape[summed]))
            dots = fitting(self._dots, call) if axis == 1 else _of_vectors(self._dots)
            dot = next((dot for dot in dots if _fits(dot, data, weights, terms, of_rows=axis == 1)), None)
            if dot is not None:
                yield var, _Product(data, weights, dot)

    def _of_two(self) -> Iterator[tuple[relax.Var, _ProductOfTwo]]:
        named = [dot for dot in self._dots if dot.name]
        for var, call in self._values.items():
            if not named or not is_call(call, "relax.matmul") or not as_many_matrices(call):
                continue
            if (shape_of(call.args[1]) or ())[-2] > MOST_SUMMED:
                continue
            left, right = map(self._data, call.args)
            if left is None or right is None or (left.scale is None) != (right.scale is None):
                continue
            # What is less than a computed zero point is no byte.
            dots = named if left.scale is not None else [dot for dot in named if dot.weights == "int16"]
            dot = next(fitting(dots, call), None)
            if dot is not None:
                yield var, _ProductOfTwo(left, right, dot)

    def _data(self, arg: relax.Expr) -> _Bytes | None:
        value = self._values.get(arg)
        if value is None or dtype_of(arg) == "float32":
            return None if value is None else self.read(value)
        # Of a dynamic one: bytes in 32 bits, less a zero point that is computed.
        parts = list(value.args) if is_call(value, "relax.subtract") else [arg]
        return _Bytes(arg, 0, None) if all(map(self._widened, parts)) else None

    def _widened(self, arg: relax.Expr) -> bool:
        """Say whether integers were bytes."""
        value = self._values.get(arg)
        if value is not None and is_call(value, "relax.astype"):
            return dtype_of(arg) == "int32" and dtype_of(value.args[0]) in _BYTES
        constant = constant_of(arg)
        return constant is not None and constant.dtype.kind in "iu" and _is_byte(constant)

    def _weights(self, arg: relax.Expr, axis: int) -> _Weights | None:
        """Return constant bytes, with what scales them along an axis."""
        value = self._values.get(arg, arg)
        whole = constant_of(value)
        if whole is not None:
            small = whole.dtype.kind in "iu" and whole.size and np.abs(whole.astype("int64")).max() <= 255
            return _Weights(whole.astype("int16"), None) if small else None
        if is_call(value, "relax.permute_dims"):
            found = self._weights(value.args[0], 1 - axis) if value.ty.ndim == 2 else None
            turned = value.attrs.axes is None or [int(one) for one in value.attrs.axes] == [1, 0]
            return None if found is None or not turned else _Weights(found.value.T, found.scales)
        if not is_call(value, "relax.dequantize") or dtype_of(value) != "float32":
            return None
        parts = [constant_of(part) for part in value.args]
        if any(part is None for part in parts):
            return None
        whole, scales, zero = (np.asarray(part) for part in parts)
        if whole.dtype.name not in _BYTES:
            return None
        if max(scales.size, zero.size) > 1 and int(value.attrs.axis) % whole.ndim != axis:
            return None
        dims = [1] * whole.ndim
        if zero.size > 1:
            dims[axis] = zero.size
        less = whole.astype("int16") - zero.astype("int16").reshape(dims)
        return _Weights(less, scales.astype("float32").reshape(-1))


def _fits(dot: DotProduct, data: _Bytes, weights: _Weights, terms: int, *, of_rows: bool) -> bool:
    """Say whether an instruction computes a product of so many terms.

    Of rows those are filled up to whole groups, where it is called by its name.
    """
    if terms > MOST_SUMMED or (of_rows and not dot.name and terms % dot.factor):
        return False
    if dot.weights == "int16":
        return True
    # What is less than a computed zero point is no byte.
    return data.scale is not None and bool(np.all(np.abs(weights.value + 0.5) < 128))


def _of_vectors(dots: Iterable[DotProduct]) -> Iterator[DotProduct]:
    """Yield those instructions that convolutions are made of."""
    yield from (dot for dot in dots if not dot.of_tiles)


def _is_byte(value: np.ndarray) -> bool:
    return bool(value.size) and int(value.min()) >= -128 and int(value.max()) <= 255


@relax.expr_functor.mutator
class _Integers(relax.expr_functor.PyExprMutator):  # type: ignore[misc]
    def __init__(self, module: IRModule, found: _Found) -> None:
        super().__init__(module)
        self._found = found
        self._made: dict[_Stored, relax.Expr] = {}

    def visit_var_binding_(self, binding: relax.VarBinding) -> None:
        """Emit a product as one of integers; what else reads the same bytes reads what that reads."""
        product = self._found.products.get(binding.var)
        read = self._found.read(binding.value)
        if isinstance(product, _ProductOfTwo):
            binding = relax.VarBinding(binding.var, self._of_two(binding.value, product))
        elif product is not None:
            binding = relax.VarBinding(binding.var, self._computed(binding.value, product))
        elif read is not None and (read.source, read.zero) in self._found.stored:
            stored = self._found.stored[read.source, read.zero]
            zero = relax.const(stored.stands_for_zero, stored.dtype)
            scale = relax.const(np.float32(read.scale or 0))
            made = relax.op.dequantize(self._stored(stored), scale, zero, axis=0, out_dtype="float32")
            binding = relax.VarBinding(binding.var, made)
        super().visit_var_binding_(binding)

    def _stored(self, wanted: _Stored) -> relax.Expr:
        if wanted not in self._made and (rounded := self._rounded(wanted)) is not None:
            self._made[wanted] = self.builder_.emit(rounded)
        if wanted not in self._made:
            emit, made = self.builder_.emit, self.visit_expr(wanted.source)
            if wanted.less:
                made = emit(relax.op.astype(made, "int16"))
                # A list of one, for a number would be part of the kernel: see `scales.py`.
                less = np.full([1] * len(shape_of(wanted.source) or ()), wanted.less, "int16")
                made = emit(relax.op.subtract(made, relax.const(less)))
            if dtype_of(made) != wanted.dtype:
                made = emit(relax.op.astype(made, wanted.dtype))
            self._made[wanted] = made
        return self._made[wanted]

    def _rounded(self, wanted: _Stored) -> relax.Expr | None:
        """Round to bytes of the other sign at once; None where they come from anything else."""
        call = self._found.made_by(wanted.source)
        zero = None if call is None else constant_of(call.args[2])
        if call is None or zero is None or zero.size != 1 or not wanted.less or wanted.dtype not in _BYTES:
            return None
        data, scale = map(self.visit_expr, call.args[:2])
        other = relax.const(int(zero.item()) - wanted.less, wanted.dtype)
        return relax.op.quantize(data, scale, other, axis=int(call.attrs.axis), out_dtype=wanted.dtype)

    def _computed(self, call: relax.Call, product: _Product) -> relax.Expr:
        (stored,), scales = product.stored, product.weights.scales
        weights = np.ascontiguousarray(product.weights.value.astype(product.dot.weights))
        data, zero = self._stored(stored), stored.stands_for_zero
        rank = len(shape_of(call) or ())
        dims = [1] * rank
        summed: tuple[int, ...]
        if is_call(call, "relax.nn.conv2d"):
            axis, summed = 1, (1, 2, 3)
            made = self._convolved(call, data, weights, zero)
        else:
            axis, summed = rank - 1, (0,)
            if product.dot.name:
                made = multiplied(self.builder_, data, weights, product.dot, "integer_matmul")
            else:
                made = relax.op.matmul(data, relax.const(weights), out_dtype="int32")
        dims[axis] = -1
        if zero:
            more = zero * product.weights.value.sum(axis=summed, dtype="int32").reshape(dims)
            made = relax.op.subtract(self.builder_.emit(made), relax.const(more))
        if scales is None or product.data.scale is None:
            return made
        whole = self.builder_.emit(relax.op.astype(self.builder_.emit(made), "float32"))
        both = (scales * np.float32(product.data.scale)).astype("float32")
        return relax.op.multiply(whole, relax.const(both.reshape(dims)))

    def _of_two(self, call: relax.Call, product: _ProductOfTwo) -> relax.Expr:
        """Multiply two computed matrices, and take off what their zero points add."""
        emit, (left, right) = self.builder_.emit, product.stored
        rows, columns = self._stored(left), self._stored(right)
        made = multiplied_computed(self.builder_, rows, columns, product.dot, "integer_matmul")
        if not product.dequantized:
            return made
        ones = [1] * len(shape_of(call) or ())

        def times(sums: relax.Expr, axis: int, zero: int) -> relax.Expr:
            whole = emit(relax.op.sum(emit(relax.op.astype(sums, "int32")), axis=[axis], keepdims=True))
            return emit(relax.op.multiply(whole, relax.const(np.full(ones, zero, "int32"))))

        of_left, of_right = left.stands_for_zero, right.stands_for_zero
        if of_left:
            made = relax.op.subtract(emit(made), times(columns, -2, of_left))
        if of_right:
            made = relax.op.subtract(emit(made), times(rows, -1, of_right))
        if of_left and of_right:
            terms = (shape_of(call.args[1]) or ())[-2]
            made = relax.op.add(emit(made), relax.const(np.full(ones, terms * of_left * of_right, "int32")))
        whole = emit(relax.op.astype(emit(made), "float32"))
        return relax.op.multiply(whole, relax.const(np.full(ones, product.scale, "float32")))

    def _convolved(self, call: relax.Call, data: relax.Expr, kernel: np.ndarray, zero: int) -> relax.Expr:
        attrs = call.attrs
        padding = [int(size) for size in attrs.padding]
        if zero and any(padding):
            # A convolution's own padding is with the number 0.
            top, left, bottom, right = padding
            around = [0, 0, 0, 0, top, bottom, left, right]
            data, padding = self.builder_.emit(relax.op.nn.pad(data, around, pad_value=zero)), [0, 0, 0, 0]
        return relax.op.nn.conv2d(
            data,
            relax.const(kernel),
            strides=list(attrs.strides),
            padding=padding,
            dilation=list(attrs.dilation),
            groups=int(attrs.groups),
            data_layout=attrs.data_layout,
            kernel_layout=attrs.kernel_layout,
            out_layout=attrs.out_layout,
            out_dtype="int32",
        )
