"""Which task's next round promises most."""

from __future__ import annotations

import math
import re
import statistics

from orchestrator.campaigns.tuning.tasks import TaskProgress

__all__ = ["LIKE_OTHERS", "STILL_TO_GAIN", "UNTRIED", "Ranking"]

#: What a task may still save, of the time that the fastest of its kind would take for its arithmetic.
STILL_TO_GAIN = 0.2
#: The part of the fastest rate of all sums of products that any other of them is taken to reach.
LIKE_OTHERS = 0.6
#: How much longer than it can take a task is taken to take of which nothing was tried.
UNTRIED = 2.5
#: Seconds that an untried task that is no sum of products may save at least. What it can take isn't known by
#: its arithmetic: what moves a large image has none, and without a trial may take ten times what it has to.
UNTRIED_SECONDS = 1e-3
# Operators that are sums of products, whatever an engine calls them.
_PRODUCTS = re.compile("conv|matmul|dense|gemm|product")


class Ranking:
    """What tasks have reached, by which others of their kind are judged."""

    def __init__(self) -> None:
        # Operations a second of the fastest task, by device class and kind; and of sums of products of any.
        self._rates: dict[str, dict[str, float]] = {}
        self._products: dict[str, float] = {}

    def note(self, task: TaskProgress) -> None:
        """Note how fast a task is, for others of its kind."""
        device_class, kind = task.task.device_class, task.task.kind
        if kind and task.task.flops and math.isfinite(task.best_s):
            rate = task.task.flops / task.best_s
            rates = self._rates.setdefault(device_class, {})
            rates[kind] = max(rates.get(kind, 0.0), rate)
            if _PRODUCTS.search(kind):
                self._products[device_class] = max(self._products.get(device_class, 0.0), rate)

    def promise(self, task: TaskProgress) -> tuple[float, float]:
        """Rank a task by what its next round may bring; the greatest comes first.

        That is what of the model's time the task may still save, per trial spent on it so far: gains shrink
        about as fast as the trials grow, and a task that takes no time has none to give. Nor has one that is
        as fast as its like already: what another task of its kind reaches per operation is about what this
        one can reach. A task without a result is judged by what it takes in the model's first library; where
        nobody looked into that, by what others reach alone, so that a model's dearest tasks need not wait for
        the first round of all that take next to nothing. While nothing at all is known, the one with most
        arithmetic comes first.
        """
        weight, flops = task.task.weight, task.task.flops
        rate = self._rate(task)
        now_s = task.task.inside_s if math.isinf(task.best_s) else task.best_s
        if now_s is not None:
            within_reach_s = 0.0 if rate is None else (1 - STILL_TO_GAIN) * flops / rate
            return (0.0, weight * (now_s - within_reach_s) / (1 + task.stored))
        if rate is None:
            return (1.0, weight * flops / (1 + task.stored))
        least_s = 0.0 if _PRODUCTS.search(task.task.kind) else UNTRIED_SECONDS
        gain_s = max(least_s, (UNTRIED - 1 + STILL_TO_GAIN) * flops / rate)
        return (0.0, weight * gain_s / (1 + task.stored))

    def _rate(self, task: TaskProgress) -> float | None:
        """Return the operations a second that a task can reach, as far as others tell that."""
        device_class, kind = task.task.device_class, task.task.kind
        rates = self._rates.get(device_class, {})
        found = rates.get(kind, 0.0)
        if _PRODUCTS.search(kind):
            found = max(found, LIKE_OTHERS * self._products.get(device_class, 0.0))
        if not found and math.isinf(task.best_s) and rates:
            found = statistics.median(rates.values())
        return found or None
