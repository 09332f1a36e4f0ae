"""AutoTVM on classic TVM, composed of its roles; each is imported when it is first asked for."""

from __future__ import annotations

from functools import cached_property

from workers.enginekit.contract import Engine
from workers.enginekit.linkers import require_any_linker
from workers.enginekit.roles import (
    Build,
    Logs,
    Measure,
    Model,
    Plans,
    Profiles,
    Search,
    Targets,
    Toolchain,
)
from workers.engines.autotvm.traits import TRAITS

__all__ = ["AutoTVMEngine"]


class AutoTVMEngine(Engine):
    """See :class:`workers.enginekit.contract.Engine`."""

    traits = TRAITS

    def warm(self, role: str) -> None:
        """Import what the forks of `role` need. Imports start no thread here."""
        if role == "build":
            require_any_linker()
        # First: nothing may import tvm before it does.
        from workers.engines.autotvm import classic  # noqa: F401, I001
        from workers.engines.autotvm import build, measure, tasks  # noqa: F401

        if role == "search":
            from workers.engines.autotvm import search  # noqa: F401
        if role == "model":
            from workers.engines.autotvm import layouts, model  # noqa: F401

    @cached_property
    def toolchain(self) -> Toolchain:
        """The versions of TVM and LLVM."""
        from workers.engines.autotvm.toolchain import AutoTVMToolchain

        return AutoTVMToolchain()

    @cached_property
    def targets(self) -> Targets:
        """Targets as classic TVM writes them."""
        from workers.engines.autotvm.targets import AutoTVMTargets

        return AutoTVMTargets()

    @cached_property
    def search(self) -> Search:
        """AutoTVM's tuners."""
        from workers.engines.autotvm.search import AutoTVMSearches

        return AutoTVMSearches()

    @cached_property
    def build(self) -> Build:
        """Configurations, applied to their templates and compiled."""
        from workers.engines.autotvm.build import AutoTVMBuild

        return AutoTVMBuild()

    @cached_property
    def measure(self) -> Measure:
        """Times through TVM's RPC."""
        from workers.engines.autotvm.measure import AutoTVMMeasure

        return AutoTVMMeasure()

    @cached_property
    def model(self) -> Model:
        """Models in Relay."""
        from workers.engines.autotvm.model import AutoTVMModel

        return AutoTVMModel()

    @cached_property
    def profiles(self) -> Profiles:
        """The graph executor that is made for looking into."""
        from workers.engines.autotvm.profiles import AutoTVMProfiles

        return AutoTVMProfiles()

    @cached_property
    def plans(self) -> Plans:
        """The graph tuner."""
        from workers.engines.autotvm.plans import AutoTVMPlans

        return AutoTVMPlans()

    @cached_property
    def logs(self) -> Logs:
        """AutoTVM's JSON lines."""
        from workers.engines.autotvm.logs import AutoTVMLogs

        return AutoTVMLogs()
