"""What the leaves say that rows reach, in each tree: by products of matrices, or by going down (Hummingbird).

Products ask every question of every tree, and find the leaf by counting which of its path were answered as
it wants: a multiplication for each node and leaf of a tree. Going down asks one question of each tree at a
time, of a table of all nodes, as often as the deepest tree is deep.

Of 100 full trees, compiled untuned by TVM 0.27 on two cores of a Zen 4, in microseconds:

=====  ========  =====  ===========  ==============
depth  products  going  onnxruntime  rows at a time
=====  ========  =====  ===========  ==============
3      6         13     19           1
5      14        13     11           1
7      14,472    18     15           1
3      171       216    251          100
5      1,285     504    368          100
7      767,682   914    456          100
=====  ========  =====  ===========  ==============
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from workers.models.rewrites.classical.forest import Forest
from workers.models.rewrites.classical.table import Left, Table

# Of full trees of depth 4: beyond, going down is cheaper for many rows. Products compile in a tenth of the
# time, and tuning makes more of them, so that they are taken as long as they are not much dearer.
_FEW_LEAVES = 16

__all__ = ["leaves_by_products", "leaves_by_walk", "products_pay"]


def products_pay(forest: Forest) -> bool:
    """Say whether products are the cheaper way."""
    return forest.trees and forest.leaves <= _FEW_LEAVES


def asked_columns(edit: Table, rows: str, forest: Forest) -> str:
    """Return the columns that the forest's nodes ask."""
    dtype = forest.limits.dtype
    dims = edit.dims(rows)
    x = rows
    if dims is None or dims[-1] != forest.features:
        x = edit.slice(rows, [0], [forest.features], [1])
    parts = [x]
    if forest.lowered:
        parts.append(edit.picked(edit.emit("IsNaN", [x]), edit.store(np.asarray(-np.inf, dtype)), x))
    if forest.members:
        parts.append(_members(edit, x, forest, dtype))
    return edit.beside(parts)


def _members(edit: Table, x: str, forest: Forest, dtype: npt.DTypeLike) -> str:
    """Return a column of 1 and 0 for each set."""
    most = max(len(member.values) for member in forest.members)
    values = np.full((len(forest.members), most), np.nan, dtype)
    for place, member in enumerate(forest.members):
        values[place, : len(member.values)] = member.values
    asked = edit.gather(x, [member.feature for member in forest.members], 1)
    equal = edit.emit("Equal", [edit.reshape(asked, [-1, len(values), 1]), edit.store(values)])
    kind = TensorProto.DOUBLE if np.dtype(dtype) == np.float64 else TensorProto.FLOAT
    found = edit.reduce("ReduceMax", edit.emit("Cast", [equal], to=kind), 2, keep=False)
    nan = np.asarray([member.nan for member in forest.members])
    if not nan.any():
        return found
    missing = edit.emit("And", [edit.emit("IsNaN", [asked]), edit.store(nan)])
    return edit.picked(missing, edit.store(np.asarray(1, dtype)), found)


def _answers(edit: Table, values: str, limits: str, forest: Forest) -> str:
    return str(edit.emit("Less" if forest.strict else "LessOrEqual", [values, limits]))


def leaves_by_products(
    edit: Table, rows: str, forest: Forest, values: npt.NDArray[np.floating]
) -> tuple[str, int]:
    """Return the values of the leaves that each row reaches, and the axis of the trees."""
    kind = TensorProto.DOUBLE if values.dtype == np.float64 else TensorProto.FLOAT
    trees = [list(_paths(forest, int(root))) for root in forest.roots]
    numbered = [list(dict.fromkeys(node for path, _ in paths for node, _ in path)) for paths in trees]
    inner = max(1, *(len(nodes) for nodes in numbered))
    leaves = max(len(paths) for paths in trees)
    count = len(trees)
    asked = np.zeros((count, inner), np.int64)
    limits = np.zeros((count, inner), values.dtype)
    wanted = np.zeros((count, inner, leaves), np.float32)
    # One half less than the number of questions to be answered with yes.
    enough = np.full((count, 1, leaves), inner + 1, np.float32)
    said = np.zeros((count, leaves, values.shape[1]), values.dtype)
    for tree, (paths, nodes) in enumerate(zip(trees, numbered, strict=True)):
        asked[tree, : len(nodes)] = forest.column[nodes]
        limits[tree, : len(nodes)] = forest.limits[nodes]
        place = {node: number for number, node in enumerate(nodes)}
        for leaf, (path, end) in enumerate(paths):
            for node, yes in path:
                wanted[tree, place[node], leaf] = 1 if yes else -1
            enough[tree, 0, leaf] = sum(yes for _, yes in path) - 0.5
            said[tree, leaf] = values[end]
    columns = asked_columns(edit, rows, forest)
    answers = _answers(edit, edit.gather(columns, asked.ravel(), 1), edit.store(limits.ravel()), forest)
    numbers = edit.reshape(str(edit.emit("Cast", [answers], to=TensorProto.FLOAT)), [-1, count, inner])
    by_tree = edit.emit("Transpose", [numbers], perm=[1, 0, 2])
    counted = edit.emit("MatMul", [by_tree, edit.store(wanted)])
    reached = edit.emit("Greater", [counted, edit.store(enough)])
    return str(edit.emit("MatMul", [edit.emit("Cast", [reached], to=kind), edit.store(said)])), 0


def _paths(forest: Forest, root: int) -> Iterator[tuple[list[tuple[int, bool]], int]]:
    """Yield each leaf under a node, with the questions before it and their answers."""
    waiting: list[tuple[int, list[tuple[int, bool]]]] = [(root, [])]
    while waiting:
        node, path = waiting.pop()
        if forest.leaf[node]:
            yield path, node
            continue
        waiting.append((int(forest.no[node]), [*path, (node, False)]))
        waiting.append((int(forest.yes[node]), [*path, (node, True)]))


def leaves_by_walk(
    edit: Table, rows: str, forest: Forest, values: npt.NDArray[np.floating]
) -> tuple[str, int]:
    """Return the values of the leaves that each row reaches, and the axis of the trees."""
    columns = asked_columns(edit, rows, forest)
    # All of a node in one place: TVM compiles some small kernels for each Gather that it imports.
    nodes = np.stack([forest.limits, forest.column, forest.yes, forest.no], axis=1).astype(values.dtype)
    if len(nodes) >= 1 << np.finfo(values.dtype).nmant:
        raise Left("has more nodes than its numbers can count")
    table = edit.store(nodes)
    # The first question is the same for all rows.
    asked = edit.gather(columns, forest.column[forest.roots], 1)
    answer = _answers(edit, asked, edit.store(forest.limits[forest.roots]), forest)
    place = edit.picked(answer, edit.store(forest.yes[forest.roots]), edit.store(forest.no[forest.roots]))
    for _ in range(1, forest.depth):
        node = edit.emit("Gather", [table, place], axis=0)
        limit, column, yes, no = (_entry(edit, node, entry) for entry in range(nodes.shape[1]))
        column = edit.emit("Cast", [column], to=TensorProto.INT64)
        asked = edit.emit("GatherElements", [columns, column], axis=1)
        answer = _answers(edit, asked, limit, forest)
        place = edit.emit("Cast", [edit.picked(answer, yes, no)], to=TensorProto.INT64)
    return str(edit.emit("Gather", [edit.store(values), place], axis=0)), 1


def _entry(edit: Table, node: str, place: int) -> str:
    part = edit.slice(node, [place], [place + 1], [2])
    return str(edit.emit("Squeeze", [part, edit.integers([2])]))
