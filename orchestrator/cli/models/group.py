"""The commands of this folder, in the order of the help."""

from __future__ import annotations

from orchestrator.cli.models.bench import bench
from orchestrator.cli.models.best import best
from orchestrator.cli.models.build import build
from orchestrator.cli.models.convert import convert
from orchestrator.cli.models.profile import profile
from orchestrator.cli.models.run import run
from orchestrator.cli.models.tasks import tasks

__all__ = ["COMMANDS"]

COMMANDS = (convert, tasks, best, build, bench, profile, run)
