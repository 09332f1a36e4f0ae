"""Artifacts, timed on devices behind a tracker."""

from __future__ import annotations

from workers.clients import limits
from workers.clients.client import Client, ask
from workers.enginekit.roles import Measure
from workers.messages import Artifact, Endpoint, EvaluatorConfig

__all__ = ["MeasureClient"]


def _seconds_with_wait(
    artifact: Artifact, endpoint: Endpoint, evaluator: EvaluatorConfig, best_known_s: float | None = None
) -> float:
    return endpoint.wait_s + evaluator.timeout_s + limits.ASK


class MeasureClient(Client):
    """See :class:`workers.enginekit.roles.Measure`."""

    measure = ask(Measure.measure, _seconds_with_wait)
