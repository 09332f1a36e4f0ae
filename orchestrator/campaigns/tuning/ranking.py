"""Which task's next round promises most."""

from __future__ import annotations

import math

from orchestrator.campaigns.tuning.tasks import TaskProgress

__all__ = ["STILL_TO_GAIN", "Ranking"]

#: What a task may still save, of the time that the fastest of its kind would take for its arithmetic.
STILL_TO_GAIN = 0.2


class Ranking:
    """What tasks have reached, by which others of their kind are judged."""

    def __init__(self) -> None:
        # Operations a second of the fastest task, by device class and kind.
        self._rates: dict[tuple[str, str], float] = {}

    def note(self, task: TaskProgress) -> None:
        """Note how fast a task is, for others of its kind."""
        if task.task.kind and task.task.flops and math.isfinite(task.best_s):
            key = task.task.device_class, task.task.kind
            self._rates[key] = max(self._rates.get(key, 0.0), task.task.flops / task.best_s)

    def promise(self, task: TaskProgress) -> tuple[float, float]:
        """Rank a task by what its next round may bring; the greatest comes first.

        A task without a result comes first, the one with most arithmetic before the others. Then what of the
        model's time the task may still save, per trial spent on it so far: gains shrink about as fast as the
        trials grow, and a task that takes no time has none to give. Nor has one that is as fast as its like
        already: what another task of its kind reaches per operation is about what this one can reach.
        """
        weight = task.task.weight
        if math.isinf(task.best_s):
            return (1.0, weight * task.task.flops / (1 + task.stored))
        rate = self._rates.get((task.task.device_class, task.task.kind), math.inf)
        within_reach = (1 - STILL_TO_GAIN) * task.task.flops / rate
        return (0.0, weight * (task.best_s - within_reach) / (1 + task.stored))
