"""The commands of this folder, in the order of the help; ``best`` without a model is in this folder, too."""

from __future__ import annotations

from orchestrator.cli.answers.compare import compare
from orchestrator.cli.answers.failures import failures
from orchestrator.cli.answers.history import history
from orchestrator.cli.answers.slowest import slowest

__all__ = ["COMMANDS"]

COMMANDS = (history, slowest, failures, compare)
