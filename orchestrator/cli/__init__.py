"""The command line: arguments, tables, progress, exit codes. One file for each group of commands."""

from orchestrator.cli._main import app, main

__all__ = ["app", "main"]
