"""What the engine of a process compiles with."""

from __future__ import annotations

from workers.clients import limits
from workers.clients.client import Client, ask
from workers.enginekit.roles import Toolchain

__all__ = ["ToolchainClient"]


class ToolchainClient(Client):
    """See :class:`workers.enginekit.roles.Toolchain`."""

    version = ask(Toolchain.version, limits.ASK)
    versions = ask(Toolchain.versions, limits.ASK)
