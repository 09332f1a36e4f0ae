"""The line that says what is going on, on a terminal and elsewhere."""

from __future__ import annotations

import io

from rich.console import Console

from orchestrator.cli.kit.steps import Steps


def said(*, terminal: bool) -> str:
    file = io.StringIO()
    with Steps(Console(file=file, force_terminal=terminal, width=80)) as steps:
        steps("checked 5,000 trials")
        steps("checked 10,000 trials")
        steps.briefly("reading the schedule of dense")
        steps("storing 10,000 trials")
    return file.getvalue()


def test_where_lines_stay_what_only_counts_on_is_said_once() -> None:
    assert said(terminal=False) == "checked 5,000 trials\nstoring 10,000 trials\n"


def test_a_terminal_shows_every_step() -> None:
    for text in ("checked 5,000", "checked 10,000", "reading the schedule of dense", "storing"):
        assert text in said(terminal=True)
