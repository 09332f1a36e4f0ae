"""What becomes of a candidate before it is measured."""

from __future__ import annotations

from typing import Protocol

from workers.errors import UsageError
from workers.messages import Artifact, Candidate, Workload

__all__ = ["Build", "NoComparison"]


class Build(Protocol):
    """Compiles candidates, and shows them to people."""

    def build(self, workload: Workload, target: str, candidate: Candidate) -> Artifact:
        """Compile one candidate to something a device can load.

        Say with :func:`workers.process.host.stage` what is being done: a timeout is reported with it.
        """

    def build_checked(self, workload: Workload, target: str, candidate: Candidate) -> Artifact:
        """Do the same, and add to the artifact what its outputs are compared by before it is timed.

        Called only for the devices that ``compares_on`` of the engine's Traits names; an engine that names
        none inherits :class:`NoComparison`.
        """

    def describe(self, workload: Workload, candidate: Candidate | None = None) -> str:
        """Return a text for people: the workload, or the schedule of a candidate as a readable trace."""


class NoComparison:
    """For an engine that can't compare candidates; nobody asks for what its Traits don't name."""

    def build_checked(self, workload: Workload, target: str, candidate: Candidate) -> Artifact:
        """Refuse.

        Raises
        ------
        UsageError
        """
        del target, candidate
        raise UsageError(f"the {workload.engine} engine can't compare what candidates compute")
