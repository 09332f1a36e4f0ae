"""The command line: arguments, tables, progress, exit codes. One file for each group of commands."""

from orchestrator.cli.program import app, main

__all__ = ["app", "main"]
