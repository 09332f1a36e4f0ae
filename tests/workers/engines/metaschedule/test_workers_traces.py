"""Applying traces: what it leaves alone, and that what a search proposes applies to its workload."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("traces_applied.py")
SPACES = ("mean", "bytes", "windows", "products")


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Any]:
    """What became of the modules, by the space that the traces are of."""
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("space", ["without threads", *SPACES])
def test_applying_a_trace_does_not_change_the_module_it_is_applied_to(
    outcomes: dict[str, Any], space: str
) -> None:
    outcome = outcomes[space]
    assert outcome["applied"] > 0
    assert (outcome["changed"], outcome["now"]) == (0, True)


@pytest.mark.parametrize("space", ["without threads", *SPACES])
def test_what_a_search_proposes_applies_to_its_workload(outcomes: dict[str, Any], space: str) -> None:
    assert outcomes[space]["refused"] == []


def test_lending_a_schedule_does_not_change_the_module_that_takes_it(outcomes: dict[str, Any]) -> None:
    assert outcomes["lent"]["fitted"] > 0
    assert outcomes["lent"]["changed"] == 0


def test_asking_the_database_does_not_change_the_module_it_is_asked_for(outcomes: dict[str, Any]) -> None:
    assert outcomes["database"] == {"found": 6, "changed": 0}


def test_the_traces_are_of_spaces_with_and_without_threads_and_of_tensorized_ones(
    outcomes: dict[str, Any],
) -> None:
    assert 0 < outcomes["mean"]["parallel"] < outcomes["mean"]["applied"]
    assert outcomes["bytes"]["tensorized"] > 0
    assert outcomes["without threads"]["parallel"] == 0
