"""The roles, put together."""

from __future__ import annotations

from functools import cached_property

from workers.enginekit.contract import Engine
from workers.enginekit.roles import Model

from .build import ToyBuild
from .devices import ToyDevices
from .measure import ToyMeasure
from .search import ToySearch
from .targets import ToyTargets
from .toolchain import ToyToolchain
from .traits import TRAITS

__all__ = ["ToyEngine"]


class ToyEngine(Engine):
    """Matrix products in plain C."""

    traits = TRAITS
    # They are small and start no thread; what needs a large library is imported when it is asked for.
    toolchain = ToyToolchain()
    targets = ToyTargets()
    search = ToySearch()
    build = ToyBuild()
    measure = ToyMeasure()
    devices = ToyDevices()

    def warm(self, role: str) -> None:
        """Import what the forks of `role` need."""
        if role == "model":
            from . import model  # noqa: F401

    @cached_property
    def model(self) -> Model:
        """Chains of matrix products."""
        from .model import ToyModel

        return ToyModel()
