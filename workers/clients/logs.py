"""Logs of an engine's own tools, read and written in its process."""

from __future__ import annotations

from workers.clients import limits
from workers.clients.client import Client, ask
from workers.enginekit.roles import Logs

__all__ = ["LogsClient"]


class LogsClient(Client):
    """See :class:`workers.enginekit.roles.Logs`."""

    read_log = ask(Logs.read_log, limits.LOG)
    write_log = ask(Logs.write_log, limits.LOG)
