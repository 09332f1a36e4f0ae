"""What the groups of the storage's methods have in common: one database."""

from __future__ import annotations

from orchestrator.storage._database import Database

__all__ = ["Group"]


class Group:
    """Methods about one noun; each is a transaction of the database that all groups share."""

    def __init__(self, database: Database) -> None:
        self._database = database
