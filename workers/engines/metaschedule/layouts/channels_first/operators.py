"""What operators do on an image that is seen in another order."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from tvm import relax
from tvm.ir import GenericConst

from workers.engines.metaschedule.layouts.channels_first import signals
from workers.engines.metaschedule.layouts.channels_first.seen import Seen, made_plain, reshaped
from workers.engines.metaschedule.layouts.tensors import dtype_of, is_call, shape_of

if TYPE_CHECKING:
    from workers.engines.metaschedule.layouts.channels_first.images import Images

__all__ = ["keeps_order", "seen_of"]

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

_Made = Seen | relax.Expr | None


def seen_of(images: Images, call: relax.Call, var: relax.Var) -> _Made:
    """Return what a call makes, as a tensor that is seen in another order, or not; None if it stays as it is.

    Parameters
    ----------
    var : relax.Var
        Of the model, that is bound to it.
    """
    name = str(getattr(call.op, "name", ""))
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
        return Seen(made, data.shape, data.axes)
    if name == "relax.matmul" and not images.comes_back(var):
        return None
    if short in _REDUCTIONS:
        return _reduced(images, call, data)
    return _OPERATORS[name](images, call, data) if name in _OPERATORS else None


def keeps_order(call: relax.Call) -> bool:
    """Say whether what an operator makes of a tensor in another order is in that order, most of the time."""
    name = str(getattr(call.op, "name", ""))
    return name.removeprefix("relax.") in {*_UNARY, *_BROADCAST} or name in {*_OPERATORS, "relax.concat"}


def _alike(call: relax.Call) -> bool:
    """Say whether all elements are quantized alike."""
    return all(np.prod(shape_of(arg) or (), dtype=int) == 1 for arg in call.args[1:])


def _permuted(images: Images, call: relax.Call) -> _Made:
    data, axes = call.args[0], call.attrs.axes
    seen, shape = images.image(data), shape_of(call)
    if seen is None or axes is None or shape is None:
        return None
    order = [int(axis) for axis in axes]
    made = Seen(seen.source, shape, tuple(seen.axes[axis] for axis in order))
    # One that mixes the channels in between, or puts the batch elsewhere, isn't an image's.
    return made if images.of(data) is not None or order == [0, 2, 3, 1] else None


def _reshaped(images: Images, call: relax.Call) -> _Made:
    seen, shape = images.image(call.args[0]), shape_of(call)
    return None if seen is None or shape is None else reshaped(seen, shape)


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
    return Seen(made_by(*sides), whole.shape, whole.axes)


def _concatenated(images: Images, call: relax.Call) -> _Made:
    parts = list(call.args[0]) if isinstance(call.args[0], relax.Tuple) else []
    seen = [one for one in map(images.of, parts) if one is not None]
    shape = shape_of(call)
    if not parts or len(seen) < len(parts) or shape is None or call.attrs.axis is None:
        return None
    axis = int(call.attrs.axis) % len(shape)
    axes = seen[0].axes
    if axes[axis] < 0 or -1 in axes or any(one.axes != axes for one in seen):
        return None
    return Seen(relax.op.concat([one.source for one in seen], axis=axes[axis]), shape, axes)


def _reduced(images: Images, call: relax.Call, data: Seen) -> _Made:
    shape = shape_of(call)
    if call.attrs.axis is None or shape is None:
        return None
    over = [int(axis) % len(data.shape) for axis in call.attrs.axis]
    axes = [data.axes[axis] for axis in over]
    if -1 in axes:
        return None
    made = getattr(relax.op, call.op.name.removeprefix("relax."))(data.source, axis=sorted(axes), keepdims=True)
    if call.attrs.keepdims:
        return Seen(made, shape, data.axes)
    left = tuple(axis for n, axis in enumerate(data.axes) if n not in over)
    return Seen(made, shape, left)


def _normalized(images: Images, call: relax.Call, data: Seen) -> _Made:
    """Normalize over the channels."""
    axes = [int(axis) % len(data.shape) for axis in call.attrs.axes]
    if [data.axes[axis] for axis in axes] != [1]:
        return None
    attrs = call.attrs
    made = relax.op.nn.layer_norm(
        data.source,
        *map(images.visit_expr, call.args[1:]),
        axes=[1],
        epsilon=float(attrs.epsilon),
        center=bool(attrs.center),
        scale=bool(attrs.scale),
    )
    return Seen(made, data.shape, data.axes)


def _multiplied(images: Images, call: relax.Call, data: Seen) -> _Made:
    """Multiply with constant weights over the channels: a convolution of 1x1."""
    weights, shape = call.args[1], shape_of(call)
    if not isinstance(weights, GenericConst) or shape is None:
        return None
    value = weights.value.numpy()
    if value.ndim != 2 or data.axes[-1] != 1 or len(data.shape) < 2:
        return None
    kernel = np.ascontiguousarray(value.T[:, :, None, None])
    made = relax.op.nn.conv2d(
        data.source, relax.const(kernel, str(value.dtype)), out_dtype=str(call.ty.dtype)
    )
    return Seen(made, shape, data.axes)


def _padded(images: Images, call: relax.Call, data: Seen) -> _Made:
    shape, widths = shape_of(call), [int(width) for width in call.attrs.pad_width]
    laid = [0] * (2 * len(shape_of(data.source) or ()))
    for place, axis in enumerate(data.axes):
        width = widths[2 * place : 2 * place + 2]
        if axis < 0 and any(width):
            return None
        laid[2 * axis : 2 * axis + 2] = width if axis >= 0 else laid[2 * axis : 2 * axis + 2]
    if shape is None:
        return None
    made = relax.op.nn.pad(data.source, laid, str(call.attrs.pad_mode), float(call.attrs.pad_value))
    return Seen(made, shape, data.axes)


def _sliced(images: Images, call: relax.Call, data: Seen) -> _Made:
    shape = shape_of(call)
    if shape is None or not all(isinstance(arg, relax.Tuple) for arg in call.args[1:]):
        return None
    places = [int(one.value) % len(data.shape) for one in call.args[1]]
    axes = [data.axes[place] for place in places]
    if -1 in axes:
        return None
    bounds = [[int(one.value) for one in arg] for arg in call.args[2:]]
    made = relax.op.strided_slice(data.source, axes, *bounds, assume_inbound=bool(call.attrs.assume_inbound))
    return Seen(made, shape, data.axes)


_OPERATORS: dict[str, Callable[[Images, Any, Seen], _Made]] = {
    "relax.nn.layer_norm": _normalized,
    "relax.matmul": _multiplied,
    "relax.nn.pad": _padded,
    "relax.strided_slice": _sliced,
}
