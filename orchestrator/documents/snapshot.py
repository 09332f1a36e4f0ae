"""A campaign as the store has it at one moment, and what follows from that: how far it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from orchestrator.campaigns.planning.budgets import NO_LIMIT
from orchestrator.documents.text import device_text, gflops
from orchestrator.storage import TaskState

if TYPE_CHECKING:
    from orchestrator.storage import CampaignModelRow, CampaignRow, CampaignTaskRow, Storage

__all__ = ["NO_LIMIT", "Snapshot", "TaskLine", "limit_or_none", "read_snapshot", "snapshot_of"]


@dataclass(frozen=True)
class TaskLine:
    """A task as it is shown in a row of a table.

    Attributes
    ----------
    expected_s : float or None
        Seconds of all its calls in one inference, see :meth:`.CampaignTaskRow.expected_s`.
    share : float or None
        Part of the expected time of all tasks on its device class that have one.
    """

    row: CampaignTaskRow
    expected_s: float | None
    share: float | None

    @property
    def gflops(self) -> float | None:
        """Speed of the best."""
        return gflops(self.row.flops, self.row.best_s)


@dataclass(frozen=True)
class Snapshot:
    """A campaign, its model files and its tasks."""

    campaign: CampaignRow
    models: tuple[CampaignModelRow, ...]
    tasks: tuple[CampaignTaskRow, ...]

    @property
    def model_names(self) -> list[str]:
        """Names of the models, without folder and suffix."""
        return [
            model.model_name or model.path.rsplit("/", 1)[-1].removesuffix(".onnx") for model in self.models
        ]

    @property
    def device_classes(self) -> list[str]:
        """What it tunes for; before the tasks are known, the targets as they were asked for."""
        found = list(dict.fromkeys(device_text(task.device_class) for task in self.tasks))
        return found or [str(target) for target in self.campaign.spec.get("targets", ())]

    @property
    def done(self) -> int:
        """Stored trials that count toward the budget."""
        return sum(min(task.stored, task.budget) for task in self.tasks)

    @property
    def total(self) -> int | None:
        """Trials there will be; None where only time ends the campaign.

        A task that ended early needs no more than it has.
        """
        if any(task.budget >= NO_LIMIT and task.state is TaskState.OPEN for task in self.tasks):
            return None
        return sum(
            task.budget if task.state is TaskState.OPEN else min(task.stored, task.budget)
            for task in self.tasks
        )

    @property
    def measured(self) -> int:
        """Trials this campaign measured."""
        return sum(task.measured for task in self.tasks)

    @property
    def saved(self) -> int:
        """Trials that counted toward the budget and that it found stored: those it need not measure."""
        return sum(min(task.stored_before, task.budget) for task in self.tasks)

    @property
    def failures(self) -> int:
        """Those of them that failed."""
        return sum(task.measured_failures for task in self.tasks)

    @property
    def stale(self) -> int:
        """Trials of its tasks that were measured with another toolchain than the device is now."""
        return sum(task.stale for task in self.tasks)

    @property
    def stale_bests(self) -> int:
        """Tasks whose best is one of these."""
        return sum(task.best_stale for task in self.tasks)

    @property
    def open(self) -> int:
        """Tasks that want more trials."""
        return sum(task.state is TaskState.OPEN for task in self.tasks)

    @property
    def timed(self) -> int:
        """Tasks that have a best time."""
        return sum(task.best_s is not None for task in self.tasks)

    @property
    def expected_s(self) -> float | None:
        """Seconds that the tasks take in one inference of all models, on all device classes.

        Those of which that is known, see :meth:`.CampaignTaskRow.expected_s`.
        """
        times = [task.expected_s for task in self.tasks if task.expected_s is not None]
        return sum(times) if times else None

    @property
    def seen(self) -> int:
        """Tasks without a best time of which it is known what they take inside their models."""
        return sum(task.best_s is None and task.inside is not None for task in self.tasks)

    @property
    def time_s(self) -> float | None:
        """Wall-clock budget in seconds."""
        value = self.campaign.spec.get("time_s")
        return None if value is None else float(value)

    def without_stale(self) -> Snapshot:
        """Return the same without times of another toolchain."""
        none: dict[str, Any] = {"best_s": None, "best_trial_id": None, "best_at": None, "best_stale": False}
        return replace(self, tasks=tuple(replace(t, **none) if t.best_stale else t for t in self.tasks))

    def lines(self) -> list[TaskLine]:
        """Return the tasks, those first on which most of the time rests, then the untimed by arithmetic."""
        sums: dict[str, float] = {}
        for task in self.tasks:
            sums[task.device_class] = sums.get(task.device_class, 0.0) + (task.expected_s or 0.0)
        lines = []
        for task in self.tasks:
            expected = task.expected_s
            whole = sums.get(task.device_class, 0.0)
            lines.append(
                TaskLine(task, expected, expected / whole if expected is not None and whole else None)
            )
        return sorted(
            lines,
            key=lambda line: (
                line.expected_s is None,
                -(line.expected_s or 0.0),
                -line.row.flops * line.row.weight,
            ),
        )


def read_snapshot(store: Storage, campaign_id: int | str) -> Snapshot:
    """Read a campaign by its number or name.

    Raises
    ------
    NotFoundError
    """
    return snapshot_of(store, store.campaigns.get(campaign_id))


def snapshot_of(store: Storage, row: CampaignRow) -> Snapshot:
    """Read the models and the tasks of a campaign."""
    return Snapshot(row, tuple(store.campaigns.models(row.id)), tuple(store.tasks.of_campaign(row.id)))


def limit_or_none(trials: int) -> int | None:
    """Return a budget of trials; None where it stands for no limit."""
    return trials if trials < NO_LIMIT else None
