"""Convolutions and pools along one axis, as those along two: a signal is an image of one row."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from tvm import relax
from tvm.ir import GenericConst

from workers.engines.metaschedule.layouts.channels_first.seen import Seen, image
from workers.engines.metaschedule.layouts.tensors import shape_of

if TYPE_CHECKING:
    from workers.engines.metaschedule.layouts.channels_first.images import Images

__all__ = ["OPERATORS"]


def _row(images: Images, signal: relax.Expr) -> relax.Expr | None:
    """Return a signal, (N, C, W), as an image, (N, C, 1, W)."""
    shape = shape_of(signal)
    if shape is None or len(shape) != 3:
        return None
    batch, channels, width = shape
    seen = images.of(signal)
    if seen is not None and seen.same_order and seen.sizes == (batch, channels, 1, width):
        return seen.source
    return images.builder_.emit(relax.op.reshape(images.visit_expr(signal), (batch, channels, 1, width)))


def _signal(images: Images, row: relax.Expr, shape: tuple[int, ...]) -> Seen | None:
    return image(images.builder_.emit(row)).reshaped(shape)


def _convolved(images: Images, call: relax.Call) -> Seen | None:
    weights, attrs, shape = call.args[1], call.attrs, shape_of(call)
    transposed = call.op.name.endswith("transpose")
    layouts = (attrs.data_layout, attrs.kernel_layout, attrs.out_layout)
    if not isinstance(weights, GenericConst) or shape is None:
        return None
    if layouts != ("NCW", "IOW" if transposed else "OIW", "NCW"):
        return None
    row = _row(images, call.args[0])
    if row is None:
        return None
    kernel = weights.value.numpy()[:, :, None]
    before, after = (int(width) for width in attrs.padding)
    more = {"output_padding": [0, int(attrs.output_padding[0])]} if transposed else {}
    operator: Callable[..., relax.Expr] = relax.op.nn.conv2d_transpose if transposed else relax.op.nn.conv2d
    made = operator(
        row,
        relax.const(np.ascontiguousarray(kernel), str(kernel.dtype)),
        strides=[1, int(attrs.strides[0])],
        padding=[0, before, 0, after],
        dilation=[1, int(attrs.dilation[0])],
        groups=int(attrs.groups),
        out_dtype=attrs.out_dtype or None,
        **more,
    )
    return _signal(images, made, shape)


def _pooled(images: Images, call: relax.Call) -> Seen | None:
    attrs, shape = call.attrs, shape_of(call)
    if images.of(call.args[0]) is None or shape is None or attrs.layout != "NCW" or attrs.out_layout != "NCW":
        return None
    row = _row(images, call.args[0])
    if row is None:
        return None
    before, after = (int(width) for width in attrs.padding)
    operator: Any = getattr(relax.op.nn, call.op.name.removeprefix("relax.nn.").replace("1d", "2d"))
    made = operator(
        row,
        pool_size=[1, int(attrs.pool_size[0])],
        strides=[1, int(attrs.strides[0])],
        padding=[0, before, 0, after],
        dilation=[1, int(attrs.dilation[0])],
        ceil_mode=bool(attrs.ceil_mode),
        count_include_pad=bool(attrs.count_include_pad),
    )
    return _signal(images, made, shape)


OPERATORS: dict[str, Callable[[Images, Any], Seen | None]] = {
    "relax.nn.conv1d": _convolved,
    "relax.nn.conv1d_transpose": _convolved,
    "relax.nn.max_pool1d": _pooled,
    "relax.nn.avg_pool1d": _pooled,
}
