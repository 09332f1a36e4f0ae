"""The commands of this folder, in the order of the help."""

from __future__ import annotations

from orchestrator.cli.kit import options
from orchestrator.cli.kit.command import CommandGroup
from orchestrator.cli.setup.converters import converters
from orchestrator.cli.setup.converters_install import install_converter
from orchestrator.cli.setup.converters_use import use_converter
from orchestrator.cli.setup.database_check import check as database_check
from orchestrator.cli.setup.database_upgrade import upgrade as database_upgrade
from orchestrator.cli.setup.devices import devices
from orchestrator.cli.setup.devices_check import check as devices_check
from orchestrator.cli.setup.doctor import doctor
from orchestrator.cli.setup.engines import engines
from orchestrator.cli.setup.engines_install import install
from orchestrator.cli.setup.engines_use import use

__all__ = ["COMMANDS"]

_PANEL = options.PANELS.SETUP

COMMANDS = (
    CommandGroup("db", (database_upgrade, database_check), _PANEL, "Look after the database."),
    CommandGroup("devices", (devices_check,), _PANEL, leading=devices),
    CommandGroup("engines", (install, use), _PANEL, leading=engines),
    CommandGroup("converters", (install_converter, use_converter), _PANEL, leading=converters),
    doctor,
)
