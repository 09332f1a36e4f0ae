"""How many trials each task gets, given what is stored. Pure arithmetic: no Ray, no SQL, no clock."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.storage.rows import TaskStanding

__all__ = ["DEFAULT_TRIALS_PER_TASK", "NO_LIMIT", "PlannedTask", "WantedTask", "has_ended", "plan_tasks"]

#: Trials for each task where neither --trials nor --time says anything.
DEFAULT_TRIALS_PER_TASK = 64
#: A budget of this many trials stands for none: the campaign's time limit ends it. No number to show.
NO_LIMIT = 2**31 - 1


@dataclass(frozen=True)
class WantedTask:
    """A workload a campaign wants tuned on a device class; models that share it were merged before."""

    workload_hash: str
    device_class: str
    name: str
    weight: int
    flops: float


@dataclass(frozen=True)
class PlannedTask:
    """A task, its budget (stored trials included), and why it needs nothing, where it needs nothing.

    Attributes
    ----------
    tried : int
        Trials without which it can't be decided which layout its model has; 0 where that needs none of it.
    cap : int
        Trials that it gets until that is decided; 0 where it needs no limit.
    """

    task: WantedTask
    budget: int
    standing: TaskStanding
    satisfied: str = ""
    tried: int = 0
    cap: int = 0

    @property
    def missing(self) -> int:
        """Trials still to be measured."""
        return 0 if self.satisfied else max(0, self.budget - self.standing.stored)


def plan_tasks(
    tasks: Sequence[WantedTask],
    standings: Sequence[TaskStanding],
    *,
    trials: int | None,
    trials_per_task: int | None,
    plateau: int | None,
    timed: bool = False,
    least: Sequence[int] = (),
) -> list[PlannedTask]:
    """Split a budget over tasks.

    The split depends on the tasks alone, not on what is stored, so that the same request asks for the same
    trials again, and a second model that shares tasks with a first gets its own tasks their full share.

    Parameters
    ----------
    trials : int or None
        For all tasks together.
    trials_per_task : int or None
        For each task at most.
    plateau : int or None
        Trials without gain after which a task has had enough.
    timed : bool
        A time limit ends the campaign, so that no number of trials has to.
    least : sequence of int, optional
        Trials for each task at least, 0 for none; together no more than there are. Where there are enough,
        each gets one.
    """
    if trials is None:
        each = trials_per_task or (NO_LIMIT if timed else DEFAULT_TRIALS_PER_TASK)
        budgets = [each] * len(tasks)
    else:
        appetites = [_appetite(task) for task in tasks]
        budgets = _shares(appetites, trials, trials_per_task or trials)
        # A task without a trial has no time, and a model no sum of them.
        each_one = [max(1, amount) for amount in least or [0] * len(tasks)]
        if sum(each_one) <= trials:
            least = each_one
        # Who gets less than its least gets that, and the others share what is left, until it comes out.
        kept: dict[int, int] = {}
        while short := [i for i, amount in enumerate(least) if i not in kept and budgets[i] < amount]:
            kept |= {i: least[i] for i in short}
            others = [i for i in range(len(tasks)) if i not in kept]
            left = max(0, trials - sum(kept.values()))
            shares = _shares([appetites[i] for i in others], left, trials_per_task or trials)
            budgets = [kept.get(i, 0) for i in range(len(tasks))]
            for i, share in zip(others, shares, strict=True):
                budgets[i] = share
    return [
        PlannedTask(task, budget, standing, _enough(budget, standing, plateau))
        for task, budget, standing in zip(tasks, budgets, standings, strict=True)
    ]


def _enough(budget: int, standing: TaskStanding, plateau: int | None) -> str:
    if budget == 0:
        return "the budget is too small to give it a trial"
    if standing.stored >= budget:
        return f"{standing.stored} trials are stored already"
    return has_ended(standing, plateau)


def has_ended(standing: TaskStanding, plateau: int | None) -> str:
    """Say why no number of trials would bring a task any further; empty where they might."""
    if standing.exhausted:
        return f"its space was used up after {standing.stored} trials"
    if plateau is not None and standing.stored and standing.since_best >= plateau:
        return f"the last {standing.since_best} stored trials brought nothing better"
    return ""


def _appetite(task: WantedTask) -> float:
    """Weigh a task for its share of trials.

    Its time is not known before it is tuned; its arithmetic is. The square root keeps the share of the small
    ones from vanishing: they are many, and untuned code is slow for want of any good schedule at all.
    """
    return 1.0 + math.sqrt(max(0.0, task.flops) * task.weight) / 1e3


def _shares(appetites: list[float], total: int, most: int) -> list[int]:
    """Split `total` in proportion to `appetites`, none over `most`; largest remainders come first."""
    shares = [0] * len(appetites)
    left = min(total, most * len(appetites))
    while left > 0:
        hungry = [i for i, share in enumerate(shares) if share < most]
        weight = sum(appetites[i] for i in hungry)
        wanted = {i: left * appetites[i] / weight for i in hungry}
        given = {i: min(most - shares[i], math.floor(wanted[i])) for i in hungry}
        if not any(given.values()):
            # Less than one each is left: the largest parts get it.
            for i in sorted(hungry, key=lambda i: (-wanted[i], i))[:left]:
                shares[i] += 1
            break
        for i, amount in given.items():
            shares[i] += amount
        left -= sum(given.values())
    return shares
