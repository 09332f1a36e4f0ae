"""What was asked of actors and is not answered yet: work of campaigns, and questions of the fleet's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import ray

from orchestrator.fleet.port import Work
from orchestrator.fleet.ray.node import Node, RayDevice, Role

__all__ = ["Await", "Ping", "Question", "Ref", "Tracked", "UnderWay", "WorkUnderWay"]

#: Ray's reference to a result, of whatever type it is.
Ref: TypeAlias = "ray.ObjectRef[Any]"
#: What waits for Ray's results as ``ray.wait`` does.
Await = Callable[..., "tuple[list[Ref], list[Ref]]"]


@dataclass(frozen=True, eq=False)
class Tracked:
    """The question which boards the tracker knows."""

    node: Node


@dataclass(frozen=True, eq=False)
class Ping:
    """The question whether an actor answers again: a device's, or a node's search or build."""

    node: Node
    what: RayDevice | Role


Question = Tracked | Ping


@dataclass(frozen=True, eq=False)
class WorkUnderWay:
    """A campaign's work, where it is done, and on which device where it measures.

    Attributes
    ----------
    artifact : Ref or None
        A build's second result, handed on without being fetched.
    """

    work: Work
    node: Node
    device: RayDevice | None = None
    artifact: Ref | None = None


class UnderWay:
    """All of it, by Ray's reference to its result."""

    def __init__(self, await_refs: Await) -> None:
        self._await = await_refs
        self._pending: dict[Any, WorkUnderWay | Question] = {}

    def add(self, ref: Ref, what: WorkUnderWay | Question) -> None:
        """Note what a result will be of."""
        self._pending[ref] = what

    def __bool__(self) -> bool:
        return bool(self._pending)

    @property
    def computing(self) -> int:
        """Searches and builds that do not stand still."""
        return sum(
            isinstance(p, WorkUnderWay) and p.device is None and not p.node.paused
            for p in self._pending.values()
        )

    @property
    def pings(self) -> list[Ping]:
        """Which actors were asked whether they answer."""
        return [p for p in self._pending.values() if isinstance(p, Ping)]

    def ended(self, timeout_s: float) -> Sequence[tuple[Ref, WorkUnderWay | Question]]:
        """Take out what has a result, or waits for the first of them for so long."""
        ready, _ = self._await(list(self._pending), num_returns=1, timeout=timeout_s)
        if ready:
            more, _ = self._await(list(self._pending), num_returns=len(self._pending), timeout=0)
            ready = more or ready
        return [(ref, self._pending.pop(ref)) for ref in ready]

    def take_of(self, node: Node) -> list[WorkUnderWay | Question]:
        """Take out what a node was asked, which will not answer."""
        refs = [ref for ref, pending in self._pending.items() if pending.node is node]
        return [self._pending.pop(ref) for ref in refs]

    def clear(self) -> None:
        """Wait for nothing any more."""
        self._pending.clear()
