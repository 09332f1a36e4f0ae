"""The record store: campaigns, tasks and trials in a SQL database.

:class:`Storage` is all there is to call; :mod:`orchestrator.storage.records` is what it takes and gives.
"""

from orchestrator.storage._url import default_path, safe_url
from orchestrator.storage.records import *  # noqa: F403
from orchestrator.storage.records import __all__ as _records
from orchestrator.storage.storage import Storage

__all__ = ["Storage", "default_path", "safe_url", *_records]
