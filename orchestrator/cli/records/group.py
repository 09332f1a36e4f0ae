"""The commands of this folder, in the order of the help."""

from __future__ import annotations

from orchestrator.cli.kit import options
from orchestrator.cli.kit.command import CommandGroup
from orchestrator.cli.records.export import export
from orchestrator.cli.records.import_ import import_
from orchestrator.cli.records.keygen import keygen
from orchestrator.cli.records.merge import merge
from orchestrator.cli.records.prune import prune
from orchestrator.cli.records.revalidate import revalidate_records
from orchestrator.cli.records.stats import stats

__all__ = ["COMMANDS"]

COMMANDS = (
    CommandGroup(
        "records",
        (import_, export, merge, revalidate_records, prune, stats, keygen),
        options.PANELS.MODELS,
        "Exchange, sign, merge, revalidate, prune and count the records of a store.",
    ),
)
