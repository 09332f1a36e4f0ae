"""From the times of single calls to a profile: what engines and the reference share."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

from workers.messages import Call, Kernel, Profile

__all__ = ["DOES", "WARMUP", "does", "profile_of", "warmed_up"]

#: Runs before those that count, at least: the first ones allocate.
WARMUP = 3
# And the seconds that they take: so long two threads may share a core before each has its own.
_WARMUP_SECONDS = 0.15
#: What a kernel of TVM and a node of onnxruntime are called, by what they do; one that does several things
#: counts as the first.
DOES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "products": (("conv", "matmul", "dense", "gemm"), ("Conv", "MatMul", "Gemm")),
    "largest": (("max_pool",), ("MaxPool",)),
    "mean": (("avg_pool", "mean"), ("AveragePool", "ReduceMean")),
    "softmax": (("softmax",), ("Softmax",)),
    "side by side": (("concatenate",), ("Concat",)),
}


def does(name: str, *, node: bool = False) -> str:
    """Say what a kernel of TVM, or a node of onnxruntime, does by what it is called; see :class:`Kernel`."""
    return next((word for word, names in DOES.items() if any(part in name for part in names[node])), "")


def warmed_up(run: Callable[[], object]) -> int:
    """Run what is to be looked into until it runs as it always will; return how often that was."""
    began, runs = time.monotonic(), 0
    while runs < WARMUP or time.monotonic() < began + _WARMUP_SECONDS:
        run()
        runs += 1
    return runs


def profile_of(runs: Sequence[Sequence[Call]], describe: Callable[[str, int, float], Kernel]) -> Profile:
    """Return the median of each kernel over the runs, and the calls of the run in the middle.

    Parameters
    ----------
    runs : sequence of sequence of Call
        Each run's calls in their order; the same kernels in each.
    describe : callable
        Makes a kernel of its name, its calls and its seconds in one run.
    """
    sums: list[dict[str, float]] = []
    for run in runs:
        times: dict[str, float] = {}
        for call in run:
            times[call.name] = times.get(call.name, 0.0) + call.seconds
        sums.append(times)
    counts: dict[str, int] = {}
    for call in runs[0]:
        counts[call.name] = counts.get(call.name, 0) + 1
    kernels = tuple(
        describe(name, count, statistics.median(times.get(name, 0.0) for times in sums))
        for name, count in counts.items()
    )
    order = sorted(range(len(runs)), key=lambda place: sum(sums[place].values()))
    return Profile(kernels, tuple(runs[order[len(order) // 2]]))
