"""What was decided about the layouts of models."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

__all__ = ["LayoutDecisionRow", "NewLayoutDecision", "TaskChange"]


@dataclass(frozen=True)
class NewLayoutDecision:
    """Which of two layouts a model gets on a device class, as far as one campaign can tell.

    Attributes
    ----------
    engine_version : str
        Of the engine alone, without a layout.
    chosen, other : str
        Layouts, as :attr:`workers.messages.Extraction.layout` names them.
    chosen_s, other_s : float or None
        Seconds of one inference that the tasks take in which they differ, by the first trials of each; None
        where one of them had no time. Such a decision counts for its campaign alone.
    reason : str
        One sentence, for people.
    """

    model_id: int
    device_class: str
    engine_version: str
    chosen: str
    other: str
    chosen_s: float | None
    other_s: float | None
    reason: str


@dataclass(frozen=True)
class LayoutDecisionRow:
    """A decision that was taken."""

    id: int
    campaign_id: int | None
    model_id: int
    device_class: str
    engine_version: str
    chosen: str
    other: str
    chosen_s: float | None
    other_s: float | None
    reason: str
    created_at: datetime


@dataclass(frozen=True)
class TaskChange:
    """What a decision makes of a task of its campaign.

    Attributes
    ----------
    weight : int
        Calls in all models of the campaign, in the layouts they now have; 0 where none has the task.
    budget : int
        Trials in all, where it is open.
    closed : str
        Why it gets no more of them, where it is open; empty where it stays so.
    """

    task_id: int
    weight: int
    budget: int
    closed: str = ""
