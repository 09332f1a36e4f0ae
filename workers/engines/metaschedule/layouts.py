"""Layouts of convolutions: from the model's NCHW to one that suits the target.

The importer leaves every convolution in NCHW, where a row of the image lies side by side in memory, and a
search finds about half the speed there that it finds with channels side by side. So a model is rewritten
before its kernels are made: activations get their channels in blocks, ``(N, C/b, H, W, b)``, weights are laid
out for that once and for all, and what lies between the convolutions (elementwise operators, pools,
concatenations, means, resizing) works on the blocks as they are. A transform is put in only where an operator
needs NCHW.

The block is chosen for each convolution by its output channels, so that tensors that meet have the same one,
and a convolution reads whatever block its input has: there is no transform between two convolutions. NHWC is
the same with one block of all channels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tvm
from tvm import relax, te, topi
from tvm.ir import GenericConst, IRModule
from tvm.relax.utils import gen_call_tir_inputs
from tvm.target import Target
from tvm_ffi import structural_equal

from workers.engines.metaschedule import winograd
from workers.engines.metaschedule.targets import vector_bits

__all__ = ["with_layout"]

# Winograd's transforms cost as much as they save where there are fewer channels to sum over, or to make.
_WINOGRAD_CHANNELS = 64
# Sixteen weights for nine: beyond 4 MB of them, reading costs what the arithmetic saves.
_WINOGRAD_WEIGHTS = 256 * 256
# relax's OpPatternKind of what is fused with nothing.
_OPAQUE = 8
# Fewer channels side by side than this are no gain over a row.
_LEAST_BLOCK = 4
_UNARY = frozenset(
    f"relax.{name}"
    for name in (
        *("nn.relu", "nn.leakyrelu", "nn.silu", "nn.gelu", "nn.softplus", "sigmoid", "tanh", "erf", "clip"),
        *("exp", "log", "sqrt", "rsqrt", "square", "abs", "negative", "floor", "ceil", "round", "astype"),
    )
)
_BINARY = frozenset(
    f"relax.{name}" for name in ("add", "subtract", "multiply", "divide", "power", "maximum", "minimum")
)


def with_layout(module: IRModule, layout: str, target: Target) -> tuple[IRModule, int]:
    """Return a model, as imported, with the layouts that `layout` means for `target`.

    Parameters
    ----------
    layout : {'blocked', 'nhwc', 'nchw'}

    Returns
    -------
    IRModule, int
        And how many transforms between layouts it took; those of weights are done once and for all.
    """
    if layout == "nchw":
        return module, 0
    rewrite = _Blocks(module, layout, target)
    rewrite.builder_.update_func(module.get_global_var("main"), rewrite.visit_expr(module["main"]))
    return relax.transform.DeadCodeElimination()(rewrite.builder_.finalize()), rewrite.transforms


def _block(channels: int, lanes: int) -> int:
    """Return how many channels to put side by side: 0 where none are, the row being the better vector."""
    sizes = [size for size in range(_LEAST_BLOCK, lanes + 1) if channels % size == 0]
    powers = [size for size in sizes if size & (size - 1) == 0]
    return max(powers or sizes, default=0)


@relax.expr_functor.mutator
class _Blocks(relax.expr_functor.PyExprMutator):  # type: ignore[misc]
    """Rewrites bindings one by one; a tensor in blocks is made plain when somebody asks for it."""

    def __init__(self, module: IRModule, layout: str, target: Target) -> None:
        super().__init__(module)
        self._module, self._layout, self._lanes = module, layout, vector_bits(target) // 32
        self._blocks: dict[relax.Var, relax.Var] = {}  # by the variable of the model, (N, C/b, H, W, b)
        self._plain: dict[relax.Var, relax.Var] = {}
        self._constants: dict[relax.Var, np.ndarray] = {}
        self.transforms = 0

    # -- what the mutator asks

    def visit_var_binding_(self, binding: relax.VarBinding) -> None:
        """Emit a binding in blocks where that can be, else as it was."""
        value = binding.value
        if _is_call(value, "relax.reshape") and isinstance(value.args[0], GenericConst):
            # A bias, as the importer writes it.
            self._constants[binding.var] = value.args[0].value.numpy().reshape(_shape(value) or ())
        elif isinstance(value, relax.Call) and isinstance(binding.var, relax.DataflowVar):
            rewritten = self._rewritten(value)
            if rewritten is not None:
                emitted = self.builder_.emit(rewritten, binding.var.name)
                # What has no blocks is the tensor of the model, made from others that have.
                (self._blocks if _block_of(emitted) else self._plain)[binding.var] = emitted
                return
        super().visit_var_binding_(binding)

    def visit_dataflow_var_(self, op: relax.DataflowVar) -> relax.Expr:
        """Return a tensor as the model has it."""
        if op not in self._blocks and op not in self._plain:
            return super().visit_dataflow_var_(op)
        if op not in self._plain:
            self.transforms += 1
            self._plain[op] = self.builder_.emit_te(
                _unblocked, self._blocks[op], primfunc_name_hint="to_nchw"
            )
        return self._plain[op]

    # -- operators

    def _rewritten(self, call: relax.Call) -> relax.Expr | None:
        name = getattr(call.op, "name", "")
        if name == "relax.call_tir":
            return self._elementwise_kernel(call)
        if name == "relax.nn.conv2d":
            return self._convolution(call)
        if name == "relax.nn.conv2d_transpose":
            return self._upsampling(call)
        if name in _BINARY:
            return self._binary(call, getattr(relax.op, name.removeprefix("relax.")), *call.args)
        if name == "relax.concat":
            return self._concatenation(call)
        data = self._blocks.get(call.args[0]) if len(call.args) else None
        if data is None:
            return None
        if name in _UNARY:
            return relax.Call(call.op, [data, *map(self.visit_expr, call.args[1:])], call.attrs)
        if name in ("relax.nn.max_pool2d", "relax.nn.avg_pool2d"):
            return _pooled(data, call)
        if name == "relax.mean" and call.attrs.keepdims and sorted(map(int, call.attrs.axis)) == [2, 3]:
            return relax.op.mean(data, axis=[2, 3], keepdims=True)
        if name == "relax.image.resize2d":
            return _resized(data, call)
        return None

    def _convolution(self, call: relax.Call) -> relax.Expr | None:
        data, weights = call.args
        attrs = call.attrs
        if not _as_imported(call, "OIHW") or _shape(call) is None:
            return None
        kernel, groups = weights.value.numpy(), int(attrs.groups)
        out, each = kernel.shape[:2]
        block = self._choose(out)
        depthwise = each == 1 and 1 < groups == out
        if depthwise:
            if not block:
                return None
            source = self._blocked(data, block)
        else:
            if groups > 1 and self._layout != "nhwc":
                # A block must not reach into the next group.
                block, within = self._choose(out // groups), self._choose(each)
                if not block or not within:
                    return None
                source = self._blocked(data, within)
            else:
                # Whatever block the input has; in NCHW, each channel is one of its own.
                source = self._blocks[data] if data in self._blocks else self.visit_expr(data)
            if not block and not _block_of(source):
                return None
            if self._layout != "nhwc" and block and _block_of(source) and _suits_winograd(kernel, attrs):
                return self._winograd(call, source, kernel, block)
        return self.builder_.call_te(
            _convolved,
            source,
            relax.const(_packed(kernel, 0 if depthwise else _block_of(source), block, depthwise)),
            strides=[int(n) for n in attrs.strides],
            padding=[int(n) for n in attrs.padding],
            dilation=[int(n) for n in attrs.dilation],
            groups=groups,
            depthwise=depthwise,
            block=block,
            primfunc_name_hint=f"{'depthwise_' if depthwise else ''}conv2d_{self._name(block)}",
        )

    def _winograd(self, call: relax.Call, source: relax.Expr, kernel: np.ndarray, block: int) -> relax.Expr:
        """Convolve by Winograd's algorithm, in four kernels."""

        def step(function: Callable[..., te.Tensor], *args: Any, unroll: bool = False) -> relax.Expr:
            func, arguments, ty = gen_call_tir_inputs(function, *args)
            if unroll:
                func = winograd.unrolled(func, function.__name__)
            # Fused with what reads it, a transform would be computed again for each of its readers.
            func = func.with_attr("op_pattern", _OPAQUE)
            name = self.builder_.add_func(func, f"winograd_{function.__name__}")
            return self.builder_.emit(relax.call_tir(name, arguments, ty))

        shape = _shape(call)
        assert shape is not None
        made = step(winograd.windows, source, [int(n) for n in call.attrs.padding], unroll=True)
        made = step(winograd.products, made, relax.const(winograd.transformed_weights(kernel)))
        made = step(winograd.tiles, made, block, unroll=True)
        return self.builder_.call_te(
            winograd.assembled, made, shape[0], *shape[2:], primfunc_name_hint="winograd_assembled"
        )

    def _upsampling(self, call: relax.Call) -> relax.Expr | None:
        """Rewrite a transposed convolution whose windows don't overlap; TVM's own multiplies with zeros."""
        data, weights = call.args
        attrs = call.attrs
        if not _as_imported(call, "IOHW") or data not in self._blocks:
            return None
        kernel = weights.value.numpy()
        steps = tuple(map(int, attrs.strides))
        if steps != kernel.shape[2:] or any(map(int, [*attrs.padding, *attrs.output_padding])):
            return None
        if int(attrs.groups) != 1 or {*map(int, attrs.dilation)} != {1}:
            return None
        block = self._choose(kernel.shape[1])
        source = self._blocks[data]
        turned = kernel.transpose(1, 0, 2, 3)
        return self.builder_.call_te(
            _upsampled,
            source,
            relax.const(_packed(turned, _block_of(source), block)),
            block=block,
            primfunc_name_hint=f"conv2d_transpose_{self._name(block)}",
        )

    def _binary(
        self, call: relax.Call, operator: Callable[..., relax.Expr], one: relax.Expr, two: relax.Expr
    ) -> relax.Expr | None:
        shape = _shape(call)
        known = [self._blocks[arg] for arg in (one, two) if arg in self._blocks and _shape(arg) == shape]
        if not known or shape is None:
            return None
        block = _block_of(known[0])
        sides = [self._operand(arg, block) for arg in (one, two)]
        return None if None in sides else operator(*sides)

    def _operand(self, arg: relax.Expr, block: int) -> relax.Expr | None:
        """Return one side of an elementwise operator so that it meets one in blocks."""
        shape = _shape(arg)
        if shape is None:
            return None
        if len(shape) == 0:
            return self.visit_expr(arg)
        value = arg.value.numpy() if isinstance(arg, GenericConst) else self._constants.get(arg)
        if value is not None:
            dims = [1] * (4 - value.ndim) + list(value.shape)
            return relax.const(_in_blocks(value.reshape(dims), 1 if dims[1] == 1 else block))
        if len(shape) != 4:
            return None
        if shape[1] == 1 and arg in self._blocks:
            return self._blocks[arg]
        if shape[1] == 1:
            return relax.op.reshape(self.visit_expr(arg), [*shape, 1])
        return self._blocked(arg, block)

    def _concatenation(self, call: relax.Call) -> relax.Expr | None:
        parts = list(call.args[0]) if isinstance(call.args[0], relax.Tuple) else []
        if call.attrs.axis is None or int(call.attrs.axis) not in (1, -3):
            return None
        if not parts or not all(part in self._blocks for part in parts):
            return None
        blocks = [self._blocks[part] for part in parts]
        if self._layout == "nhwc":
            return relax.op.concat(blocks, axis=4)
        least = min(map(_block_of, blocks))
        if any(_block_of(part) % least for part in blocks):
            return None
        return relax.op.concat([self._blocked(part, least) for part in parts], axis=1)

    def _elementwise_kernel(self, call: relax.Call) -> relax.Expr | None:
        """Recognize the kernels that the importer writes for Clip: they are operators, already lowered."""
        name = call.args[0].name_hint.rstrip("0123456789")
        operator = {"maximum": topi.maximum, "minimum": topi.minimum}.get(name)
        arguments = list(call.args[1])
        if operator is None or len(arguments) != 2:
            return None
        expected, _, _ = gen_call_tir_inputs(operator, *(relax.Var("x", arg.ty) for arg in arguments))
        found = self._module[call.args[0]]
        if not structural_equal(*(func.with_attr("global_symbol", "main") for func in (expected, found))):
            return None
        return self._binary(call, getattr(relax.op, name), *arguments)

    # -- blocks

    def _choose(self, channels: int) -> int:
        return channels if self._layout == "nhwc" else _block(channels, self._lanes)

    def _name(self, block: int) -> str:
        return "nhwc" if self._layout == "nhwc" else f"nchw{block}c" if block else "nchw"

    def _blocked(self, var: relax.Expr, block: int) -> relax.Expr:
        """Return a tensor in blocks of a size, whatever it is in."""
        there = self._blocks.get(var)
        if there is not None and _block_of(there) == block:
            return there
        self.transforms += 1
        return self.builder_.emit_te(
            _reblocked,
            there if there is not None else self.visit_expr(var),
            block,
            primfunc_name_hint=f"to_{self._name(block)}",
        )


def _as_imported(call: relax.Call, kernel_layout: str) -> bool:
    """Say whether a convolution of floats, its weights constant, has the layouts that the importer writes."""
    data, weights = call.args
    layouts = (call.attrs.data_layout, call.attrs.kernel_layout, call.attrs.out_layout)
    constant = isinstance(weights, GenericConst) and _dtype(data) == "float32"
    return constant and layouts == ("NCHW", kernel_layout, "NCHW")


def _suits_winograd(kernel: np.ndarray, attrs: Any) -> bool:
    plain = int(attrs.groups) == 1 and {*map(int, attrs.strides), *map(int, attrs.dilation)} == {1}
    out, channels = kernel.shape[:2]
    worth = min(out, channels) >= _WINOGRAD_CHANNELS and out * channels <= _WINOGRAD_WEIGHTS
    return plain and kernel.shape[2:] == (3, 3) and worth


def _convolved(
    data: te.Tensor,
    weights: te.Tensor,
    strides: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    depthwise: bool,
    block: int,
) -> te.Tensor:
    """Convolve a tensor, in blocks or not, with packed weights, into blocks or not.

    Parameters
    ----------
    data : (N, I/i, H, W, i) or (N, I, H, W)
    weights : as :func:`_packed` has them for it
    block : int
        Channels of a block of the result; 0 for NCHW.
    """
    top, left, bottom, right = padding
    padded = data
    if any(padding):
        more = [0] * (len(data.shape) - 4)
        padded = topi.nn.pad(data, [0, 0, top, left, *more], [0, 0, bottom, right, *more], name="data_pad")
    batch, _, height, width = (int(n) for n in padded.shape[:4])
    within = int(data.shape[4]) if len(data.shape) == 5 else 0
    chunks = int(weights.shape[0])
    kernel_h, kernel_w = (int(n) for n in (weights.shape[1:3] if depthwise else weights.shape[2:4]))
    out_h = (height - (kernel_h - 1) * dilation[0] - 1) // strides[0] + 1
    out_w = (width - (kernel_w - 1) * dilation[1] - 1) // strides[1] + 1
    kh, kw = te.reduce_axis((0, kernel_h), "kh"), te.reduce_axis((0, kernel_w), "kw")
    # A group of NHWC has a part of a block.
    each = 1 if depthwise else int(weights.shape[1]) * (int(weights.shape[4]) if within else 1)
    ic = te.reduce_axis((0, each), "ic")
    of_group = chunks * max(block, 1) // groups

    def at(channel: Any, oh: Any, ow: Any) -> tuple[Any, ...]:
        y, x = oh * strides[0] + kh * dilation[0], ow * strides[1] + kw * dilation[1]
        return (channel // within, y, x, channel % within) if within else (channel, y, x)

    def one(n: Any, oc: Any, oh: Any, ow: Any, *ob: Any) -> Any:
        if depthwise:
            y, x = at(0, oh, ow)[1:3]
            return te.sum(padded(n, oc, y, x, *ob) * weights(oc, kh, kw, *ob), axis=[kh, kw])
        group = (oc * block + ob[0] if ob else oc) // of_group if groups > 1 else 0
        weight = (
            weights(oc, ic // within, kh, kw, ic % within, *ob) if within else weights(oc, ic, kh, kw, *ob)
        )
        return te.sum(padded(n, *at(group * each + ic, oh, ow)) * weight, axis=[ic, kh, kw])

    shape = (batch, chunks, out_h, out_w, *([block] if block else []))
    return te.compute(shape, one, name="depthwise_conv2d" if depthwise else "conv2d")


def _upsampled(data: te.Tensor, weights: te.Tensor, block: int) -> te.Tensor:
    """Convolve transposed, each element of the result being made of one position of the input.

    Parameters
    ----------
    data : (N, I/i, H, W, i)
    weights : (O/o, I/i, h, w, i, o)
        As :func:`_packed` has them; `h` and `w` are the strides as well.
    """
    batch, chunks, height, width, within = (int(n) for n in data.shape)
    step_h, step_w = int(weights.shape[2]), int(weights.shape[3])
    ic = te.reduce_axis((0, chunks * within), "ic")

    def one(n: Any, oc: Any, oh: Any, ow: Any, *ob: Any) -> Any:
        weight = weights(oc, ic // within, oh % step_h, ow % step_w, ic % within, *ob)
        return te.sum(data[n, ic // within, oh // step_h, ow // step_w, ic % within] * weight, axis=[ic])

    shape = (batch, int(weights.shape[0]), height * step_h, width * step_w, *([block] if block else []))
    return te.compute(shape, one, name="conv2d_transpose")


def _packed(kernel: np.ndarray, within: int, block: int, depthwise: bool = False) -> np.ndarray:
    """Lay weights out, (O, I, h, w), as :func:`_convolved` takes them.

    Returns
    -------
    numpy.ndarray
        (O/o, I/i, h, w, i, o), where `i` channels of the input are a block, and `o` of the output; without
        those axes, where there are no blocks; (O/o, h, w, o) for a depthwise convolution.
    """
    out, each, height, width = kernel.shape
    within = min(within, each)  # of NHWC a group reads its part
    split = kernel.reshape(out // (block or 1), block or 1, each // (within or 1), within or 1, height, width)
    laid = split.transpose(0, 2, 4, 5, 3, 1)
    drop = [*((1, 4) if depthwise else () if within else (4,)), *(() if block else (5,))]
    return np.ascontiguousarray(np.squeeze(laid, axis=tuple(drop)))


def _in_blocks(value: np.ndarray, block: int) -> np.ndarray:
    batch, channels, height, width = value.shape
    split = value.reshape(batch, channels // block, block, height, width)
    return np.ascontiguousarray(split.transpose(0, 1, 3, 4, 2))


def _unblocked(data: te.Tensor) -> te.Tensor:
    batch, chunks, height, width, block = (int(n) for n in data.shape)
    return te.compute(
        (batch, chunks * block, height, width),
        lambda n, c, h, w: data[n, c // block, h, w, c % block],
        name="to_nchw",
    )


def _reblocked(data: te.Tensor, block: int) -> te.Tensor:
    batch, chunks, height, width = (int(n) for n in data.shape[:4])
    had = int(data.shape[4]) if len(data.shape) == 5 else 0

    def at(n: Any, chunk: Any, h: Any, w: Any, inner: Any) -> Any:
        channel = chunk * block + inner
        return data[n, channel // had, h, w, channel % had] if had else data[n, channel, h, w]

    return te.compute((batch, chunks * max(had, 1) // block, height, width, block), at, name="to_blocks")


def _pooled(data: relax.Expr, call: relax.Call) -> relax.Expr | None:
    attrs, layout = call.attrs, f"NCHW{_block_of(data)}c"
    if attrs.layout != "NCHW" or attrs.out_layout != "NCHW":
        return None
    operator = relax.op.nn.max_pool2d if call.op.name.endswith("max_pool2d") else relax.op.nn.avg_pool2d
    return operator(
        data,
        pool_size=attrs.pool_size,
        strides=attrs.strides,
        padding=attrs.padding,
        dilation=attrs.dilation,
        ceil_mode=attrs.ceil_mode,
        count_include_pad=attrs.count_include_pad,
        layout=layout,
        out_layout=layout,
    )


def _resized(data: relax.Expr, call: relax.Call) -> relax.Expr | None:
    attrs = call.attrs
    if attrs.layout != "NCHW":
        return None
    return relax.op.image.resize2d(
        data,
        call.args[1],
        roi=[float(edge) for edge in attrs.roi],
        layout=f"NCHW{_block_of(data)}c",
        method=attrs.method,
        coordinate_transformation_mode=attrs.coordinate_transformation_mode,
        rounding_method=attrs.rounding_method,
        cubic_alpha=attrs.cubic_alpha,
        cubic_exclude=attrs.cubic_exclude,
        extrapolation_value=attrs.extrapolation_value,
        out_dtype=attrs.out_dtype or None,
    )


def _is_call(expr: relax.Expr, name: str) -> bool:
    return isinstance(expr, relax.Call) and getattr(expr.op, "name", "") == name


def _shape(expr: relax.Expr) -> tuple[int, ...] | None:
    shape = getattr(expr.ty, "shape", None)
    if not isinstance(shape, relax.ShapeExpr) or not all(
        isinstance(n, tvm.tirx.IntImm) for n in shape.values
    ):
        return None
    return tuple(int(n) for n in shape.values)


def _dtype(expr: relax.Expr) -> str:
    return str(expr.ty.dtype)


def _block_of(expr: relax.Expr) -> int:
    """Return the channels of a block; 0 of a tensor in NCHW."""
    shape = _shape(expr)
    return shape[4] if shape is not None and len(shape) == 5 else 0
