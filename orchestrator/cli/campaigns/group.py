"""The commands of this folder, in the order of the help."""

from __future__ import annotations

from orchestrator.cli.campaigns.cancel import cancel
from orchestrator.cli.campaigns.coordinator import coordinator
from orchestrator.cli.campaigns.list_ import list_campaigns
from orchestrator.cli.campaigns.pause import pause
from orchestrator.cli.campaigns.priority import priority
from orchestrator.cli.campaigns.resume import resume
from orchestrator.cli.campaigns.show import show
from orchestrator.cli.campaigns.submit import submit
from orchestrator.cli.campaigns.trials import trials
from orchestrator.cli.campaigns.tune import tune
from orchestrator.cli.campaigns.watch import watch

__all__ = ["COMMANDS"]

COMMANDS = (
    *(tune, submit, coordinator),
    *(list_campaigns, show, watch, trials, resume, pause, cancel, priority),
)
