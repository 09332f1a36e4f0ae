"""Candidates, built and shown."""

from __future__ import annotations

from workers.clients import limits
from workers.clients.client import Client, ask
from workers.enginekit.roles import Build

__all__ = ["BuildClient"]


class BuildClient(Client):
    """See :class:`workers.enginekit.roles.Build`."""

    build = ask(Build.build, limits.ASK)
    build_checked = ask(Build.build_checked, limits.ASK)
    describe = ask(Build.describe, limits.ASK)
