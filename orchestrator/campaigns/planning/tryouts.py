"""Two layouts of a model that are close: each gets a few trials, and the one that wins gets the rest.

Which tasks that are, whether a budget is large enough for it, and who won. Pure: no Ray, no SQL, no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.campaigns.spec import DEFAULT_TRIALS_PER_TASK, CampaignSpec
from orchestrator.models.extraction import ExtractedModel, split_version
from orchestrator.storage.rows import NewLayoutDecision

__all__ = ["TRIAL_SECONDS", "TRIED", "TRIED_PART", "Key", "Tryout", "affordable", "capped_tasks"]

#: Trials of each task in which two layouts differ, before one of them is chosen. Stored ones count.
TRIED = 5
#: One part of so many of a campaign's trials may go to a layout that loses, and of its time to trying both.
TRIED_PART = 5
#: What a trial is taken to cost before any was made: search, build and measurement on two cores.
TRIAL_SECONDS = 1.0

#: A model of the store, and a device class.
Key = tuple[int, str]


@dataclass(frozen=True)
class Tryout:
    """Two layouts of one model on one device.

    Attributes
    ----------
    first, other : ExtractedModel
        As the engine chose it, and in the layout that came next.
    held : str
        The layout that the model has in this campaign: the first, until the other was chosen.
    decided : bool
        It is what was chosen.
    tried : int
        Trials of each task in which they differ; 0 where the budget is too small for that.
    known : NewLayoutDecision or None
        An earlier campaign's decision.
    """

    first: ExtractedModel
    other: ExtractedModel
    held: str
    decided: bool = False
    tried: int = TRIED
    known: NewLayoutDecision | None = None

    @property
    def key(self) -> Key:
        """What it is about."""
        return self.first.id, self.first.device.device_class

    @property
    def name(self) -> str:
        """Of the model."""
        return self.first.prepared.name

    @property
    def layouts(self) -> tuple[str, str]:
        """Of the first and the other."""
        return self.first.prepared.layout, self.other.prepared.layout

    @property
    def holder(self) -> ExtractedModel:
        """The model in the layout that it has."""
        return self.first if self.held == self.layouts[0] else self.other

    @property
    def left_out(self) -> ExtractedModel:
        """The model in the layout that it hasn't."""
        return self.other if self.held == self.layouts[0] else self.first

    @property
    def differing(self) -> dict[str, dict[str, int]]:
        """For each layout the workloads that it calls more or less often than the other: how often.

        All that a model spends time in are tasks, transforms too; what both call as often takes as long.
        """
        first, other = ({t.workload.hash: t.weight for t in m.tasks} for m in (self.first, self.other))
        return {
            layout: {key: calls for key, calls in of.items() if calls != against.get(key, 0)}
            for layout, of, against in zip(self.layouts, (first, other), (other, first), strict=True)
        }

    @property
    def needed(self) -> set[str]:
        """Workloads of which times are needed for a decision."""
        return {key for calls in self.differing.values() for key in calls}

    @property
    def own(self) -> dict[str, set[str]]:
        """For each layout the workloads that the other doesn't call at all."""
        first, other = ({t.workload.hash for t in m.tasks} for m in (self.first, self.other))
        return {self.layouts[0]: first - other, self.layouts[1]: other - first}

    def as_decided(self, layout: str) -> Tryout:
        """Return it with this layout as what was chosen."""
        return replace(self, held=layout, decided=True)

    def verdict(self, times: Mapping[str, float], over: str) -> NewLayoutDecision:
        """Say which layout takes less time, by the first trials of the tasks in which they differ.

        Parameters
        ----------
        times : mapping of str to float
            Seconds of one call, by workload; one of whose trials none succeeded is not in it.
        over : str
            Why they can't be told apart where times are missing.
        """
        first, other = self.layouts
        sums = {
            layout: sum(n * times[key] for key, n in calls.items()) if times.keys() >= calls.keys() else None
            for layout, calls in self.differing.items()
        }
        first_s, other_s = sums[first], sums[other]
        if first_s is None or other_s is None:
            return self._decision(
                first, other, None, None, f"by its estimate, and not against {other}: {over}"
            )
        faster, slower = (first, other) if first_s <= other_s else (other, first)
        fast_s, slow_s = sorted((first_s, other_s))
        return self._decision(
            faster,
            slower,
            fast_s,
            slow_s,
            f"tried out against {slower}, {self.tried} trials of each task: where they differ, it takes "
            f"{fast_s * 1e3:.3g} ms and {slower} {slow_s * 1e3:.3g} ms",
        )

    def _decision(
        self, chosen: str, other: str, chosen_s: float | None, other_s: float | None, reason: str
    ) -> NewLayoutDecision:
        version = split_version(self.first.engine_version)[0]
        return NewLayoutDecision(*self.key, version, chosen, other, chosen_s, other_s, reason)


def affordable(
    tryouts: Sequence[Tryout], spec: CampaignSpec, tasks: int
) -> tuple[tuple[Tryout, ...], tuple[str, ...]]:
    """Say which of them the budget allows, and of the others why not.

    It depends on the budget and the tasks alone, not on what is stored: the same request does the same again.

    Parameters
    ----------
    tasks : int
        Of the campaign, each model in its first layout.
    """
    allowed: list[Tryout] = []
    remarks: list[str] = []
    lost = 0
    seconds = 0.0
    for tryout in tryouts:
        loses = TRIED * max(map(len, tryout.own.values()))
        takes_s = TRIED * len(tryout.needed) * TRIAL_SECONDS
        why = _too_much(spec, tasks, lost + loses, seconds + takes_s)
        if not why:
            lost, seconds = lost + loses, seconds + takes_s
            allowed.append(replace(tryout, tried=TRIED))
            continue
        allowed.append(replace(tryout, tried=0))
        if not tryout.decided:
            first, other = tryout.layouts
            remarks.append(
                f"{tryout.name}: the layouts {first} and {other} are close by their estimates, and were not "
                f"tried out, since {why}; {first} it is"
            )
    return tuple(allowed), tuple(remarks)


def _too_much(spec: CampaignSpec, tasks: int, lost: int, seconds: float) -> str:
    """Say why a budget doesn't allow so many trials for layouts that lose; empty where it does."""
    if spec.tasks is not None:
        return "only some of the tasks are tuned"
    if spec.trials_per_task is not None and spec.trials_per_task < TRIED:
        return f"that takes {TRIED} trials of each task in which they differ"
    limits = [limit for limit in (spec.trials, (spec.trials_per_task or 0) * tasks) if limit]
    if not limits and spec.time_s is None:
        limits = [DEFAULT_TRIALS_PER_TASK * tasks]
    if limits and TRIED_PART * lost > min(limits):
        return f"{lost} trials of the one that loses are more than a fifth of {min(limits)}"
    if spec.time_s is not None and TRIED_PART * seconds > spec.time_s:
        return f"that takes about {seconds:.0f} s, more than a fifth of the time"
    return ""


def capped_tasks(tryouts: Iterable[Tryout], certain: Iterable[ExtractedModel]) -> set[tuple[str, str]]:
    """Return the tasks, by workload and device class, that get no more than a few trials until it is decided.

    Those that some decision may make nobody's.

    Parameters
    ----------
    tryouts : iterable of Tryout
        That aren't decided.
    certain : iterable of ExtractedModel
        Models whose layout is.
    """
    sure = {(task.workload.hash, model.device.device_class) for model in certain for task in model.tasks}
    doubtful: set[tuple[str, str]] = set()
    for tryout in tryouts:
        device_class = tryout.key[1]
        doubtful |= {(key, device_class) for keys in tryout.own.values() for key in keys}
        shared = {task.workload.hash for task in tryout.first.tasks} - tryout.own[tryout.layouts[0]]
        sure |= {(key, device_class) for key in shared}
    return doubtful - sure
