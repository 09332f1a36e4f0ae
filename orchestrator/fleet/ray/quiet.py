"""Searches and builds that stand still, so that something is measured in quiet."""

from __future__ import annotations

import contextlib

import ray

from orchestrator.fleet.ray.node import Node
from orchestrator.fleet.ray.nodes import STOP_SECONDS, Nodes

__all__ = ["pause_node", "release_nodes", "reserve_node", "resume_node"]


def pause_node(node: Node) -> None:
    """Have searches and builds on a node stand still."""
    if not node.paused:
        node.paused = True
        _tell(node, "pause")


def resume_node(node: Node) -> None:
    """Let them go on, unless the node's cores are reserved."""
    if node.paused and not node.held:
        node.paused = False
        _tell(node, "resume")


def reserve_node(node: Node) -> bool:
    """Have nothing run on a node's cores; say whether that is so by now."""
    node.held = True
    if node.measuring_on_cores:
        return False
    pause_node(node)
    return True


def release_nodes(nodes: Nodes) -> None:
    """Let those go on whose cores are reserved."""
    for node in nodes.present:
        if node.held:
            node.held = node.paused = False
            _tell(node, "resume")


def _tell(node: Node, method: str) -> None:
    with contextlib.suppress(ray.exceptions.RayError):  # one that died stands still already
        actors = [a for a in (node.search, node.build) if a is not None]
        ray.get([getattr(actor, method).remote() for actor in actors], timeout=STOP_SECONDS)
