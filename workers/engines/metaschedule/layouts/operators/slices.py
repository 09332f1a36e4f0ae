"""Parts of a tensor."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from tvm import relax, te, tirx
from tvm.tirx import IntImm

from workers.engines.metaschedule.layouts.channels import NONE, Channels
from workers.engines.metaschedule.layouts.joined import Joined, in_whole_blocks
from workers.engines.metaschedule.layouts.places import read_at, table_for
from workers.engines.metaschedule.layouts.table import Made, operator
from workers.engines.metaschedule.layouts.tensors import Blocked, shape_of

if TYPE_CHECKING:
    from workers.engines.metaschedule.layouts.mutator import Blocks

__all__ = ["gathered"]


@operator("relax.split")
def _split(blocks: Blocks, call: relax.Call) -> Made:
    shape, axis = shape_of(call.args[0]), int(call.attrs.axis)
    if shape is None or blocks.joined(call.args[0]) is None:
        return None
    where, size = call.attrs.indices_or_sections, shape[axis]
    if isinstance(where, int | IntImm):
        each = -(-size // int(where))
        bounds = [0, *range(each, size, each), size]
    else:
        bounds = [0, *map(int, where), size]
    parts = [range(size)[start:stop] for start, stop in itertools.pairwise(bounds)]
    if len(parts) != len(call.ty.fields) or not all(parts):
        return None
    return [_part(blocks, call.args[0], {axis: part}, "split") for part in parts]


@operator("relax.strided_slice")
def _slice(blocks: Blocks, call: relax.Call) -> Made:
    shape, had = shape_of(call), shape_of(call.args[0])
    arguments = [
        [one.value for one in argument] for argument in call.args[1:] if isinstance(argument, relax.Tuple)
    ]
    if shape is None or had is None or len(arguments) + 1 < len(call.args) or len(arguments) < 3:
        return None
    if blocks.joined(call.args[0]) is None:
        return None
    axes, begins, ends = ([int(n) for n in argument] for argument in arguments[:3])
    steps = [int(n) for n in arguments[3]] if len(arguments) > 3 else [1] * len(axes)
    parts = {
        axis: range(had[axis])[begin:end:step]
        for axis, begin, end, step in zip(axes, begins, ends, steps, strict=True)
    }
    # What is outside of the tensor, or counted backwards, is read here and there in different ways.
    sizes = tuple(len(parts[axis]) if axis in parts else size for axis, size in enumerate(had))
    return _part(blocks, call.args[0], parts, "strided_slice") if sizes == shape and min(steps) > 0 else None


def gathered(blocks: Blocks, joined: Joined) -> Blocked:
    """Return channels of several tensors as one in blocks."""
    chosen = blocks.choose(len(joined.places))
    made, does = in_whole_blocks(blocks, joined, chosen)
    if does or chosen is None:
        return made
    tensor, channels = _copied(blocks, made, {1: range(len(joined.places))}, chosen, "gathered")
    return Blocked(blocks.builder_.emit(tensor), channels or chosen)


def _part(
    blocks: Blocks, arg: relax.Expr, parts: dict[int, range], name: str
) -> Blocked | Joined | relax.Expr:
    """Return a part in blocks, if its channels fill any, else in NCHW."""
    chosen, joined = blocks.choose(len(parts[1])) if 1 in parts else None, blocks.joined(arg)
    if chosen is not None and joined is not None and len(parts) == 1 and blocks.layout != "nhwc":
        return joined.taken(parts[1])
    data = blocks.of(arg)
    assert data is not None, "what is joined can be had in blocks"
    tensor, channels = _copied(blocks, data, parts, chosen, name)
    return Blocked(tensor, channels) if channels else tensor


def _copied(
    blocks: Blocks, data: Blocked, parts: dict[int, range], chosen: Channels | None, name: str
) -> tuple[relax.Expr, Channels | None]:
    """Return a part, and where its channels lie then; None for NCHW.

    Parameters
    ----------
    parts : dict of int to range
        Of axes; of others, all is taken.
    chosen : Channels or None
        For those of a part of the channels.
    """
    taken = [parts.get(axis, range(size)) for axis, size in enumerate(data.shape)]
    held, channels = [data.channels.places[channel] for channel in taken[1]], chosen
    if 1 not in parts:
        sources, channels = [*range(data.channels.size)], data.channels
    elif chosen is not None:
        # In the order in which they lie: the fewer runs there are to read.
        order = np.argsort(held)
        channels = chosen.taken([int(n) for n in np.argsort(order)])
        sources = [held[n] for n in order] + [NONE] * (chosen.size - len(held))
    else:
        sources = held
    table = table_for(sources)
    places = [(part.start, part.step, len(part)) for axis, part in enumerate(taken) if axis != 1]
    block = channels.block if channels else 0
    made = blocks.builder_.call_te(
        lambda tensor, *more: _taken(tensor, places, sources, block, *more),
        data.tensor,
        *([] if table is None else [relax.const(table)]),
        primfunc_name_hint=name,
    )
    return made, channels


def _taken(
    data: te.Tensor,
    parts: Sequence[tuple[int, int, int]],
    sources: Sequence[int],
    block: int,
    *table: te.Tensor,
) -> te.Tensor:
    """Return a part of (N, C/c, H, W, c) in blocks, or not.

    Parameters
    ----------
    parts : of (start, step, size)
        For all axes but the channels.
    sources : sequence of int
        For each place of the result that of the tensor, or NONE.
    block : int
        Channels of a block of the result; 0 for NCHW.
    table : te.Tensor
        What ``table_for`` has for the sources, if it has anything.
    """
    within = int(data.shape[-1])
    batch, *space = (size for _, _, size in parts)

    def at(n: Any, chunk: Any, *index: Any) -> Any:
        *within_part, inner = index if block else (*index, 0)
        n, *place = (start + step * i for (start, step, _), i in zip(parts, (n, *within_part), strict=True))
        channel, zero = chunk * block + inner if block else chunk, tirx.const(0, data.dtype)
        return read_at(sources, channel, lambda c: data(n, c // within, *place, c % within), zero, *table)

    shape = (batch, len(sources) // (block or 1), *space, *([block] if block else []))
    return te.compute(shape, at, name="taken")
