"""Builds, each in a fresh fork."""

from __future__ import annotations

import time

from workers.actors.base import EngineActor
from workers.clients import BuildClient
from workers.errors import EngineLostError, EngineTimeoutError, TunefleetError
from workers.messages import Artifact, BuildResult, Candidate, TrialState, Workload

__all__ = ["BuildActor"]


class BuildActor(EngineActor):
    """Builds, each in a fresh fork."""

    role = "build"

    def build(
        self,
        workload: Workload,
        target: str,
        candidate: Candidate,
        timeout_s: float,
        checked: bool = False,
    ) -> tuple[BuildResult, Artifact | None]:
        """Build one candidate. A candidate that fails, crashes or never ends is a result, not an error.

        Parameters
        ----------
        checked : bool, optional
            Add what its outputs are compared by, see :meth:`workers.enginekit.roles.Build.build_checked`.

        Raises
        ------
        EngineLostError
            Where the engine process itself died: the candidate may be innocent.
        """
        started = time.monotonic()
        try:
            client = BuildClient(self._process, timeout_s=timeout_s)
            build = client.build_checked if checked else client.build
            artifact = build(workload, target, candidate)
        except EngineTimeoutError as error:
            return BuildResult(time.monotonic() - started, TrialState.BUILD_TIMEOUT, str(error)), None
        except TunefleetError as error:
            # A fork that crashed had got to some stage; without one, the engine process is what was lost.
            if isinstance(error, EngineLostError) and not error.stage:
                raise
            return BuildResult(time.monotonic() - started, TrialState.BUILD_ERROR, str(error)), None
        return BuildResult(time.monotonic() - started), artifact
