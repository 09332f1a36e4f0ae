"""What operators do on an image that is seen in another order."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from tvm import relax
from tvm.ir import GenericConst

from workers.engines.metaschedule.layouts.channels_first import signals
from workers.engines.metaschedule.layouts.channels_first.seen import Seen
from workers.engines.metaschedule.layouts.channels_first.shuffles import shuffled
from workers.engines.metaschedule.layouts.tensors import op_name, shape_of

if TYPE_CHECKING:
    from workers.engines.metaschedule.layouts.channels_first.images import Images

__all__ = ["order_of", "seen_of"]

_UNARY = (
    *("abs", "acos", "acosh", "asin", "asinh", "atan", "atanh", "bitwise_not", "ceil", "cos", "cosh", "erf"),
    *("exp", "floor", "isfinite", "isinf", "isnan", "log", "logical_not", "negative", "round", "rsqrt"),
    *("sigmoid", "sign", "sin", "sinh", "sqrt", "square", "tan", "tanh", "trunc", "clip", "astype"),
    *("nn.relu", "nn.relu6", "nn.leakyrelu", "nn.silu", "nn.gelu", "nn.gelu_tanh", "nn.selu", "nn.softplus"),
)
_BROADCAST = (
    *("add", "subtract", "multiply", "divide", "power", "maximum", "minimum", "mod", "floor_divide"),
    *("floor_mod", "equal", "not_equal", "greater", "greater_equal", "less", "less_equal", "logical_and"),
    *("logical_or", "logical_xor", "where"),
)
_REDUCTIONS = ("mean", "sum", "max", "min", "prod", "variance", "std")
_RESHAPES = ("relax.reshape", "relax.squeeze", "relax.expand_dims")

_Made: TypeAlias = "Seen | relax.Expr | None"


def seen_of(images: Images, call: relax.Call, var: relax.Var) -> _Made:
    """Return what a call makes, as a tensor that is seen in another order, or not; None if it stays as it is.

    Parameters
    ----------
    var : relax.Var
        Of the model, that is bound to it.
    """
    name = op_name(call)
    if name in signals.OPERATORS:
        return signals.OPERATORS[name](images, call)
    if name == "relax.permute_dims":
        return _permuted(images, call)
    if name in _RESHAPES:
        return _reshaped(images, call)
    short = name.removeprefix("relax.")
    if short in _BROADCAST:
        return _of_several(images, call, getattr(relax.op, short))
    if name == "relax.concat":
        return _concatenated(images, call)
    data = images.of(call.args[0]) if len(call.args) else None
    if data is None:
        return None
    if short in _UNARY or (name in ("relax.quantize", "relax.dequantize") and _alike(call)):
        made = relax.Call(call.op, [data.source, *map(images.visit_expr, call.args[1:])], call.attrs)
        return data.made(made, data.shape)
    if short in _REDUCTIONS:
        return _reduced(images, call, data)
    if name == "relax.matmul":
        order = order_of(call, call.args[0], data, shape_of(var) or ())
        return None if order is None or not images.comes_back(var, order) else _multiplied(images, call, data)
    return _OPERATORS[name](images, call, data) if name in _OPERATORS else None


def order_of(call: relax.Call, var: relax.Var, seen: Seen, shape: tuple[int, ...]) -> Seen | None:
    """Return how the result of an operator would be seen, as far as its shape says; None where it isn't.

    Parameters
    ----------
    var : relax.Var
        The operand that is seen.
    shape : tuple of int
        Of the result.
    """
    name = op_name(call)
    if name == "relax.permute_dims":
        return None if call.attrs.axes is None else seen.permuted([int(axis) for axis in call.attrs.axes])
    if name in _RESHAPES:
        return seen.reshaped(shape)
    if name == "relax.matmul":
        weights = shape_of(call.args[1])
        fits = isinstance(call.args[1], GenericConst) and weights is not None and len(weights) == 2
        return seen.made(seen.source, shape) if fits and seen.axes[-1] == (1,) else None
    kept = name.removeprefix("relax.") in {*_UNARY, *_BROADCAST} or name == "relax.nn.layer_norm"
    return seen if kept and shape == seen.shape else None


def _alike(call: relax.Call) -> bool:
    """Say whether all elements are quantized alike."""
    return all(np.prod(shape_of(arg) or (), dtype=int) == 1 for arg in call.args[1:])


def _permuted(images: Images, call: relax.Call) -> _Made:
    seen = images.image(call.args[0])
    if seen is None or call.attrs.axes is None:
        return None
    order = [int(axis) for axis in call.attrs.axes]
    # One that mixes the channels in between, or puts the batch elsewhere, isn't an image's.
    known = images.of(call.args[0]) is not None or order == [0, 2, 3, 1]
    return seen.permuted(order) if known else None


def _reshaped(images: Images, call: relax.Call) -> _Made:
    seen, shape = images.image(call.args[0]), shape_of(call)
    made = None if seen is None or shape is None else seen.reshaped(shape)
    return shuffled(images, call) if made is None else made


def _of_several(images: Images, call: relax.Call, made_by: Callable[..., relax.Expr]) -> _Made:
    shape = shape_of(call)
    known = [seen for seen in map(images.of, call.args) if seen is not None and seen.shape == shape]
    if not known:
        return None
    whole = known[0]
    sides: list[relax.Expr] = []
    for arg in call.args:
        side = images.meeting(whole, arg)
        if side is None:
            return None
        sides.append(side)
    return whole.made(made_by(*sides), whole.shape)


def _concatenated(images: Images, call: relax.Call) -> _Made:
    parts = list(call.args[0]) if isinstance(call.args[0], relax.Tuple) else []
    seen = [one for one in map(images.of, parts) if one is not None]
    shape = shape_of(call)
    if not parts or len(seen) < len(parts) or shape is None or call.attrs.axis is None:
        return None
    axis = int(call.attrs.axis) % len(shape)
    first = seen[0]
    place = first.place_of(axis)
    if place is None or any(one.axes != first.axes for one in seen):
        return None
    return first.made(relax.op.concat([one.source for one in seen], axis=place), shape)


def _reduced(images: Images, call: relax.Call, data: Seen) -> _Made:
    shape = shape_of(call)
    if call.attrs.axis is None or shape is None:
        return None
    over = sorted(int(axis) % len(data.shape) for axis in call.attrs.axis)
    axes = sorted(place for axis in over for place in data.axes[axis])
    if not axes:
        return None
    made = getattr(relax.op, call.op.name.removeprefix("relax."))(data.source, axis=axes, keepdims=True)
    sizes = tuple(1 if axis in axes else size for axis, size in enumerate(data.sizes))
    if call.attrs.keepdims:
        left = tuple(() if axis in over else places for axis, places in enumerate(data.axes))
    else:
        left = tuple(places for axis, places in enumerate(data.axes) if axis not in over)
    return Seen(made, sizes, shape, left)


def _normalized(images: Images, call: relax.Call, data: Seen) -> _Made:
    """Normalize over the channels."""
    attrs = call.attrs
    if [data.axes[int(axis) % len(data.shape)] for axis in attrs.axes] != [(1,)]:
        return None
    made = relax.op.nn.layer_norm(
        data.source,
        *map(images.visit_expr, call.args[1:]),
        axes=[1],
        epsilon=float(attrs.epsilon),
        center=bool(attrs.center),
        scale=bool(attrs.scale),
    )
    return data.made(made, data.shape)


def _multiplied(images: Images, call: relax.Call, data: Seen) -> _Made:
    """Multiply with constant weights over the channels: a convolution of 1x1."""
    value = call.args[1].value.numpy()
    kernel = np.ascontiguousarray(value.T[:, :, None, None])
    weights = relax.const(kernel, str(value.dtype))
    made = relax.op.nn.conv2d(data.source, weights, out_dtype=str(call.ty.dtype))
    return data.made(made, shape_of(call) or ())


def _padded(images: Images, call: relax.Call, data: Seen) -> _Made:
    shape, widths = shape_of(call), [int(width) for width in call.attrs.pad_width]
    laid = [0] * (2 * len(data.sizes))
    for axis in range(len(data.shape)):
        width, place = widths[2 * axis : 2 * axis + 2], data.place_of(axis)
        if any(width) and place is None:
            return None
        if place is not None:
            laid[2 * place : 2 * place + 2] = width
    if shape is None:
        return None
    made = relax.op.nn.pad(data.source, laid, str(call.attrs.pad_mode), float(call.attrs.pad_value))
    return data.made(made, shape)


def _sliced(images: Images, call: relax.Call, data: Seen) -> _Made:
    shape = shape_of(call)
    if shape is None or not all(isinstance(arg, relax.Tuple) for arg in call.args[1:]):
        return None
    places = [data.place_of(int(one.value) % len(data.shape)) for one in call.args[1]]
    if None in places:
        return None
    bounds = [[int(one.value) for one in arg] for arg in call.args[2:]]
    made = relax.op.strided_slice(
        data.source, places, *bounds, assume_inbound=bool(call.attrs.assume_inbound)
    )
    return data.made(made, shape)


_OPERATORS: dict[str, Callable[[Images, Any, Seen], _Made]] = {
    "relax.nn.layer_norm": _normalized,
    "relax.nn.pad": _padded,
    "relax.strided_slice": _sliced,
}
