"""Which channels of a tensor come to lie in different ones later.

A unit of a ShuffleNet puts two tensors side by side, shuffles their channels and takes one half. So of 58
channels 29 are read by the next convolution, and of the others 15 by the one after it. Where these begin at a
block of their own, whole blocks are copied, and nothing is shuffled.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from tvm import relax
from tvm.ir import IRModule

from workers.engines.metaschedule.layouts.channels import Channels
from workers.engines.metaschedule.layouts.operators.shuffles import order_of
from workers.engines.metaschedule.layouts.tensors import op_name, shape_of

__all__ = ["laid_apart", "read_apart"]

# So many times the arithmetic it may take.
_SPARE = 1.1
# What leaves a channel where it is.
_KEEPS = (
    *("add", "subtract", "multiply", "divide", "maximum", "minimum", "clip", "sigmoid", "tanh", "abs", "erf"),
    *("nn.relu", "nn.relu6", "nn.leakyrelu", "nn.silu", "nn.gelu", "nn.gelu_tanh", "nn.prelu", "nn.pad"),
    *("nn.max_pool2d", "nn.avg_pool2d", "image.resize2d"),
)


def laid_apart(channels: Channels, classes: np.ndarray | None) -> Channels:
    """Return places for channels so that those of a class lie together, and begin at a block.

    Parameters
    ----------
    channels : Channels
        In order.
    classes : numpy.ndarray or None
        A number for each channel, as :func:`read_apart` has them.
    """
    if classes is None:
        return channels
    block, at, places = channels.block, 0, [0] * channels.count
    for number in range(int(classes.max()) + 1):
        members = np.flatnonzero(classes == number)
        # Small ones share a block: each with one of its own would be more blocks than channels.
        large = len(members) >= block
        at = -(-at // block) * block if large else at
        for member in members:
            places[member], at = at, at + 1
        at = -(-at // block) * block if large else at
    size = -(-at // block) * block
    fits = size <= max(_SPARE * channels.count, channels.size)
    return Channels(block, size, tuple(places)) if fits else channels


def read_apart(module: IRModule) -> dict[relax.Var, np.ndarray]:
    """Return, for tensors whose channels are read apart, the number of a class for each channel.

    Parameters
    ----------
    module : IRModule
        Before there are blocks.
    """
    found: dict[relax.Expr, np.ndarray] = {}
    for block in reversed(list(module["main"].body.blocks)):
        for binding in reversed(list(block.bindings)):
            value, var = binding.value, binding.var
            if isinstance(value, relax.TupleGetItem):
                classes = _in_tuple(value, found.get(var))
                if classes is not None:
                    _note(found, value.tuple_value, classes)
            elif isinstance(value, relax.Call) and var in found:
                for arg, classes in _of_arguments(value, found[var]):
                    _note(found, arg, classes)
    return {var: classes for var, classes in found.items() if classes.max(initial=0) > 0}


def _note(found: dict[relax.Expr, np.ndarray], arg: relax.Expr, classes: np.ndarray) -> None:
    """Note that an operator tells channels apart, besides what others do."""
    told = [found[arg], classes] if arg in found else [classes]
    found[arg] = np.unique(np.stack(told), axis=1, return_inverse=True)[1].reshape(-1)


def _in_tuple(item: relax.TupleGetItem, classes: np.ndarray | None) -> np.ndarray | None:
    """Return classes for the channels of all parts of a split, one behind the other, of which one is read."""
    shapes = [shape_of(relax.Var("part", field)) for field in item.tuple_value.ty.fields]
    counts = [shape[1] for shape in shapes if shape is not None and len(shape) == 4]
    if len(counts) < len(shapes):
        return None
    one, made = int(item.index), np.zeros(sum(counts), int)
    start = sum(counts[:one])
    made[start : start + counts[one]] = 1 if classes is None else classes + 1
    return made


def _of_arguments(call: relax.Call, classes: np.ndarray) -> Iterable[tuple[relax.Expr, np.ndarray]]:
    """Return which arguments of an operator have their channels told apart by what it makes, and how."""
    name, shape = op_name(call), shape_of(call)
    if name == "relax.split":
        if int(call.attrs.axis) == 1:
            yield call.args[0], classes
    elif name == "relax.concat":
        start = 0
        for part in call.args[0] if int(call.attrs.axis or 0) == 1 else ():
            count = (shape_of(part) or (0, 0))[1]
            yield part, classes[start : start + count]
            start += count
    elif name == "relax.layout_transform":
        had = shape_of(call.args[0])
        order = order_of(call.attrs.index_map.inverse(list(had)), had) if had and had == shape else None
        if order is not None:
            yield call.args[0], classes[np.argsort(order)]
    elif name.removeprefix("relax.") in _KEEPS or _is_depthwise(call):
        for arg in call.args:
            had = shape_of(arg)
            if isinstance(arg, relax.Var) and had and shape and len(had) == len(shape) and had[1] == shape[1]:
                yield arg, classes


def _is_depthwise(call: relax.Call) -> bool:
    weights = shape_of(call.args[1]) if op_name(call) == "relax.nn.conv2d" else None
    return bool(weights and weights[1] == 1 and int(call.attrs.groups) == weights[0])
