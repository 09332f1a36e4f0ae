"""Libraries from what was tuned: coverage, the build itself, and its comparison with the reference."""

from orchestrator.builds.bench import BenchReport, bench_model
from orchestrator.builds.build import BuildReport, build_model
from orchestrator.builds.coverage import Coverage, TaskCoverage, coverage_of

__all__ = [
    "BenchReport",
    "BuildReport",
    "Coverage",
    "TaskCoverage",
    "bench_model",
    "build_model",
    "coverage_of",
]
