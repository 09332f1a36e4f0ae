"""What is pure is so when it is imported: a fresh interpreter that has it has neither SQL, Ray nor TVM."""

from __future__ import annotations

import subprocess
import sys

import pytest

PURE = (
    "orchestrator.campaigns.planning.budgets",
    "orchestrator.campaigns.scheduling.shares",
    "orchestrator.campaigns.tuning.actions",
    "orchestrator.campaigns.tuning.contenders",
    "orchestrator.campaigns.tuning.events",
    "orchestrator.campaigns.tuning.ledger",
    "orchestrator.campaigns.tuning.limits",
    "orchestrator.campaigns.tuning.machine",
    "orchestrator.campaigns.tuning.ranking",
    "orchestrator.campaigns.tuning.remeasurement",
    "orchestrator.campaigns.tuning.rounds",
    "orchestrator.campaigns.tuning.tasks",
    "orchestrator.fleet.port",
)
HEAVY = (
    "numpy",
    "onnx",
    "psutil",
    "pydantic",
    "ray",
    "sqlalchemy",
    "tvm",
    "workers.actors",
    "workers.process",
)


@pytest.mark.parametrize("module", PURE)
def test_a_pure_module_brings_in_nothing_that_is_not(module: str) -> None:
    code = f"import sys, {module}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
