"""Searches, each in a process of its own."""

from __future__ import annotations

from workers.clients.client import Client, ask, ask_session, open_session
from workers.enginekit.roles import Search, TaskSearch

__all__ = ["OpenSearch", "SearchClient"]


class SearchClient(Client):
    """See :class:`workers.enginekit.roles.Search`. Campaigns say how long it may take."""

    train = ask(Search.train, None)


class OpenSearch(Client):
    """One search, by its name; see :class:`workers.enginekit.roles.TaskSearch`."""

    open = open_session(Search.open_search, None)
    propose = ask_session(TaskSearch.propose, None)
    transfer = ask_session(TaskSearch.transfer, None)
    lend = ask_session(TaskSearch.lend, None)
    learn = ask_session(TaskSearch.learn, None)

    def close(self) -> None:
        """End it; one that is gone already is no error."""
        self.process.close(self.name)
