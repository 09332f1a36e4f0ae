"""Libraries from what was tuned: coverage, the build itself, its comparison with the reference, its run.

What is named here is imported when it is asked for: who reads of a service's times has neither TVM nor
what starts its processes.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.builds.bench import BenchReport, bench_model
    from orchestrator.builds.build import BuildReport, build_model
    from orchestrator.builds.coverage import Coverage, SetAside, TaskCoverage, coverage_of
    from orchestrator.builds.label import Label, read_label
    from orchestrator.builds.run import RunReport, run_library

__all__ = [
    "BenchReport",
    "BuildReport",
    "Coverage",
    "Label",
    "RunReport",
    "SetAside",
    "TaskCoverage",
    "bench_model",
    "build_model",
    "coverage_of",
    "read_label",
    "run_library",
]

_WHERE = {
    "bench": ("BenchReport", "bench_model"),
    "build": ("BuildReport", "build_model"),
    "coverage": ("Coverage", "SetAside", "TaskCoverage", "coverage_of"),
    "label": ("Label", "read_label"),
    "run": ("RunReport", "run_library"),
}


def __getattr__(name: str) -> Any:
    for module, names in _WHERE.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
