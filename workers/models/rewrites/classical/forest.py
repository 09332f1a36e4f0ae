"""A tree ensemble as arrays: one question for each node, whatever its file calls it.

Every question becomes "is this column at most this limit?", or "below" it where all ask so: then no limit
has to be moved to the next float. The other comparisons swap the branches. Where NaN goes to the first
branch, the node asks a column in which NaN is minus infinity; NaN itself fails every comparison. Equality
and sets have a column each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from workers.models.rewrites.classical.table import Left

__all__ = ["Forest", "Member", "Raw"]

_LEAF = "LEAF"
_SWAPPED = {"BRANCH_GT": "BRANCH_LEQ", "BRANCH_GTE": "BRANCH_LT"}
_MODES = {
    "BRANCH_LEQ",
    "BRANCH_LT",
    "BRANCH_GTE",
    "BRANCH_GT",
    "BRANCH_EQ",
    "BRANCH_NEQ",
    "BRANCH_MEMBER",
    _LEAF,
}


@dataclass(frozen=True)
class Member:
    """A column that says whether a feature is one of some values.

    Attributes
    ----------
    feature : int
    values : tuple of float
    nan : bool
        NaN counts as one of them.
    """

    feature: int
    values: tuple[float, ...]
    nan: bool


@dataclass
class Raw:
    """Nodes as a file has them, all trees after each other.

    Attributes
    ----------
    modes : list of str
    features, yes, no : ndarray of int64
        The asked feature, and the places of the branches; whatever in leaves.
    limits : ndarray
        float32, or float64 where the model computes in it.
    missing : ndarray of bool
        NaN goes to the first branch.
    roots : ndarray of int64
    sets : dict of int to sequence of float
        Of nodes of the mode BRANCH_MEMBER.
    """

    modes: list[str]
    features: npt.NDArray[np.int64]
    yes: npt.NDArray[np.int64]
    no: npt.NDArray[np.int64]
    limits: npt.NDArray[Any]
    missing: npt.NDArray[np.bool_]
    roots: npt.NDArray[np.int64]
    sets: dict[int, Sequence[float]] = field(default_factory=dict)


class Forest:
    """Trees whose nodes all ask the same question of a column.

    Attributes
    ----------
    strict : bool
        The question is "below", not "at most".
    leaf : ndarray of bool
    column, yes, no : ndarray of int64
    limits : ndarray
    roots : ndarray of int64
    features : int
        How many of the input's columns are asked.
    lowered : bool
        They are followed by the same with minus infinity for NaN.
    members : list of Member
        Columns that follow these.
    depth : int
        The most questions on a path.
    trees : bool
        No node has two parents.
    leaves : int
        The most of a tree; where nodes have two parents, all.
    """

    def __init__(self, raw: Raw) -> None:
        unknown = sorted(set(raw.modes) - _MODES)
        if unknown:
            raise Left(f"has nodes of the mode {unknown[0]}")
        _merge_equalities(raw)
        modes = np.asarray(raw.modes)
        self.leaf = modes == _LEAF
        self.roots = raw.roots
        self.limits = np.where(self.leaf, 0, raw.limits).astype(raw.limits.dtype)
        self.yes, self.no = raw.yes.copy(), raw.no.copy()
        places = np.arange(len(modes))
        self.yes[self.leaf] = self.no[self.leaf] = places[self.leaf]
        lowered = raw.missing & ~self.leaf
        swapped = np.isin(modes, list(_SWAPPED))
        below = np.isin(modes, ["BRANCH_LT", "BRANCH_GTE"])
        ordered = below | np.isin(modes, ["BRANCH_LEQ", "BRANCH_GT"])
        self.strict = bool(below.any()) and not bool((ordered & ~below).any())
        if not self.strict:
            self.limits[below] = np.nextafter(self.limits[below], -np.inf, dtype=self.limits.dtype)
        # What a swapped node did with NaN by failing, it now does by not failing.
        lowered = np.where(swapped, ~lowered, lowered)
        self.features = int(raw.features[~self.leaf].max(initial=0)) + 1
        self.lowered = bool((lowered & ordered).any())
        self.column = np.where(self.leaf, 0, raw.features + self.features * (lowered & ordered))
        self.members: list[Member] = []
        self._number_members(raw, modes)
        swapped |= np.isin(modes, ["BRANCH_EQ", "BRANCH_MEMBER"])
        self.yes[swapped], self.no[swapped] = self.no[swapped], self.yes[swapped]
        self.depth, self.trees = self._measured()
        self.leaves = self._most_leaves() if self.trees else int(self.leaf.sum())

    def _number_members(self, raw: Raw, modes: npt.NDArray[Any]) -> None:
        start = self.features * (2 if self.lowered else 1)
        known: dict[Member, int] = {}
        for place in np.flatnonzero(np.isin(modes, ["BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER"])):
            values = raw.sets.get(int(place), (float(raw.limits[place]),))
            # What is not equal is so for NaN, whichever branch is said to be its.
            nan = bool(raw.missing[place]) and modes[place] != "BRANCH_NEQ"
            member = Member(int(raw.features[place]), tuple(sorted(values)), nan)
            self.column[place] = start + known.setdefault(member, len(known))
            # 0 is at most a half; swapped, where it is the other branch's.
            self.limits[place] = 0.5
        self.members = list(known)

    def _measured(self) -> tuple[int, bool]:
        front, depth = np.unique(self.roots), 0
        reached = [front]
        while True:
            front = front[~self.leaf[front]]
            if not front.size:
                break
            depth += 1
            if depth > len(self.leaf):
                raise Left("has a circle in one of its trees")
            front = np.unique(np.concatenate([self.yes[front], self.no[front]]))
            reached.append(front)
        nodes = np.unique(np.concatenate(reached))
        inner = nodes[~self.leaf[nodes]]
        children = np.concatenate([self.yes[inner], self.no[inner], self.roots])
        return depth, bool(np.bincount(children, minlength=1).max(initial=0) <= 1)

    def _most_leaves(self) -> int:
        front, tree = self.roots, np.arange(len(self.roots))
        counts = np.zeros(len(self.roots), np.int64)
        while front.size:
            ends = self.leaf[front]
            counts += np.bincount(tree[ends], minlength=len(counts))
            front, tree = front[~ends], tree[~ends]
            front = np.concatenate([self.yes[front], self.no[front]])
            tree = np.concatenate([tree, tree])
        return int(counts.max())


def _merge_equalities(raw: Raw) -> None:
    """Make sets of chains of equalities with one branch, as exporters write categories."""
    for place in range(len(raw.modes) - 1, -1, -1):
        if raw.modes[place] != "BRANCH_EQ":
            continue
        after = int(raw.no[place])
        if (
            raw.modes[after] in ("BRANCH_EQ", "BRANCH_MEMBER")
            and after != place
            and raw.yes[after] == raw.yes[place]
            and raw.features[after] == raw.features[place]
            and raw.missing[after] == raw.missing[place]
        ):
            values = raw.sets.get(after, (float(raw.limits[after]),))
            raw.sets[place] = (*values, float(raw.limits[place]))
            raw.modes[place] = "BRANCH_MEMBER"
            raw.no[place] = raw.no[after]
