"""What the answers of one service have in their hands."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from fastapi import Request

from orchestrator.service.access.attempts import Attempts
from orchestrator.service.builds import Builds
from orchestrator.service.live.recent import Recent
from orchestrator.service.settings import ServiceSettings
from orchestrator.service.uploads.folder import Uploads
from orchestrator.storage import Storage

__all__ = ["Parts", "parts_of"]


@dataclass
class Parts:
    """The store, and what the answers share beside it.

    Attributes
    ----------
    recent : Recent
        What was read of the store within the last second or so: many look at the same.
    submitting : threading.Lock
        Held from counting a token's campaigns to storing one more.
    ending : threading.Event
        Is set when the service ends.
    """

    store: Storage
    settings: ServiceSettings
    uploads: Uploads
    builds: Builds
    attempts: Attempts = field(default_factory=Attempts)
    recent: Recent = field(default_factory=Recent)
    submitting: threading.Lock = field(default_factory=threading.Lock)
    ending: threading.Event = field(default_factory=threading.Event)


def parts_of(request: Request) -> Parts:
    """Return the parts of the service that was asked."""
    parts = request.app.state.parts
    assert isinstance(parts, Parts)
    return parts
