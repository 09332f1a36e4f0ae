"""Timing a candidate on a device, through the toy's tracker."""

from __future__ import annotations

from workers.enginekit.roles import WAITING
from workers.messages import Artifact, Endpoint, EvaluatorConfig, Timing
from workers.process.host import stage

from .devices import device_address, measured

__all__ = ["ToyMeasure"]


class ToyMeasure:
    """See :class:`workers.enginekit.roles.Measure`."""

    def measure(
        self,
        artifact: Artifact,
        endpoint: Endpoint,
        evaluator: EvaluatorConfig,
        best_known_s: float | None = None,
    ) -> Timing:
        """Time an artifact on a device."""
        # Whatever fails until then is the device's fault.
        stage(f"{WAITING} with key {endpoint.key!r}")
        address = device_address((endpoint.host, endpoint.port), endpoint.key, endpoint.wait_s)
        stage("running the candidate")
        return measured(address, artifact, evaluator, best_known_s)
