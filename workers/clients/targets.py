"""Targets and the devices they mean, asked of an engine process."""

from __future__ import annotations

from workers.clients import limits
from workers.clients.client import Client, ask
from workers.enginekit.roles import Targets
from workers.messages import Endpoint

__all__ = ["TargetsClient"]


def _seconds_with_wait(target: str, endpoint: Endpoint) -> float:
    return endpoint.wait_s + limits.ASK


class TargetsClient(Client):
    """See :class:`workers.enginekit.roles.Targets`."""

    resolve_target = ask(Targets.resolve_target, limits.ASK)
    known_kernel = ask(Targets.known_kernel, limits.ASK)
    unfit = ask(Targets.unfit, _seconds_with_wait)
