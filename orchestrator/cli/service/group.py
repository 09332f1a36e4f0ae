"""The commands of this folder, in the order of the help."""

from __future__ import annotations

from orchestrator.cli.kit import options
from orchestrator.cli.kit.command import CommandGroup
from orchestrator.cli.service.report import report
from orchestrator.cli.service.serve import serve
from orchestrator.cli.service.tokens import create, list_tokens, revoke

__all__ = ["COMMANDS"]

COMMANDS = (
    serve,
    report,
    CommandGroup(
        "tokens",
        (create, list_tokens, revoke),
        options.PANELS.SETUP,
        "Say who may do what through the service.",
    ),
)
