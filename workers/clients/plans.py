"""Which records a model is compiled with, asked of an engine process."""

from __future__ import annotations

from workers.clients import limits
from workers.clients.client import Client, ask
from workers.enginekit.roles import Plans

__all__ = ["PlansClient"]


class PlansClient(Client):
    """See :class:`workers.enginekit.roles.Plans`."""

    transforms = ask(Plans.transforms, limits.EXTRACT)
    plans = ask(Plans.plans, limits.EXTRACT)
