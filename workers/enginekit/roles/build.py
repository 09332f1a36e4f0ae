"""What becomes of a candidate before it is measured."""

from __future__ import annotations

from typing import Protocol

from workers.messages import Artifact, Candidate, Workload

__all__ = ["Build"]


class Build(Protocol):
    """Compiles candidates, and shows them to people."""

    def build(self, workload: Workload, target: str, candidate: Candidate) -> Artifact:
        """Compile one candidate to something a device can load.

        Say with :func:`workers.process.host.stage` what is being done: a timeout is reported with it.
        """

    def describe(self, workload: Workload, candidate: Candidate | None = None) -> str:
        """Return a text for people: the workload, or the schedule of a candidate as a readable trace."""
