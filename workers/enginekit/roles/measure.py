"""How a candidate's time is taken."""

from __future__ import annotations

from typing import Protocol

from workers.messages import Artifact, Endpoint, EvaluatorConfig, Timing

__all__ = ["WAITING", "Measure"]

#: How :meth:`Measure.measure` begins the word for its stage (see :func:`workers.process.host.stage`) as long
#: as nothing has been asked of the candidate yet: what fails in that stage is the device's fault, not the
#: candidate's.
WAITING = "waiting for a device"


class Measure(Protocol):
    """Times candidates on devices."""

    def measure(
        self,
        artifact: Artifact,
        endpoint: Endpoint,
        evaluator: EvaluatorConfig,
        best_known_s: float | None = None,
    ) -> Timing:
        """Time an artifact on the device behind `endpoint`, through the tracker.

        Parameters
        ----------
        best_known_s : float or None
            Seconds of the best candidate known: one that is far behind it need not be timed in full.
        """
