"""MetaSchedule on apache-tvm 0.27, composed of its roles; each is imported when it is first asked for."""

from __future__ import annotations

import contextlib
from functools import cached_property

from workers.enginekit.contract import Engine
from workers.enginekit.cuda import has_runtime, without_torch
from workers.enginekit.linkers import host_linker, require_any_linker
from workers.enginekit.machine import usable_cores
from workers.enginekit.roles import (
    Build,
    Devices,
    Logs,
    Measure,
    Model,
    Profiles,
    Search,
    Targets,
    Toolchain,
)
from workers.engines.metaschedule.traits import TRAITS
from workers.errors import EngineError

__all__ = ["MetaScheduleEngine"]


class MetaScheduleEngine(Engine):
    """See :class:`workers.enginekit.contract.Engine`."""

    traits = TRAITS

    def warm(self, role: str) -> None:
        """Import what the forks of `role` need. Imports start no thread here."""
        # TVM finds it loaded, and not in the packages of this environment.
        has_runtime()
        with without_torch():
            import tvm

        if role == "build":
            require_any_linker()
            from workers.engines.metaschedule import parallel_loops

            with contextlib.suppress(EngineError):
                # Who builds for boards alone may have no linker for this machine. One model's library has it
                # compiled when it is linked, candidates have it from here.
                parallel_loops.compiled(host_linker(), usable_cores())
        if role in ("build", "model"):
            from workers.engines.metaschedule import build, model  # noqa: F401
        if role == "search":
            import xgboost  # noqa: F401

            from workers.engines.metaschedule import search
            from workers.engines.metaschedule._intrinsics import register_intrinsics

            del search
            import tvm.target

            register_intrinsics(tvm.target.Target("llvm"))
        if role == "measure":
            from workers.engines.metaschedule import devices, measure  # noqa: F401

    @cached_property
    def toolchain(self) -> Toolchain:
        """The versions of TVM and LLVM."""
        from workers.engines.metaschedule.toolchain import MetaScheduleToolchain

        return MetaScheduleToolchain()

    @cached_property
    def targets(self) -> Targets:
        """CPUs by LLVM, NVIDIA's GPUs by CUDA."""
        from workers.engines.metaschedule.targets import MetaScheduleTargets

        return MetaScheduleTargets()

    @cached_property
    def search(self) -> Search:
        """Evolutionary, with a cost model for all tasks."""
        from workers.engines.metaschedule.search import MetaScheduleSearches

        return MetaScheduleSearches()

    @cached_property
    def build(self) -> Build:
        """Traces, applied and compiled."""
        from workers.engines.metaschedule.build import MetaScheduleBuild

        return MetaScheduleBuild()

    @cached_property
    def measure(self) -> Measure:
        """Times through TVM's RPC."""
        from workers.engines.metaschedule.measure import MetaScheduleMeasure

        return MetaScheduleMeasure()

    @cached_property
    def model(self) -> Model:
        """Models in Relax."""
        from workers.engines.metaschedule.model import MetaScheduleModel

        return MetaScheduleModel()

    @cached_property
    def profiles(self) -> Profiles:
        """The virtual machine's instrument."""
        from workers.engines.metaschedule.profiles import MetaScheduleProfiles

        return MetaScheduleProfiles()

    @cached_property
    def devices(self) -> Devices:
        """TVM's RPC tracker and server, the latter with a compiler for CUDA."""
        from workers.engines.metaschedule.devices import MetaScheduleDevices

        return MetaScheduleDevices()

    @cached_property
    def logs(self) -> Logs:
        """A JSONDatabase."""
        from workers.engines.metaschedule.logs import MetaScheduleLogs

        return MetaScheduleLogs()
