"""Where the time of one inference goes."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Call", "Kernel", "Profile"]


@dataclass(frozen=True)
class Kernel:
    """A kernel of a library, or a node of onnxruntime's optimized graph, with all its calls in one inference.

    Attributes
    ----------
    workload : str
        Hash of the workload; empty where it is no task's.
    calls : int
    seconds : float
        All its calls together, the median of the runs.
    does : str
        What both have in common: ``products``, ``largest``, ``mean``, ``softmax`` or ``side by side``. Empty
        where it is something else.
    outputs, products : int
        Elements that a call computes, and products summed for each; 0 products where it is no sum of them.
    """

    name: str
    workload: str
    calls: int
    seconds: float
    does: str = ""
    outputs: int = 0
    products: int = 0


@dataclass(frozen=True)
class Call:
    """One call of a kernel: when it began in its inference, and what it took (seconds)."""

    name: str
    began_s: float
    seconds: float


@dataclass(frozen=True)
class Profile:
    """What was seen of several inferences.

    Attributes
    ----------
    calls : tuple of Call
        Of the inference whose kernels took the middle time, in their order.
    """

    kernels: tuple[Kernel, ...]
    calls: tuple[Call, ...]
