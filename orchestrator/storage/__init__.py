"""The record store: campaigns, tasks and trials in a SQL database.

:class:`Storage` is all there is to call; :mod:`orchestrator.storage.rows` is what it takes and gives. Who
needs only the latter never waits for SQLAlchemy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from orchestrator.storage.rows import *  # noqa: F403
from orchestrator.storage.rows import __all__ as _rows

if TYPE_CHECKING:
    from orchestrator.storage._url import default_path, safe_url
    from orchestrator.storage.storage import Storage

__all__ = ["Storage", "default_path", "safe_url", *_rows]

_HOMES = {
    "Storage": "orchestrator.storage.storage",
    "default_path": "orchestrator.storage._url",
    "safe_url": "orchestrator.storage._url",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'orchestrator.storage' has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)
