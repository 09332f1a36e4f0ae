"""Libraries from what was tuned: coverage, the build itself, its comparison with the reference, its run."""

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
