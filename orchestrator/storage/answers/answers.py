"""All questions that can be asked of the stored trials."""

from __future__ import annotations

from orchestrator.storage.answers.best import BestAnswer
from orchestrator.storage.answers.compare import CompareAnswer
from orchestrator.storage.answers.curve import CurveAnswer
from orchestrator.storage.answers.failures import FailuresAnswer
from orchestrator.storage.answers.history import HistoryAnswer
from orchestrator.storage.answers.points import PointsAnswer
from orchestrator.storage.answers.slowest import SlowestAnswer
from orchestrator.storage.answers.timeline import TimelineAnswer

__all__ = ["Answers"]


class Answers(
    BestAnswer,
    HistoryAnswer,
    SlowestAnswer,
    FailuresAnswer,
    CompareAnswer,
    CurveAnswer,
    PointsAnswer,
    TimelineAnswer,
):
    """What people ask of the trials, for anyone to ask.

    Times are compared within a device class and nowhere else.
    """
