"""Kernels of a library beside the nodes of onnxruntime that compute the same."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workers.messages import Kernel

__all__ = ["Gap", "counterparts", "gaps"]

#: How many times more outputs, and products of each, onnxruntime may have: its blocked layouts round channels
#: up to blocks of 8 or 16. The kernel that is nearest is its counterpart.
ROUNDED = 2.0


@dataclass(frozen=True)
class Gap:
    """A task of a model beside onnxruntime.

    Attributes
    ----------
    workload_hash : str
        Empty where it is no task's, as calls of the virtual machine are.
    seconds : float
        All its calls in one inference.
    flops : float
        Operations of one call; 0 where that is not known.
    alone_s : float or None
        What as many calls take by its best record, where it was measured alone.
    reference_s : float or None
        What onnxruntime takes for as many calls; None where it does nothing that is the same.
    """

    name: str
    workload_hash: str
    calls: int
    seconds: float
    flops: float = 0.0
    alone_s: float | None = None
    reference_s: float | None = None

    @property
    def gflops(self) -> float | None:
        """Billions of operations a second; None where the operations aren't known."""
        return self.flops * self.calls / self.seconds / 1e9 if self.flops and self.seconds else None

    @property
    def lost_s(self) -> float:
        """Seconds of an inference that onnxruntime doesn't spend on the same: all, without a counterpart."""
        return self.seconds - (self.reference_s or 0.0)


def counterparts(kernels: Sequence[Kernel], nodes: Sequence[Kernel]) -> dict[str, list[Kernel]]:
    """Return the nodes that compute what a kernel does, by the kernel's name.

    Convolutions and matrix products are matched by what they compute: as many outputs, each a sum of as many
    products; poolings, concatenations and softmaxes by their outputs. What onnxruntime fuses otherwise has no
    counterpart.
    """
    found: dict[str, list[Kernel]] = {}
    for node in nodes:
        fits = [
            (more * each, (kernel.outputs, kernel.products))
            for kernel in kernels
            if node.does == kernel.does != ""
            and kernel.outputs
            and 1 <= (more := node.outputs / kernel.outputs) <= ROUNDED
            and 1 <= (each := (node.products or 1) / (kernel.products or 1)) <= ROUNDED
        ]
        _, nearest = min(fits, default=(0.0, (0, 0)))
        for kernel in kernels:
            if fits and (kernel.does, (kernel.outputs, kernel.products)) == (node.does, nearest):
                found.setdefault(kernel.name, []).append(node)
    return found


def gaps(
    kernels: Sequence[Kernel],
    nodes: Sequence[Kernel],
    names: Mapping[str, str],
    flops: Mapping[str, float],
    best_s: Mapping[str, float | None],
) -> list[Gap]:
    """Hold each task against onnxruntime, those first that lose most.

    Parameters
    ----------
    names, flops, best_s : mapping of str
        Of the tasks, by the hash of the workload: what they are called, operations and seconds of one call.
    """
    matched = counterparts(kernels, nodes)
    tasks: dict[str, list[Kernel]] = {}
    for kernel in kernels:
        tasks.setdefault(kernel.workload or kernel.name, []).append(kernel)
    found = []
    for key, members in tasks.items():
        calls = sum(kernel.calls for kernel in members)
        same = {node.name: node for kernel in members for node in matched.get(kernel.name, ())}
        # Several tasks may compute sums of the same size, a wide and a narrow filter say: each gets the mean.
        each = statistics.fmean(node.seconds / node.calls for node in same.values()) if same else None
        best = best_s.get(key)
        found.append(
            Gap(
                names.get(key, key),
                members[0].workload,
                calls,
                sum(kernel.seconds for kernel in members),
                flops.get(key, 0.0),
                None if best is None else best * calls,
                None if each is None else each * calls,
            )
        )
    return sorted(found, key=lambda gap: -gap.lost_s)
