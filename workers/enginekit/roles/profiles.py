"""Where a library's time goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from workers.errors import UsageError
from workers.messages import Array, CompiledModel, PreparedModel, Profile, Traits

__all__ = ["NoProfiles", "Profiles"]


class Profiles(Protocol):
    """Times the kernels of a library where they run, inside the model."""

    def profile(
        self,
        model: PreparedModel,
        compiled: CompiledModel,
        inputs: Mapping[str, Array],
        target: str,
        runs: int,
    ) -> Profile:
        """Run a library `runs` times on this machine, and time each call of a kernel.

        Parameters
        ----------
        model : PreparedModel
            What it was compiled from: kernels are named after its tasks.
        """


class NoProfiles:
    """For an engine that can't look into its libraries: it is refused, by its name."""

    def __init__(self, traits: Traits) -> None:
        self._traits = traits

    def profile(
        self,
        model: PreparedModel,
        compiled: CompiledModel,
        inputs: Mapping[str, Array],
        target: str,
        runs: int,
    ) -> Profile:
        """Refuse.

        Raises
        ------
        UsageError
        """
        del model, compiled, inputs, target, runs
        raise UsageError(f"the {self._traits.name} engine can't time the kernels of a library one by one")
