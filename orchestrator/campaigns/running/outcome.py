"""How a run of a campaign ended."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.builds.bench import BenchReport
from orchestrator.campaigns.tuning.progress import MoreTime
from orchestrator.storage import CampaignRow

__all__ = ["Outcome"]


@dataclass(frozen=True)
class Outcome:
    """How a run of a campaign ended.

    Attributes
    ----------
    reports : tuple of BenchReport
        One for each model, where it was verified.
    measured : int
        Trials recorded by this run.
    already_stored : int
        Stored trials that counted toward the budget when it began.
    plan_missing : int or None
        Trials the plan asked for; None where only time is a limit.
    interrupted : bool
        By Ctrl-C or SIGTERM: the campaign is paused.
    remarks : tuple of str
        What was left out for want of time, or is late.
    more_time : MoreTime or None
        What as much time again would bring, where that can be told.
    parts_s : dict of str to float
        Where this run's seconds went: ``planning``, ``checking``, ``workers`` (which it waited for),
        ``tuning``, ``building`` and ``comparing``, as far as it came.
    revalidated : int
        Trials of another toolchain that this run measured with its own.
    """

    campaign: CampaignRow
    reports: tuple[BenchReport, ...]
    measured: int
    already_stored: int
    plan_missing: int | None
    interrupted: bool
    remarks: tuple[str, ...] = ()
    more_time: MoreTime | None = None
    parts_s: dict[str, float] = field(default_factory=dict)
    revalidated: int = 0
